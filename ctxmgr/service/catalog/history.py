"""A context's history: its revisions, and the way back to one of them, which is a new revision like any other."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from ctxmgr.engine.manifest.entries import DIRECTORY
from ctxmgr.engine.sync.task import Outcome, Progress, Task
from ctxmgr.errors import ServiceError

from .clock import now_ms, timestamp
from .revisions import head_of, held_head, record
from .schema import contexts, files, revisions, sessions, tasks
from .tasks import CLEAR

__all__ = ["check_revision", "go_back", "listed", "previous", "revision_at"]

_KEPT = revisions.c.pruned_ms.is_(None)


class _Volume(NamedTuple):
    """How many paths there are, how many of them are no folders, and the bytes that these hold."""

    paths: int
    files: int
    bytes: int


def check_revision(connection: Connection, context_id: str, number: int) -> None:
    """Check that a context can be taken back to a revision; to 0, the empty one it began with, it always can.

    Raises:
        ServiceError: ``InvalidRevision.NotFound``.
    """
    named = (revisions.c.context_id == context_id) & (revisions.c.number == number) & _KEPT
    if number and connection.execute(select(revisions.c.number).where(named)).first() is None:
        head = head_of(connection, context_id)
        problem = (
            f"the revision {number} of the context {context_id!r} was pruned, and nothing brings it back: list the "
            "revisions to see those that are kept, and set the context's retention to keep more of those to come"
            if number <= head
            else f"the context {context_id!r} has no revision {number}: its latest is {head}; list them to see them all"
        )
        raise ServiceError("InvalidRevision.NotFound", problem)


def revision_at(connection: Connection, context_id: str, moment_ms: int) -> int:
    """Return the number of the latest revision that a context had at a moment, of those that are kept.

    Args:
        moment_ms: milliseconds since the epoch.

    Raises:
        ServiceError: ``InvalidRevision.NotFound``: there was none yet, or none of them is kept.
    """
    made = (revisions.c.context_id == context_id) & (revisions.c.created_ms <= moment_ms) & _KEPT
    number: int | None = connection.execute(select(func.max(revisions.c.number)).where(made)).scalar_one()
    if number is None:
        raise ServiceError(
            "InvalidRevision.NotFound",
            f"the context {context_id!r} has no revision as old as {timestamp(moment_ms)}: list them to see them all",
        )
    return number


def previous(connection: Connection, context_id: str, number: int) -> int:
    """Return the number of the revision before one; 0, the empty one that each began with, where none is left."""
    earlier = (revisions.c.context_id == context_id) & (revisions.c.number < number) & _KEPT
    found: int | None = connection.execute(select(func.max(revisions.c.number)).where(earlier)).scalar_one()
    return found or 0


def listed(connection: Connection, context_id: str, *, before: int | None, size: int) -> list[Row[Any]]:
    """Return a context's revisions, latest first: those before a number, at most so many.

    With each comes what is still known of who made it: ``root``, or ``node_root`` where another
    process has it, and ``mount``: the directory that was synced.
    """
    rows = (
        select(revisions, sessions.c.root, sessions.c.node_root, tasks.c.mount)
        .outerjoin(tasks, tasks.c.id == revisions.c.task_id)
        .outerjoin(sessions, sessions.c.id == tasks.c.session_id)
        .where(revisions.c.context_id == context_id, _KEPT)
    )
    if before is not None:
        rows = rows.where(revisions.c.number < before)
    return list(connection.execute(rows.order_by(revisions.c.number.desc()).limit(size)))


def go_back(connection: Connection, task: Task) -> Outcome:
    """Make a context what it was at the task's revision, by a new revision.

    All of it happens in the database: no content is read or written, and no row travels.

    Args:
        connection: a write transaction, which the caller rolls back when this raises.
        task: names the context and the revision; to clear it is to go back to revision 0.

    Raises:
        ServiceError: the context or the revision does not exist any more.
    """
    head = held_head(connection, task.context_id)
    check_revision(connection, task.context_id, task.revision)
    number = head + 1
    later, lost = _later(task.context_id, task.revision), _lost(task.context_id, task.revision)
    ended, brought = _volume(connection, later), _volume(connection, lost)
    moved_files, moved_bytes = ended.files + brought.files, ended.bytes + brought.bytes
    done = Progress(moved_files, moved_files, moved_bytes, moved_bytes)
    if not ended.paths and not brought.paths:
        return Outcome(head, nothing_to_sync=True, progress=done)
    gone = _volume(connection, later & files.c.path.not_in(select(files.c.path).where(lost)))
    connection.execute(update(files).where(later).values(rev_to=number))
    connection.execute(insert(files).from_select([column.name for column in files.columns], _copies(lost, number)))
    connection.execute(update(contexts).where(contexts.c.id == task.context_id).values(head=number, used_ms=now_ms()))
    note = CLEAR if task.mode == CLEAR else f"restore of revision {task.revision}"
    record(connection, task.context_id, number, task_id=task.id, note=note)
    return Outcome(number, files=brought.files, deleted=gone.paths, bytes=brought.bytes, progress=done)


def _later(context_id: str, revision: int) -> ColumnElement[bool]:
    """Select what the context has now and had not, or not so, at a revision."""
    before = files.alias("before")
    so_before = exists().where(_was(before, context_id, revision), _same(before))
    return and_(_is(files, context_id), files.c.rev_from > revision, ~so_before)


def _lost(context_id: str, revision: int) -> ColumnElement[bool]:
    """Select what the context had at a revision and has no more, or not so any more."""
    now = files.alias("now")
    return and_(_was(files, context_id, revision), ~exists().where(_is(now, context_id), _same(now)))


def _is(table: FromClause, context_id: str) -> ColumnElement[bool]:
    return and_(table.c.context_id == context_id, table.c.rev_to.is_(None))


def _was(table: FromClause, context_id: str, revision: int) -> ColumnElement[bool]:
    return and_(table.c.context_id == context_id, table.c.rev_from <= revision, table.c.rev_to > revision)


def _same(other: FromClause) -> ColumnElement[bool]:
    """Whether another row is of the same path and version, as `entries.same` has it."""
    names = ("path", "kind", "mode", "mtime_ns", "digest", "target")
    return and_(*(other.c[name] == files.c[name] for name in names))


def _volume(connection: Connection, which: ColumnElement[bool]) -> _Volume:
    no_folder = case((files.c.kind != DIRECTORY, 1), else_=0)
    counts = select(func.count(), func.coalesce(func.sum(no_folder), 0), func.coalesce(func.sum(files.c.size), 0))
    return _Volume(*(int(count) for count in connection.execute(counts.where(which)).one()))


def _copies(which: ColumnElement[bool], number: int) -> Select[Any]:
    fixed: dict[str, Any] = {"rev_from": literal(number), "rev_to": null()}
    return select(*(fixed.get(column.name, column) for column in files.columns)).where(which)
