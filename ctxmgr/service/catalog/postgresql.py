"""The one place that knows PostgreSQL: how transactions begin, what keeps them apart, and what its errors mean.

Its writers run side by side. What a write transaction relies on it holds: a row by ``SELECT ... FOR NO KEY UPDATE``,
and what is no row yet by a name. So that no two wait for each other, names come first, then sessions, then contexts,
then tasks, each kind in the order of its ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, StatementError

from ctxmgr.errors import DataFolderError

from .channel import Channel
from .errors import BUSY, CatalogError, TransactionLost
from .schema import tasks

if TYPE_CHECKING:
    import psycopg

__all__ = ["DRIVER", "PostgreSQL"]

DRIVER: Final = "postgresql+psycopg"
CONNECTIONS: Final = 20
CONNECT_SECONDS: Final = 10
SILENT_SECONDS: Final = 10
PATIENCE_MS: Final = 30_000
_HELD = text("SELECT pg_advisory_xact_lock(:key)")
_TRIED = text("SELECT pg_try_advisory_lock(:key)")
_RELEASED = text("SELECT pg_advisory_unlock(:key)")
_NUMBERED = text(
    f"SELECT setval(pg_get_serial_sequence('{tasks.name}', 'number'), max(number)) FROM {tasks.name} "  # noqa: S608
    "HAVING max(number) IS NOT NULL"
)
SECONDS_BETWEEN_TRIES: Final = 0.2
_LOST: Final = ("40001", "40P01")  # serialization_failure, deadlock_detected
_BUSY: Final = ("55P03",)  # lock_not_available
_FULL: Final = ("53100", "53200", "53300")  # disk_full, out_of_memory, too_many_connections
_AWAY: Final = ("08", "57P")  # connection exceptions, operator intervention


class PostgreSQL:
    """The ``Backend`` of a database on a server.

    Attributes:
        reader, writer: begin transactions.
        name: what people call the database; the password is not in it.
        shared: whether processes of several machines may use it.
    """

    shared = True

    def __init__(self, url: str) -> None:
        """Get ready to connect; nothing is sent yet.

        Raises:
            DataFolderError: the URL is not one of a database of this kind.
            ImportError: psycopg is not installed.
        """
        parsed = _parsed(url)
        self.name = repr(f"{DRIVER}://{parsed.host or ''}{f':{parsed.port}' if parsed.port else ''}/{parsed.database}")
        # Neither a statement nor a row belongs into a log or an error. A server that was away must not fail the first
        # request after it is back: connections are tried before they are used.
        engine = create_engine(
            parsed,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS,
            pool_timeout=PATIENCE_MS / 1000,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "ctxmgr",
                # Of a machine that has vanished nothing is heard, not even that it has.
                "keepalives_idle": SILENT_SECONDS,
                "keepalives_interval": 5,
                "keepalives_count": 2,
                "tcp_user_timeout": SILENT_SECONDS * 1000,
                "options": f"-c lock_timeout={PATIENCE_MS} -c idle_in_transaction_session_timeout={4 * PATIENCE_MS}",
            },
        )
        self.writer: Engine = engine.execution_options(isolation_level="READ COMMITTED")
        self.reader: Engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.reader.dispose()

    def hold(self, connection: Connection, *what: str) -> None:
        """Keep others out, until the write transaction ends, who hold the same names."""
        for name in sorted(what):
            connection.execute(_HELD, {"key": _key(name)})

    @contextmanager
    def alone(self, what: str, timeout: float) -> Iterator[None]:
        """Hold a name for as long as a connection of its own lasts; see `Catalog.alone`."""
        key = {"key": _key(what)}
        deadline = time.monotonic() + timeout
        with self.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not connection.execute(_TRIED, key).scalar_one():
                if time.monotonic() >= deadline:
                    raise TimeoutError(what)
                time.sleep(SECONDS_BETWEEN_TRIES)
            try:
                yield
            finally:
                with suppress(StatementError):
                    connection.execute(_RELEASED, key)

    def channel(self, received: Callable[[str], None], missed: Callable[[], None], look: Callable[[], None]) -> Channel:
        """See `Catalog.channel`."""
        return Channel(self._connected, received, missed, look)

    def _connected(self) -> psycopg.Connection[Any]:
        """Return a connection that is not of the pool."""
        pooled = self.writer.raw_connection()
        pooled.detach()
        connection = cast("psycopg.Connection[Any]", pooled.dbapi_connection)
        connection.autocommit = True
        connection.execute("SET application_name = 'ctxmgr notifications'")
        return connection

    def settle(self, connection: Connection) -> None:
        """Number tasks after those that are there, and make the statistics that plans go by."""
        connection.execute(_NUMBERED)
        connection.exec_driver_sql("ANALYZE")

    def integrity(self, connection: Connection) -> list[str]:
        """Return nothing: the server sees to that itself."""
        return []

    def explained(self, error: StatementError) -> CatalogError:
        """Return what a driver's error means to people; its own text may hold the whole statement."""
        first, _, _ = str(error.orig).strip().partition("\n")
        state = getattr(error.orig, "sqlstate", None) or ""
        if state in _LOST or state in _BUSY:
            kind = TransactionLost if state in _LOST else CatalogError
            return kind(BUSY, f"the catalog {self.name} can't be written now ({first}): try again")
        if state in _FULL:
            return CatalogError("ServiceUnavailable.DiskFull", f"the catalog {self.name} has no room: {first}")
        if state == "25006":
            return CatalogError("ServiceUnavailable.ReadOnly", f"the catalog {self.name} can't be written: {first}")
        if not state or state.startswith(_AWAY):
            return CatalogError(
                "ServiceUnavailable.NoCatalog", f"the catalog {self.name} can't be reached ({first}): try again"
            )
        if isinstance(error, DataError):
            return CatalogError("InvalidParameter.Malformed", f"the catalog can't keep a value: {first}")
        return CatalogError("InternalError", f"the catalog {self.name} can't be used: {first}")


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8, person=b"ctxmgr").digest(), "big", signed=True)


def _parsed(url: str) -> URL:
    # Nothing of what can't be read is shown: the password may be anywhere in it.
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername != DRIVER or not parsed.database or "@" in (parsed.host or ""):
        raise DataFolderError(
            f"the URL of the catalog is none of a database: give {DRIVER}://USER:PASSWORD@HOST:PORT/DATABASE, with "
            "special characters of the password percent-encoded"
        ) from None
    return parsed
