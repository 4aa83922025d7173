"""What can go wrong with a catalog, as types."""

from __future__ import annotations

from typing import Final

from ctxmgr.errors import ServiceError

__all__ = ["BUSY", "CatalogError"]

BUSY: Final = "ServiceUnavailable.Busy"


class CatalogError(ServiceError):
    """The catalog can't be used, for now or at all."""
