"""What can go wrong with a catalog, as types."""

from __future__ import annotations

from ctxmgr.errors import ServiceError

__all__ = ["CatalogError"]


class CatalogError(ServiceError):
    """The catalog can't be used, for now or at all."""
