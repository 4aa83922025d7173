"""What a catalog needs of a database: ``sqlite`` and ``postgresql`` have it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import StatementError

from .errors import CatalogError

if TYPE_CHECKING:
    from .channel import Channel

__all__ = ["Backend"]


class Backend(Protocol):
    """A database, open.

    Attributes:
        reader: begins transactions that see one state of everything.
        writer: begins transactions that write.
        name: what people call the database; no secret is in it.
        shared: whether processes of several machines may use it.
    """

    reader: Engine
    writer: Engine
    name: str
    shared: bool

    def close(self) -> None:
        """Close the connections that are not in use."""

    def hold(self, connection: Connection, *what: str) -> None:
        """Keep others out, until the write transaction ends, who hold the same names."""

    def alone(self, what: str, timeout: float) -> AbstractContextManager[None]:
        """See `Catalog.alone`; only where several machines may share the database."""

    def channel(
        self, received: Callable[[str], None], missed: Callable[[], None], look: Callable[[], None]
    ) -> Channel | None:
        """See `Catalog.channel`."""

    def settle(self, connection: Connection) -> None:
        """See `Catalog.settle`."""

    def integrity(self, connection: Connection) -> list[str]:
        """Return what the database itself finds to be damaged in it."""

    def explained(self, error: StatementError) -> CatalogError:
        """Return what a driver's error means to people."""
