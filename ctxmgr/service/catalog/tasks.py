"""Tasks in the catalog: one row a sync, from Waiting over Running to Success or Failed, which are the end.

A task is of the node that runs it, and only that node changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, or_, select, update

from ctxmgr.engine.policy.mounts import MAX_PATH, normalised, part_of
from ctxmgr.engine.sync.conflicts import Conflicts
from ctxmgr.engine.sync.options import NO_OPTIONS, SyncOptions, options_of
from ctxmgr.engine.sync.task import UPLOAD, Outcome, Progress, Task, TaskInterrupted

from . import contexts, sessions
from .clock import now_ms
from .identifiers import new_id
from .schema import sessions as session_rows
from .schema import tasks

__all__ = [
    "CLEAR",
    "FAILED",
    "RESTORE",
    "RUNNING",
    "SUCCESS",
    "WAITING",
    "fail",
    "fail_all_of",
    "fail_all_of_session",
    "fail_running_of",
    "fail_waiting",
    "hand_over",
    "listed",
    "named",
    "named_if_live",
    "progress_values",
    "queue",
    "queue_change",
    "record_conflicts",
    "record_progress",
    "row_of",
    "sessions_of_unfinished",
    "start",
    "succeed",
    "task_of",
    "unfinished_of",
    "unfinished_rows",
]

WAITING, RUNNING, SUCCESS, FAILED = "Waiting", "Running", "Success", "Failed"
CLEAR, RESTORE = "clear", "restore"
MAX_PARTS = 100


# Made once: they are asked at every poll.
_NAMED = (
    select(tasks)
    .where(tasks.c.session_id == bindparam("session"), tasks.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(tasks.c.number)
)
_NAMED_IF_LIVE = (
    select(tasks)
    .join(session_rows, session_rows.c.id == tasks.c.session_id)
    .where(tasks.c.id == bindparam("id"), session_rows.c.id == bindparam("session"))
    .where(session_rows.c.account == bindparam("account"), session_rows.c.status != sessions.FINISH)
)
_LATEST = (
    select(func.max(tasks.c.number))
    .where(tasks.c.session_id == bindparam("session"))
    .group_by(tasks.c.context_id, tasks.c.mount, tasks.c.path, tasks.c.mode)
)
_LISTED = (
    select(tasks)
    .where(tasks.c.session_id == bindparam("session"))
    .where(or_(tasks.c.number.in_(_LATEST), tasks.c.finished_ms.is_(None)))
    .order_by(tasks.c.number)
)


def queue(
    connection: Connection,
    node_id: str,
    account: str,
    binding: sessions.BindingRow,
    mode: str,
    path: str,
    *,
    discard: bool = False,
    options: SyncOptions = NO_OPTIONS,
) -> tuple[Task, bool]:
    """Queue a sync of a binding, or of what lies at a path below its mount path. The caller holds the session.

    Returns:
        the task, and whether it is new: where the binding's last task is of the same path and mode and has not begun,
        that one is shared, since its scan is still to come and so sees all that this one would.
    """
    same = (
        (tasks.c.session_id == binding.session_id)
        & (tasks.c.context_id == binding.context_id)
        & (tasks.c.mount == binding.mount)
    )
    # Not held: one that begins at this moment scans only after that is committed, and so after this look at it.
    rows = select(tasks).where(same).order_by(tasks.c.number.desc()).limit(1)
    last = connection.execute(rows).one_or_none()
    delete = binding.policy.sync_local_file
    wanted = (WAITING, path, mode, node_id, delete, discard, options.text())
    found = None
    if last is not None:
        found = (last.status, last.path, last.mode, last.node_id, last.delete, last.discard, last.options)
    if last is not None and found == wanted:
        return task_of(last), False
    task = Task(
        new_id("task-"),
        binding.session_id,
        binding.context_id,
        binding.mount,
        path,
        mode,
        delete,
        node_id=node_id,
        discard=discard,
        options=options,
    )
    _add(connection, account, task)
    return task, True


def queue_change(
    connection: Connection, node_id: str, account: str, context_id: str, mode: str, *, revision: int = 0
) -> Task:
    """Queue a clear or a restore of a context."""
    task = Task(new_id("task-"), context_id, context_id, "/", "/", mode, False, revision=revision, node_id=node_id)
    _add(connection, account, task)
    return task


def start(connection: Connection, task: Task) -> None:
    """Begin a task.

    Raises:
        TaskInterrupted: it has ended already, or is another node's.
    """
    values = {"status": RUNNING, "started_ms": now_ms()}
    _update_in(connection, task, WAITING, values)


def record_progress(connection: Connection, task: Task, progress: Progress) -> None:
    """Keep a running task's progress where other processes see it.

    Raises:
        TaskInterrupted: it has ended, or is another node's.
    """
    _update_in(connection, task, RUNNING, progress_values(progress))


def record_conflicts(connection: Connection, task: Task) -> None:
    """Record a running task's conflicts, in the transaction that keeps the versions they are about.

    Raises:
        TaskInterrupted: it has ended, or is another node's; nothing of the transaction may stay.
    """
    _update_in(connection, task, RUNNING, task.conflicts.values())


def succeed(connection: Connection, task: Task, outcome: Outcome) -> None:
    """End a running task well, in the transaction that makes it true.

    Raises:
        TaskInterrupted: it has ended already, or is another node's; nothing of the transaction may stay.
    """
    now = now_ms()
    values = {
        "status": SUCCESS,
        "finished_ms": now,
        "revision": outcome.revision,
        "files": outcome.files,
        "deleted": outcome.deleted,
        "bytes": outcome.bytes,
        "unchanged": outcome.unchanged,
        "skipped": outcome.skipped,
        "nothing_to_sync": outcome.nothing_to_sync,
        "kept_local": outcome.kept_local,
        **outcome.conflicts.values(),
        **progress_values(outcome.progress),
    }
    _update_in(connection, task, RUNNING, values)
    of_user = not contexts.is_transfer(task.context_id)
    if task.mode == UPLOAD and of_user and not part_of(task.mount, task.path):
        contexts.record_upload(connection, task.context_id, now)
    sessions.settle(connection, task.session_id)


def fail(connection: Connection, task_id: str, node_id: str, error: str) -> None:
    """End a node's task with the reason it failed for; one that has ended or is another node's stays as it is."""
    _fail(connection, (tasks.c.id == task_id) & (tasks.c.node_id == node_id), error)


def fail_all_of(connection: Connection, node_id: str, error: str) -> None:
    """End all of a node's tasks that have not ended, with the reason they failed for."""
    _fail(connection, tasks.c.node_id == node_id, error)


def fail_all_of_session(connection: Connection, session_id: str, error: str) -> None:
    """End all of a session's tasks that have not ended, with the reason they failed for."""
    _fail(connection, tasks.c.session_id == session_id, error)


def fail_running_of(
    connection: Connection, node_id: str, error: str, *, only: Collection[str] | None = None
) -> list[str]:
    """End a node's running tasks, or only some, with the reason they failed for; return the ids of their sessions."""
    which = (tasks.c.node_id == node_id) & (tasks.c.status == RUNNING)
    running = connection.execute(select(tasks.c.id).where(which)).scalars().all()
    ended = [task for task in running if only is None or task in only]
    return [id_ for task in ended for id_ in _fail(connection, tasks.c.id == task, error)]


def fail_waiting(connection: Connection, task_id: str, error: str) -> list[str]:
    """End a task that nobody has begun, with the reason it failed for; return the ids of the sessions it is of."""
    return _fail(connection, (tasks.c.id == task_id) & (tasks.c.status == WAITING), error)


def hand_over(connection: Connection, session_id: str, node_id: str) -> None:
    """Make the waiting tasks of a session those of another node."""
    waiting = (tasks.c.session_id == session_id) & (tasks.c.status == WAITING)
    connection.execute(update(tasks).where(waiting).values(node_id=node_id))


def row_of(connection: Connection, task_id: str) -> Row[Any] | None:
    """Return the row of a task; None if there is none."""
    return connection.execute(select(tasks).where(tasks.c.id == task_id)).one_or_none()


def unfinished_rows(connection: Connection, node_id: str) -> Sequence[Row[Any]]:
    """Return the rows of a node's tasks that have not ended, oldest first."""
    rows = select(tasks).where(tasks.c.node_id == node_id, tasks.c.finished_ms.is_(None))
    return connection.execute(rows.order_by(tasks.c.number)).all()


def unfinished_of(connection: Connection, node_id: str) -> list[str]:
    """Return the ids of a node's tasks that have not ended."""
    rows = select(tasks.c.id).where(tasks.c.node_id == node_id, tasks.c.finished_ms.is_(None))
    return list(connection.execute(rows).scalars())


def sessions_of_unfinished(connection: Connection) -> dict[str, str]:
    """Return, by the ids of all tasks that have not ended, the ids of their sessions."""
    rows = select(tasks.c.id, tasks.c.session_id).where(tasks.c.finished_ms.is_(None))
    return {row.id: row.session_id for row in connection.execute(rows)}


def named(connection: Connection, session_id: str, ids: Sequence[str]) -> list[Row[Any]]:
    """Return the rows of a session's tasks with these ids, oldest first; unknown ids are absent."""
    return list(connection.execute(_NAMED, {"session": session_id, "ids": ids}))


def named_if_live(connection: Connection, account: str, session_id: str, task_id: str) -> Row[Any] | None:
    """Return the row of a task if it is of a session that an account has and that has not ended."""
    asked = {"id": task_id, "session": session_id, "account": account}
    return connection.execute(_NAMED_IF_LIVE, asked).one_or_none()


def listed(
    connection: Connection, session_id: str, *, context_id: str = "", path: str = "", mode: str = ""
) -> list[Row[Any]]:
    """Return the latest task's row per context, path and mode, and all that have not ended, oldest first.

    Of the paths below mount paths, only those that were synced last are told where no path is asked for.

    Args:
        path: as the client spells it: a mount path, or a path below one.
    """
    rows = _LISTED
    for column, value in ((tasks.c.context_id, context_id), (tasks.c.mode, mode)):
        if value:
            rows = rows.where(column == value)
    if path:
        wanted = normalised(path, most=MAX_PATH)
        name = wanted.rpartition("/")[2]
        # However a path is spelled, its last name is in it.
        rows = rows.where(or_(tasks.c.path.contains(name, autoescape=True), tasks.c.mount == wanted))
        found = connection.execute(rows, {"session": session_id})
        return [row for row in found if normalised(row.path, most=MAX_PATH) == wanted]
    told = list(connection.execute(rows, {"session": session_id}))
    parts = [row.number for row in told if row.finished_ms is not None and part_of(row.mount, row.path)]
    forgotten = set(parts[:-MAX_PARTS])
    return [row for row in told if row.number not in forgotten]


def task_of(row: Row[Any]) -> Task:
    """Read what a task is to do from its row."""
    return Task(
        row.id,
        row.session_id,
        row.context_id,
        row.mount,
        row.path,
        row.mode,
        row.delete,
        revision=row.revision if row.mode == RESTORE else 0,
        node_id=row.node_id,
        discard=row.discard,
        conflicts=Conflicts(row.conflicts, row.conflicts_total),
        options=options_of(row.options),
    )


def progress_values(progress: Progress) -> dict[str, Any]:
    """Return the values of a row's columns for progress."""
    return {
        "files_total": progress.files_total,
        "files_done": progress.files_done,
        "bytes_total": progress.bytes_total,
        "bytes_done": progress.bytes_done,
    }


def _add(connection: Connection, account: str, task: Task) -> None:
    connection.execute(
        insert(tasks).values(
            id=task.id,
            account=account,
            session_id=task.session_id,
            context_id=task.context_id,
            mount=task.mount,
            path=task.path,
            mode=task.mode,
            delete=task.delete,
            status=WAITING,
            node_id=task.node_id,
            error="",
            queued_ms=now_ms(),
            started_ms=0,
            finished_ms=None,
            revision=task.revision,
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
            discard=task.discard,
            options=task.options.text(),
        )
    )


def _fail(connection: Connection, which: ColumnElement[bool], error: str) -> list[str]:
    unfinished = which & tasks.c.finished_ms.is_(None)
    sessions_touched = connection.execute(select(tasks.c.session_id).where(unfinished).distinct()).scalars().all()
    sessions.hold(connection, sessions_touched)
    connection.execute(update(tasks).where(unfinished).values(status=FAILED, error=error, finished_ms=now_ms()))
    for session_id in sessions_touched:
        sessions.settle(connection, session_id)
    return list(sessions_touched)


def _update_in(connection: Connection, task: Task, status: str, values: dict[str, Any]) -> None:
    same = (tasks.c.id == task.id) & (tasks.c.node_id == task.node_id) & (tasks.c.status == status)
    if connection.execute(update(tasks).where(same).values(**values)).rowcount != 1:
        raise TaskInterrupted(task.id)
