"""What can go wrong with a catalog, as types."""

from __future__ import annotations

from typing import Final

from ctxmgr.errors import ServiceError

__all__ = ["BUSY", "CatalogError", "TransactionLost"]

BUSY: Final = "ServiceUnavailable.Busy"


class CatalogError(ServiceError):
    """The catalog can't be used, for now or at all."""


class TransactionLost(CatalogError):
    """The database ended a transaction for the sake of another: nothing of it is done, and all of it can be again."""
