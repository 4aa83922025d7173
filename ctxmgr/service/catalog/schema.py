"""The tables of the catalog."""

from __future__ import annotations

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
    false,
)

__all__ = [
    "bindings",
    "chunks",
    "contexts",
    "files",
    "keys",
    "labels",
    "lifecycles",
    "meta",
    "metadata",
    "nodes",
    "pack_proofs",
    "packs",
    "questions",
    "retired_packs",
    "revisions",
    "sessions",
    "tasks",
]

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
    Column("retention", Text, nullable=False, server_default=""),
    Column("uploaded_ms", BigInteger),
    UniqueConstraint("account", "name"),
    Index("contexts_listed", "account", "created_ms", "id"),
    Index("contexts_uploaded", "uploaded_ms"),
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
    Column("pruned_ms", BigInteger),
    Column("host", Text, nullable=False, server_default=""),
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
    # Shows a check that the row is what was written; a row of an earlier schema has none.
    Column("seal", LargeBinary),
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
# What changed since a revision. The first one's rows are not in them: they would double what most contexts take.
Index(
    "files_added",
    files.c.context_id,
    files.c.rev_from,
    sqlite_where=files.c.rev_from > 1,
    postgresql_where=files.c.rev_from > 1,
)
Index(
    "files_ended",
    files.c.context_id,
    files.c.rev_to,
    sqlite_where=files.c.rev_to.is_not(None),
    postgresql_where=files.c.rev_to.is_not(None),
)
packs = Table(
    "packs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
# Which chunks are there is answered for each account by itself: nobody gets content by knowing its name.
chunks = Table(
    "chunks",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("pack_id", String(64), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("condemned_ms", BigInteger),
    # Who asks for the bytes at a place has to have a chunk exactly there.
    Index("chunks_at", "pack_id", "offset"),
    sqlite_with_rowid=False,
)
# Packs in which nothing lies any more, until nobody can be reading them.
retired_packs = Table(
    "retired_packs",
    metadata,
    Column("pack_id", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("retired_ms", BigInteger, nullable=False),
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
    Column("home", String(64), nullable=False, server_default=""),
    Column("node_id", String(64), nullable=False, server_default=""),
    Column("node_root", Text, nullable=False, server_default=""),
    Column("node_seen_ms", BigInteger, nullable=False, server_default="0"),
    Column("linger_ms", BigInteger, nullable=False, server_default="0"),
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
    Column("options", Text, nullable=False, server_default=""),
    Index("tasks_of_session", "session_id", "context_id", "mount", "mode", "number"),
)
Index(
    "tasks_unfinished",
    tasks.c.node_id,
    sqlite_where=tasks.c.finished_ms.is_(None),
    postgresql_where=tasks.c.finished_ms.is_(None),
)
# Those with an account are elsewhere, and known alive by their leases; the others use the data folder themselves.
nodes = Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("account", String(64), nullable=False, server_default=""),
    Column("lease_until_ms", BigInteger, nullable=False, server_default="0"),
    Column("home", String(64), nullable=False, server_default=""),
)
questions = Table(
    "questions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node_id", String(64), nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("question", LargeBinary, nullable=False),
    Column("answer", LargeBinary),
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
