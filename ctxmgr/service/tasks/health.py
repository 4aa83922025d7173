"""Whether a service can answer, and how much it has to do: what its operators ask."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from ctxmgr.service.catalog import tasks as task_actions
from ctxmgr.service.catalog.schema import meta, nodes, tasks

from .runtime import Runtime

__all__ = ["check", "outcome", "unfinished"]


def check(runtime: Runtime) -> None:
    """Check that the catalog can be read.

    Raises:
        Exception: it can't, or the service was closed.
    """
    runtime.check_open()
    with runtime.catalog.read() as connection:
        connection.execute(select(meta.c.value).limit(1)).all()


def unfinished(runtime: Runtime) -> dict[str, int]:
    """Return how many tasks of this process, and of nodes elsewhere, are waiting and how many are running."""
    counted = select(tasks.c.status, func.count()).group_by(tasks.c.status)
    elsewhere = select(nodes.c.id).where(nodes.c.account != "")
    here = (tasks.c.node_id == runtime.node.id) | tasks.c.node_id.in_(elsewhere)
    own = counted.where(here, tasks.c.finished_ms.is_(None))
    found = {task_actions.WAITING: 0, task_actions.RUNNING: 0}
    with runtime.catalog.read() as connection:
        found |= {row[0]: row[1] for row in connection.execute(own)}
    return found


def outcome(runtime: Runtime, task_id: str) -> dict[str, Any]:
    """Return the row of a task; empty if it is gone."""
    with runtime.catalog.read() as connection:
        row = connection.execute(select(tasks).where(tasks.c.id == task_id)).one_or_none()
    return {} if row is None else dict(row._mapping)
