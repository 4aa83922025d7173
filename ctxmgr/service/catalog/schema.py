"""The catalog: its tables, and the transactions through which everything reads and writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateColumn

from ctxmgr.errors import DataFolderError
from ctxmgr.service import forks

from .errors import CatalogError
from .sqlite import BUSY, explained, open_engine, refuse_writes

__all__ = [
    "SCHEMA",
    "Catalog",
    "bindings",
    "chunks",
    "contexts",
    "files",
    "keys",
    "labels",
    "lifecycles",
    "nodes",
    "pack_proofs",
    "packs",
    "revisions",
    "sessions",
    "tasks",
]

SCHEMA = 3
"""2 added tables (keys, lifecycles) to 1; 3 added pack_proofs, and to tasks the columns that have a default."""

metadata = MetaData()
_counter = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
contexts = Table(
    "contexts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    UniqueConstraint("account", "name"),
)
revisions = Table(
    "revisions",
    metadata,
    Column("context_id", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("task_id", String(64), nullable=False),
    Column("workspace", String(64), nullable=False),
    Column("note", Text, nullable=False),
)
files = Table(
    "files",
    metadata,
    Column("context_id", String(64), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("rev_from", BigInteger, primary_key=True, autoincrement=False),
    Column("rev_to", BigInteger),
    Column("kind", String(8), nullable=False),
    Column("mode", Integer, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("chunks", LargeBinary, nullable=False),
    Column("target", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
# At most one current row a path: a second sync that got past the head's compare-and-swap would fail here.
Index(
    "files_current",
    files.c.context_id,
    files.c.path,
    unique=True,
    sqlite_where=files.c.rev_to.is_(None),
    postgresql_where=files.c.rev_to.is_(None),
)
packs = Table(
    "packs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
chunks = Table(
    "chunks",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("pack_id", String(64), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# The stamps of packs that were stored, or read and found whole: what has another one since is to be read again.
pack_proofs = Table(
    "pack_proofs",
    metadata,
    Column("pack_id", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
)
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("owns_root", Boolean, nullable=False),
    Column("image_id", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("ending_tasks", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("sessions_listed", "account", "created_ms"),
)
labels = Table(
    "labels",
    metadata,
    Column("session_id", String(64), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
lifecycles = Table(
    "lifecycles",
    metadata,
    Column("context_id", String(64), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("days", Integer),
    Column("set_ms", BigInteger, nullable=False),
)
bindings = Table(
    "bindings",
    metadata,
    Column("session_id", String(64), primary_key=True),
    Column("context_id", String(64), primary_key=True),
    Column("mount", String(700), primary_key=True),
    Column("path", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("bound_ms", BigInteger, nullable=False),
    Index("bindings_of_context", "context_id"),
)
tasks = Table(
    "tasks",
    metadata,
    Column("number", _counter, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("context_id", String(64), nullable=False),
    Column("mount", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("delete", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("node_id", String(64), nullable=False),
    Column("error", Text, nullable=False),
    Column("queued_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("files_total", BigInteger, nullable=False),
    Column("files_done", BigInteger, nullable=False),
    Column("bytes_total", BigInteger, nullable=False),
    Column("bytes_done", BigInteger, nullable=False),
    Column("skipped", Text, nullable=False),
    Column("nothing_to_sync", Boolean, nullable=False),
    Column("discard", Boolean, nullable=False, server_default=false()),
    Column("kept_local", BigInteger, nullable=False, server_default="0"),
    Column("conflicts", Text, nullable=False, server_default="[]"),
    Column("conflicts_total", BigInteger, nullable=False, server_default="0"),
    Index("tasks_of_session", "session_id", "context_id", "mount", "mode", "number"),
)
Index(
    "tasks_unfinished",
    tasks.c.node_id,
    sqlite_where=tasks.c.finished_ms.is_(None),
    postgresql_where=tasks.c.finished_ms.is_(None),
)
nodes = Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
)
keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)

_OUTLIVING_SESSIONS = frozenset(table.name for table in (contexts, revisions, files, packs, chunks, lifecycles, keys))


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
            others = select(nodes.c.pid, nodes.c.host).where(nodes.c.pid != os.getpid())
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
                    metadata.create_all(connection)
                    _add_columns(connection, tasks)
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
