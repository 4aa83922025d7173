"""The database of the catalog, and the transactions through which everything reads and writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, insert, inspect, select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateColumn

from ctxmgr.errors import DataFolderError
from ctxmgr.service import forks

from .accountchunks import ACCOUNT_CHUNKS, give_chunks_to_accounts
from .errors import CatalogError
from .schema import (
    SCHEMA,
    chunks,
    contexts,
    files,
    keys,
    lifecycles,
    meta,
    metadata,
    nodes,
    packs,
    retired_packs,
    revisions,
    sessions,
    tasks,
)
from .sqlite import BUSY, explained, integrity, open_engine, refuse_writes

__all__ = ["Catalog"]

_OUTLIVING_SESSIONS = frozenset(
    table.name for table in (contexts, revisions, files, packs, retired_packs, chunks, lifecycles, keys)
)


class Catalog:
    """A database that holds the tables, and the two kinds of transaction on it."""

    def __init__(self, engine: Engine, path: Path, unwritable: str = "") -> None:
        self._reader = engine
        self._writer = engine.execution_options(ctxmgr_write=True)
        forks.without_connections(self)
        self._path = path
        self._unwritable = unwritable

    @classmethod
    def open(cls, path: Path, *, expected: bool = False, unwritable: str = "") -> Catalog:
        """Open the SQLite catalog at a path, and make its tables where they are missing.

        Only one process may be in here at a time: the caller holds the folder's opening lock.

        Args:
            path: the database's.
            expected: there is content that only a catalog can name: none is made.
            unwritable: why what is kept can't be changed, where this is a copy to read; "" where it can.

        Raises:
            DataFolderError: it is not a catalog, was lost, or was written by a newer version; or this process can't use
                any.
        """
        if forks.inherits_connections():
            raise DataFolderError(
                f"can't use the catalog {str(path)!r}: this process was forked in the middle of a transaction; "
                "use it in a process that is started anew"
            )
        if expected and not (path.exists() and path.stat().st_size):
            raise _lost(path)
        engine = open_engine(path)
        try:
            catalog = cls(engine, path, unwritable)
            catalog._prepare(str(path), expected)
            if unwritable:
                refuse_writes(engine, _OUTLIVING_SESSIONS)
        except CatalogError as error:
            engine.dispose()
            raise DataFolderError(error.message) from error
        except BaseException:
            engine.dispose()
            raise
        return catalog

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state of the catalog.

        Raises:
            CatalogError: it can't be read.
        """
        with self._explained(), forks.transaction(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Write: everything or, after an exception or a crash, nothing. Writers come one after the other.

        Raises:
            CatalogError: it can't be written, or others have been writing for too long.
        """
        with self._explained(), forks.transaction(), self._writer.connect() as connection, connection.begin():
            yield connection

    def integrity(self) -> list[str]:
        """Return what the database itself finds to be damaged in it.

        Raises:
            CatalogError: it is so damaged that it can't be read.
        """
        with self.read() as connection:
            return integrity(connection)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._reader.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except StatementError as error:
            # The driver's own error is the cause that logs show: the other one's text is the statement.
            meant = explained(error, self._path, self._unwritable)
            users = self._users() if meant.code == BUSY else ""
            raise CatalogError(meant.code, meant.message + users) from error.orig

    def _users(self) -> str:
        with suppress(StatementError), forks.transaction(), self._reader.connect() as connection, connection.begin():
            others = select(nodes.c.pid, nodes.c.host).where(nodes.c.pid != os.getpid(), nodes.c.account == "")
            if found := ", ".join(f"{pid} on {host}" for pid, host in connection.execute(others)):
                return f"; the processes that use the data folder are {found}"
        return ""

    def _prepare(self, name: str, expected: bool) -> None:
        with self.write() as connection:
            if inspect(connection).has_table(meta.name):
                found = connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar_one_or_none()
                if found is None or not found.isdecimal():
                    raise DataFolderError(f"the catalog {name!r} does not say its schema version: {found!r}")
                if int(found) > SCHEMA:
                    raise DataFolderError(
                        f"the catalog {name!r} has schema {found}, and this version of ctxmgr knows up to {SCHEMA}: "
                        "use the newer ctxmgr that wrote it"
                    )
                if int(found) < SCHEMA:
                    if int(found) < ACCOUNT_CHUNKS:
                        give_chunks_to_accounts(connection)
                    metadata.create_all(connection)
                    for table in (chunks, contexts, files, nodes, revisions, sessions, tasks):
                        _add_columns(connection, table)
                    for index in chunks.indexes:
                        index.create(connection, checkfirst=True)
                    connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA)))
                return
            if expected:
                raise _lost(self._path)
            metadata.create_all(connection)
            connection.execute(insert(meta).values(key="schema", value=str(SCHEMA)))


def _add_columns(connection: Connection, table: Table) -> None:
    """Add the columns that a table of an earlier schema lacks; each has a default."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            declared = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {declared}")


def _lost(path: Path) -> DataFolderError:
    return DataFolderError(
        f"the catalog {str(path)!r} is lost: the folder beside it has packs of content that only a catalog can name. "
        f"Restore {path.name} from a backup, or move {str(path.parent / 'blobs')!r} away to begin with nothing"
    )
