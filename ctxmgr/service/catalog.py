"""The catalog: its tables, and the transactions through which everything reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    create_engine,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from ctxmgr.errors import DataFolderError

from . import forks

__all__ = [
    "SCHEMA",
    "Catalog",
    "bindings",
    "bulk_insert",
    "chunks",
    "contexts",
    "files",
    "insert_missing",
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
"""2 added tables (keys, lifecycles) to 1, and 3 added pack_proofs; none was changed."""
BUSY_TIMEOUT_MS = 30_000

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


class Catalog:
    """A database that holds the tables, and the two kinds of transaction on it."""

    def __init__(self, engine: Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(ctxmgr_write=True)
        forks.without_connections(self)

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Open the SQLite catalog at a path, and make its tables where they are missing.

        Only one process may be in here at a time: the caller holds the folder's opening lock.

        Raises:
            DataFolderError: it is not a catalog, or was written by a newer version; or this process can't use any.
        """
        if forks.inherits_connections():
            raise DataFolderError(
                f"can't use the catalog {str(path)!r}: this process was forked in the middle of a transaction; "
                "use it in a process that is started anew"
            )
        engine = _sqlite_engine(path)
        try:
            catalog = cls(engine)
            catalog._prepare(str(path))
        except DBAPIError as error:
            engine.dispose()
            raise DataFolderError(f"can't use the catalog {str(path)!r}: {error.orig}") from error
        except BaseException:
            engine.dispose()
            raise
        return catalog

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state of the catalog."""
        with forks.transaction(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Write: everything or, after an exception or a crash, nothing. Writers come one after the other."""
        with forks.transaction(), self._writer.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._reader.dispose()

    def _prepare(self, name: str) -> None:
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
                    connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA)))
                return
            metadata.create_all(connection)
            connection.execute(insert(meta).values(key="schema", value=str(SCHEMA)))


def bulk_insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows, each with a value for every column in the table's order.

    The driver gets the rows as they are: SQLAlchemy's own per-row work would cost three times the insert itself.
    """
    _insert_rows(connection, table, rows, "")


def insert_missing(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows whose primary key is not there yet, and leave the others as they are."""
    _insert_rows(connection, table, rows, " ON CONFLICT DO NOTHING")


def _insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], suffix: str) -> None:
    if not rows:
        return
    names = [column.name for column in table.columns]
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=names)
    parameters: Any = rows if compiled.positional else [dict(zip(names, row, strict=True)) for row in rows]
    connection.exec_driver_sql(str(compiled) + suffix, parameters)


def _sqlite_engine(path: Path) -> Engine:
    """The one place that knows SQLite: how a connection is set up and how a transaction begins."""
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1)

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
        write = connection.get_execution_options().get("ctxmgr_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
