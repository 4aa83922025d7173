"""When a directory was last uploaded to a context, which outlives the tasks that say so."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, String, bindparam, column, func, select, table, update

revision = "12"
down_revision = "11"
OLDEST = 8

_contexts = table("contexts", column("id", String), column("uploaded_ms", BigInteger))
_tasks = table("tasks", *map(column, ("context_id", "mount", "path", "mode", "status", "finished_ms")))


def upgrade() -> None:
    op.add_column("contexts", Column("uploaded_ms", BigInteger))
    op.create_index("contexts_uploaded", "contexts", ["uploaded_ms"])
    whole = (_tasks.c.mode == "upload") & (_tasks.c.status == "Success") & (_tasks.c.path == _tasks.c.mount)
    last = select(_tasks.c.context_id, func.max(_tasks.c.finished_ms)).where(whole).group_by(_tasks.c.context_id)
    connection = op.get_bind()
    known = [{"context": context, "last": finished} for context, finished in connection.execute(last)]
    if known:
        set_last = update(_contexts).where(_contexts.c.id == bindparam("context"))
        connection.execute(set_last.values(uploaded_ms=bindparam("last")), known)
