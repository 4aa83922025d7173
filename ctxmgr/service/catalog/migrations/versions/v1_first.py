"""The tables that a catalog began with."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

revision = "1"
down_revision = None
OLDEST = 1

metadata = MetaData()
_counter = BigInteger().with_variant(Integer, "sqlite")

Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
Table(
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
Table(
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
Index(
    "files_current",
    files.c.context_id,
    files.c.path,
    unique=True,
    sqlite_where=files.c.rev_to.is_(None),
    postgresql_where=files.c.rev_to.is_(None),
)
Table(
    "packs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
Table(
    "chunks",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("pack_id", String(64), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Table(
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
Table(
    "labels",
    metadata,
    Column("session_id", String(64), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
Table(
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
Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
)


def upgrade() -> None:
    metadata.create_all(op.get_bind())
