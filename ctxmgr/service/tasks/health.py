"""Whether a service can answer, and how much it has to do: what its operators ask."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import func, select

from ctxmgr.service.catalog import contexts
from ctxmgr.service.catalog import tasks as task_actions
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.schema import meta, nodes, tasks

from .runtime import Runtime

__all__ = ["LastUpload", "check", "last_uploads", "outcome", "unfinished"]

ABANDONED_MS = 30 * 24 * 3600 * 1000
"""A context to which nothing was uploaded for so long is not waited for any more."""


class LastUpload(NamedTuple):
    """When a directory was last uploaded to a context.

    Attributes:
        account: whose the context is.
        context: its name.
        seconds: since the epoch.
    """

    account: str
    context: str
    seconds: float


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


def last_uploads(runtime: Runtime, most: int) -> list[LastUpload]:
    """Return when directories were last uploaded to contexts: the longest ago first, without abandoned ones."""
    with runtime.catalog.read() as connection:
        rows = contexts.least_recently_uploaded(connection, since_ms=now_ms() - ABANDONED_MS, most=most)
    return [LastUpload(row.account, row.name, row.uploaded_ms / 1000) for row in rows]
