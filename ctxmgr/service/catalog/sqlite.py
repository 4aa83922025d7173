"""The one place that knows SQLite: how a connection is set up, how a transaction begins, and what its errors mean.

Its writers come one after the other, and it is used by the processes of one machine.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import StatementError

from .errors import BUSY, CatalogError
from .schema import chunks, contexts, files, keys, lifecycles, packs, retired_packs, revisions

__all__ = ["BUSY_TIMEOUT_MS", "SQLite"]

BUSY_TIMEOUT_MS = 30_000
_OUTLIVING_SESSIONS = frozenset(
    table.name for table in (contexts, revisions, files, packs, retired_packs, chunks, lifecycles, keys)
)
_TIMES: Final = frozenset([contexts.c.used_ms.name, contexts.c.uploaded_ms.name])
_REFUSED: Final = "not authorized"
_WRITES: Final = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
_DAMAGED: Final = ("malformed", "not a database", "no such table", "no such column")
_PASSING: Final = (
    ("database is locked", BUSY, "another process has been writing to it for {seconds} s: try again"),
    ("database or disk is full", "ServiceUnavailable.DiskFull", "the disk is full: make room, and try again"),
    (
        "attempt to write a readonly database",
        "ServiceUnavailable.ReadOnly",
        "it is read-only: give this user the right to write it",
    ),
)


class SQLite:
    """The ``Backend`` of a database in a file.

    Attributes:
        reader, writer: begin transactions.
        name: what people call the database.
        shared: whether processes of several machines may use it.
    """

    shared = False

    def __init__(self, path: Path, unwritable: str = "") -> None:
        """Open the database, and make it where there is none, for its owner alone.

        Args:
            path: the database's.
            unwritable: why what is kept can't be changed, where this is a copy to read; "" where it can.
        """
        self.name = repr(str(path))
        self.reader = _open_engine(path)
        self.writer: Engine = self.reader.execution_options(ctxmgr_write=True)
        self._unwritable = unwritable

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.reader.dispose()

    def hold(self, connection: Connection, *what: str) -> None:
        """Do nothing: a write transaction has no other beside it."""

    def refuse_writes(self) -> None:
        """Let nobody change from now on what outlives sessions, if the folder can't be written."""
        if self._unwritable:
            _refuse_writes(self.reader, _OUTLIVING_SESSIONS)

    def alone(self, what: str, timeout: float) -> AbstractContextManager[None]:
        """Refuse: a lock on a file does that on one machine."""
        raise NotImplementedError(what)

    def channel(self, received: object, missed: object, look: object) -> None:
        """Return nothing: SQLite notifies nobody."""

    def settle(self, connection: Connection) -> None:
        """Do nothing: the next key is the one after the highest, and nothing here goes by statistics."""

    def integrity(self, connection: Connection) -> list[str]:
        """Return what SQLite finds to be damaged in the database."""
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [str(problem) for problem in found if problem != "ok"]

    def explained(self, error: StatementError) -> CatalogError:
        """Return what a driver's error means to people; its own text holds the whole statement."""
        text = str(error.orig)
        if self._unwritable and _REFUSED in text:
            return CatalogError(
                "ServiceUnavailable.ReadOnly", f"the data folder is open for reading only, since {self._unwritable}"
            )
        for sign, code, meaning in _PASSING:
            if sign in text:
                advice = meaning.format(seconds=BUSY_TIMEOUT_MS // 1000)
                return CatalogError(code, f"the catalog {self.name} can't be written: {advice}")
        if any(sign in text for sign in _DAMAGED):
            advice = "close all that use the data folder, and restore this file from a backup"
            return CatalogError("InternalError", f"the catalog {self.name} is damaged ({text}): {advice}")
        return CatalogError("InternalError", f"the catalog {self.name} can't be used: {text}")


def _open_engine(path: Path) -> Engine:
    _keep_private(path)
    # Neither a statement nor a row belongs into a log or an error.
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:
        # The driver must not begin transactions by itself: ours say what they are when they begin.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail, not wait, where another wrote in between.
        if connection.get_execution_options().get("ctxmgr_write", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Waits for nobody and so can't fail; by SQLAlchemy it would cost a third of a poll.
            connection.connection.execute("BEGIN")

    return engine


def _refuse_writes(engine: Engine, tables: frozenset[str]) -> None:
    """Let no connection change tables from now on, but for the times at which something was used or uploaded."""

    def authorize(action: int, table: str | None, column: str | None, *_: object) -> int:
        refused = action in _WRITES and table in tables and column not in _TIMES
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    @event.listens_for(engine, "connect")
    def guard(connection: Any, record: object) -> None:
        connection.set_authorizer(authorize)

    engine.dispose()


def _keep_private(path: Path) -> None:
    """Make a database where there is none, for its owner alone; what SQLite puts beside it has the same mode."""
    with suppress(FileExistsError):
        # Never opened where it is there: closing it would end the locks that this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError, PermissionError):
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)
