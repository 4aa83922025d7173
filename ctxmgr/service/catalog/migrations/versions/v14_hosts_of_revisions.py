"""The machine on which a revision was made, which outlives the process that made it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text, column, select, table, update

revision = "14"
down_revision = "13"
OLDEST = 8

_revisions = table("revisions", column("task_id"), column("host"))
_tasks = table("tasks", column("id"), column("node_id"))
_nodes = table("nodes", column("id"), column("host"))


def upgrade() -> None:
    op.add_column("revisions", Column("host", Text, nullable=False, server_default=""))
    made_by = _tasks.join(_nodes, _nodes.c.id == _tasks.c.node_id)
    host = select(_nodes.c.host).select_from(made_by).where(_tasks.c.id == _revisions.c.task_id).scalar_subquery()
    known = select(_tasks.c.id).select_from(made_by)
    op.execute(update(_revisions).where(_revisions.c.task_id.in_(known)).values(host=host))
