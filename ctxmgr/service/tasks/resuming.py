"""Tasks that a service leaves, at its end, to the next one: Waiting, and of no node until one takes them over."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, update

from ctxmgr.engine.sync.task import Progress, Task
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import sessions
from ctxmgr.service.catalog.schema import sessions as session_rows
from ctxmgr.service.catalog.schema import tasks
from ctxmgr.service.catalog.tasks import CLEAR, RESTORE, WAITING, fail, progress_values, task_of

__all__ = ["NOBODY", "Queued", "are_left", "leave", "take_over"]

NOBODY = ""
_LEFT = (tasks.c.node_id == NOBODY) & tasks.c.finished_ms.is_(None)
_HOME = select(session_rows.c.home).where(session_rows.c.id == tasks.c.session_id).scalar_subquery()


class Queued(NamedTuple):
    """A task to be run.

    Attributes:
        account: whose it is.
        task: what is to be done.
        root: its session's root; the context's id for a task without a session.
    """

    account: str
    task: Task
    root: str


def leave(connection: Connection, node_id: str, only: Collection[str] | None = None) -> None:
    """Leave a node's tasks that have not ended to whoever takes them over; what they did so far is done again.

    Args:
        only: the ids of those to leave; None for all of them.
    """
    unfinished = (tasks.c.node_id == node_id) & tasks.c.finished_ms.is_(None)
    values = {"status": WAITING, "node_id": NOBODY, "started_ms": 0, **progress_values(Progress())}
    for task_id in connection.execute(select(tasks.c.id).where(unfinished)).scalars().all():
        if only is None or task_id in only:
            connection.execute(update(tasks).where(tasks.c.id == task_id, unfinished).values(**values))


def are_left(connection: Connection, home: str) -> bool:
    """Whether there are tasks to take over by the services of a data folder."""
    return connection.execute(select(tasks.c.id).where(_left_at(home)).limit(1)).first() is not None


def take_over(connection: Connection, node_id: str, home: str) -> list[Queued]:
    """Make a node the owner of all tasks that were left, and can be run where it is; those without a session fail.

    Returns:
        the tasks that are to be run now, in the order they were queued.
    """
    taken = []
    for row in connection.execute(select(tasks).where(_left_at(home)).order_by(tasks.c.number)).all():
        # Whoever changes the row first has the task: another that read it too changes nothing any more.
        owned = connection.execute(update(tasks).where(tasks.c.id == row.id, _LEFT).values(node_id=node_id))
        if owned.rowcount != 1:
            continue
        task = replace(task_of(row), node_id=node_id)
        try:
            taken.append(Queued(row.account, task, _root(connection, row.account, task)))
        except ServiceError as error:
            fail(connection, task.id, node_id, error.message)
    return taken


def _left_at(home: str) -> ColumnElement[bool]:
    # A change of a context, and a task whose session is gone, need no directory.
    return _LEFT & (func.coalesce(_HOME, home) == home)


def _root(connection: Connection, account: str, task: Task) -> str:
    if task.mode in (CLEAR, RESTORE):
        return task.context_id
    return sessions.find_live(connection, account, task.session_id).root
