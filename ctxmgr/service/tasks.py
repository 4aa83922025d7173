"""Tasks in the catalog: one row a sync, from Waiting over Running to Success or Failed, and never back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, or_, select, update

from . import sessions
from .catalog import tasks
from .clock import now_ms
from .identifiers import new_id

__all__ = [
    "DOWNLOAD",
    "FAILED",
    "RUNNING",
    "SUCCESS",
    "UPLOAD",
    "WAITING",
    "Interrupted",
    "Outcome",
    "Progress",
    "Task",
    "fail",
    "fail_all_of",
    "listed",
    "named",
    "queue",
    "record_progress",
    "start",
    "succeed",
    "unfinished_of",
]

WAITING, RUNNING, SUCCESS, FAILED = "Waiting", "Running", "Success", "Failed"
UPLOAD, DOWNLOAD = "upload", "download"


class Interrupted(Exception):
    """The task was ended from outside; what runs it stops, and leaves nothing behind that claims otherwise."""


@dataclass(frozen=True)
class Task:
    """What a task is to do."""

    id: str
    session_id: str
    context_id: str
    mount: str
    path: str
    mode: str
    delete: bool


@dataclass
class Progress:
    """How far a task has come; the totals are 0 until they are known."""

    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a task that succeeded has done.

    Attributes:
        revision: the context's revision that the workspace was synced with.
        files: files and links transferred.
        deleted: paths deleted, in the context by an upload, in the workspace by a download.
        bytes: the transferred files' content.
        unchanged: files and links that were the same on both sides.
        skipped: the JSON list of [path, reason] of what can't be synced.
        nothing_to_sync: both sides were the same already.
    """

    revision: int
    files: int = 0
    deleted: int = 0
    bytes: int = 0
    unchanged: int = 0
    skipped: str = "[]"
    nothing_to_sync: bool = False
    progress: Progress = field(default_factory=Progress)


def queue(
    connection: Connection, node_id: str, account: str, binding: sessions.Binding, mode: str
) -> tuple[Task, bool]:
    """Queue a sync of a binding.

    Returns:
        the task, and whether it is new: where the binding's last task is of the same mode and has not begun, that
        one is shared, since its scan is still to come and so sees all that this one would.
    """
    same = (
        (tasks.c.session_id == binding.session_id)
        & (tasks.c.context_id == binding.context_id)
        & (tasks.c.mount == binding.mount)
    )
    rows = select(tasks).where(same).order_by(tasks.c.number.desc()).limit(1).with_for_update()
    last = connection.execute(rows).one_or_none()
    delete = binding.policy.sync_local_file
    if last is not None and (last.status, last.mode, last.node_id, last.delete) == (WAITING, mode, node_id, delete):
        return task_of(last), False
    task = Task(new_id("task-"), binding.session_id, binding.context_id, binding.mount, binding.path, mode, delete)
    connection.execute(
        insert(tasks).values(
            id=task.id,
            account=account,
            session_id=task.session_id,
            context_id=task.context_id,
            mount=task.mount,
            path=task.path,
            mode=mode,
            delete=delete,
            status=WAITING,
            node_id=node_id,
            error="",
            queued_ms=now_ms(),
            started_ms=0,
            finished_ms=None,
            revision=0,
            files=0,
            deleted=0,
            bytes=0,
            unchanged=0,
            files_total=0,
            files_done=0,
            bytes_total=0,
            bytes_done=0,
            skipped="[]",
            nothing_to_sync=False,
        )
    )
    return task, True


def start(connection: Connection, task_id: str) -> None:
    """Begin a task.

    Raises:
        Interrupted: it has ended already.
    """
    values = {"status": RUNNING, "started_ms": now_ms()}
    _update_in(connection, task_id, WAITING, values)


def record_progress(connection: Connection, task_id: str, progress: Progress) -> None:
    """Keep a running task's progress where other processes see it.

    Raises:
        Interrupted: it has ended.
    """
    _update_in(connection, task_id, RUNNING, _progress_values(progress))


def succeed(connection: Connection, task: Task, outcome: Outcome) -> None:
    """End a running task well, in the transaction that makes it true.

    Raises:
        Interrupted: it has ended already; nothing of the transaction may stay.
    """
    values = {
        "status": SUCCESS,
        "finished_ms": now_ms(),
        "revision": outcome.revision,
        "files": outcome.files,
        "deleted": outcome.deleted,
        "bytes": outcome.bytes,
        "unchanged": outcome.unchanged,
        "skipped": outcome.skipped,
        "nothing_to_sync": outcome.nothing_to_sync,
        **_progress_values(outcome.progress),
    }
    _update_in(connection, task.id, RUNNING, values)
    sessions.settle(connection, task.session_id)


def fail(connection: Connection, task_id: str, error: str) -> None:
    """End a task with the reason it failed for; one that has ended already stays as it is."""
    _fail(connection, tasks.c.id == task_id, error)


def fail_all_of(connection: Connection, node_id: str, error: str) -> None:
    """End all of a node's tasks that have not ended, with the reason they failed for."""
    _fail(connection, tasks.c.node_id == node_id, error)


def unfinished_of(connection: Connection, node_id: str) -> list[str]:
    """Give the ids of a node's tasks that have not ended."""
    rows = select(tasks.c.id).where(tasks.c.node_id == node_id, tasks.c.finished_ms.is_(None))
    return list(connection.execute(rows).scalars())


def named(connection: Connection, session_id: str, ids: Sequence[str]) -> list[Row[Any]]:
    """Give the rows of a session's tasks with these ids, oldest first; unknown ids are absent."""
    return list(connection.execute(_of(session_id).where(tasks.c.id.in_(ids)).order_by(tasks.c.number)))


def listed(
    connection: Connection, session_id: str, *, context_id: str = "", mount: str = "", mode: str = ""
) -> list[Row[Any]]:
    """Give the latest task's row per context, mount path and mode, and all that have not ended, oldest first."""
    groups = (tasks.c.context_id, tasks.c.mount, tasks.c.mode)
    latest = select(func.max(tasks.c.number)).where(tasks.c.session_id == session_id).group_by(*groups)
    rows = _of(session_id).where(or_(tasks.c.number.in_(latest), tasks.c.finished_ms.is_(None)))
    for column, value in zip(groups, (context_id, mount, mode), strict=True):
        if value:
            rows = rows.where(column == value)
    return list(connection.execute(rows.order_by(tasks.c.number)))


def task_of(row: Row[Any]) -> Task:
    """Read what a task is to do from its row."""
    return Task(row.id, row.session_id, row.context_id, row.mount, row.path, row.mode, row.delete)


def _fail(connection: Connection, which: ColumnElement[bool], error: str) -> None:
    unfinished = which & tasks.c.finished_ms.is_(None)
    sessions_touched = connection.execute(select(tasks.c.session_id).where(unfinished).distinct()).scalars().all()
    connection.execute(update(tasks).where(unfinished).values(status=FAILED, error=error, finished_ms=now_ms()))
    for session_id in sessions_touched:
        sessions.settle(connection, session_id)


def _of(session_id: str) -> Select[Any]:
    return select(tasks).where(tasks.c.session_id == session_id)


def _progress_values(progress: Progress) -> dict[str, Any]:
    return {
        "files_total": progress.files_total,
        "files_done": progress.files_done,
        "bytes_total": progress.bytes_total,
        "bytes_done": progress.bytes_done,
    }


def _update_in(connection: Connection, task_id: str, status: str, values: dict[str, Any]) -> None:
    changed = connection.execute(update(tasks).where(tasks.c.id == task_id, tasks.c.status == status).values(**values))
    if changed.rowcount != 1:
        raise Interrupted(task_id)
