"""A context's content by revision: read one, and commit the next."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from blake3 import blake3
from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, or_, select, update

from ctxmgr.engine.manifest.entries import DIRECTORY, Entry, Manifest, absolute, add_implied
from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.engine.policy.mounts import ancestors, context_prefix

from .clock import now_ms
from .contentlock import share
from .contexts import hold, missing
from .insertion import bulk_insert
from .schema import contexts, files, nodes, revisions, tasks

__all__ = [
    "DIGEST",
    "begin",
    "chunks_below",
    "commit",
    "digests_of",
    "ever_held",
    "head_of",
    "held_head",
    "made_by",
    "manifest",
    "paths_below",
    "record",
    "rows_below",
    "seal_of",
    "uploaded_since",
    "write",
]

DIGEST = 32
"""The bytes of a chunk's name."""
_SEAL = 8
_ENTRY = (files.c.kind, files.c.mode, files.c.mtime_ns, files.c.size, files.c.digest, files.c.chunks, files.c.target)
_HOST = select(nodes.c.host).join(tasks, tasks.c.node_id == nodes.c.id).where(tasks.c.id == bindparam("task"))

_encode = msgspec.msgpack.Encoder().encode


def head_of(connection: Connection, context_id: str) -> int:
    """Return the number of a context's latest revision; 0 for one that was never uploaded to.

    Raises:
        ServiceError: ``InvalidContext.NotFound``.
    """
    head: int | None = connection.execute(
        select(contexts.c.head).where(contexts.c.id == context_id)
    ).scalar_one_or_none()
    if head is None:
        raise missing(context_id)
    return head


def held_head(connection: Connection, context_id: str) -> int:
    """Return a context's head, and hold up every other commit to it until the write transaction ends.

    Raises:
        ServiceError: ``InvalidContext.NotFound``.
    """
    # The content lock comes first wherever both are held, so that no two wait for each other.
    share(connection)
    hold(connection, [context_id])
    return head_of(connection, context_id)


def manifest(connection: Connection, context_id: str, mount: str, *, revision: int | None = None) -> dict[bytes, Entry]:
    """Read what a context holds below a mount path, now or at an earlier revision, by path relative to it."""
    prefix = context_prefix(mount)
    rows = select(files.c.path, *_ENTRY).where(_visible(context_id, revision), *_below(files, prefix))
    found = _entries(connection.execute(rows), prefix)
    add_implied(found)
    return found


def chunks_below(connection: Connection, context_id: str, mounts: Iterable[str]) -> set[bytes]:
    """Return the chunks of all that a context holds now below some mount paths."""
    found: set[bytes] = set()
    for mount in mounts:
        below = _below(files, context_prefix(mount))
        for joined in connection.execute(select(files.c.chunks).where(_current(context_id), *below)).scalars():
            found.update(digests_of(joined))
    return found


def ever_held(connection: Connection, context_id: str, path: bytes) -> bool:
    """Whether a context holds something at or below an absolute path, or did at an earlier revision."""
    at = or_(files.c.path == path, and_(*_below(files, path + b"/")))
    rows = select(files.c.path).where(files.c.context_id == context_id, at).limit(1)
    return connection.execute(rows).first() is not None


def paths_below(connection: Connection, context_id: str, prefix: bytes) -> Iterator[tuple[bytes, str]]:
    """Return the path and kind of what a context holds now below a prefix ending in "/", in the paths' order."""
    rows = select(files.c.path, files.c.kind).where(_current(context_id), *_below(files, prefix))
    for path, kind in connection.execute(rows.order_by(files.c.path)):
        yield path, kind


def rows_below(connection: Connection, context_id: str, prefix: bytes, *, after: bytes, limit: int) -> list[Any]:
    """Return what a context holds now below a prefix ending in "/", in the order of the paths' bytes.

    Args:
        after: the path behind which it begins.
        limit: how many there are at most.
    """
    rows = (
        select(files.c.path, files.c.kind, files.c.size, files.c.mtime_ns, files.c.rev_from, revisions.c.created_ms)
        .join(revisions, (revisions.c.context_id == files.c.context_id) & (revisions.c.number == files.c.rev_from))
        .where(_current(context_id), *_below(files, prefix))
        .where(files.c.path > after)
        .order_by(files.c.path)
        .limit(limit)
    )
    return list(connection.execute(rows))


def commit(
    connection: Connection,
    context_id: str,
    mount: str,
    *,
    head: int,
    current: Collection[bytes],
    put: Manifest,
    drop: Iterable[bytes],
    task_id: str,
    note: str,
    workspace: str = "",
) -> int:
    """Make a context's next revision.

    Args:
        connection: a write transaction, which the caller rolls back when this raises.
        context_id: the context.
        mount: the mount path that the other paths are relative to.
        head: the revision that the change was planned on.
        current: the paths that the context has at that revision.
        put: what the revision adds or replaces.
        drop: what it ends.
        task_id: the task that makes it.
        note: what it is for people who read the history.
        workspace: names the workspace that has in common with the context what this revision changes.

    Returns:
        the new revision's number.

    Raises:
        HeadMoved: the context has another head by now.
        ServiceError: the context was deleted.
    """
    number = begin(connection, context_id, head)
    write(connection, context_id, mount, number, current=current, put=put, drop=drop)
    record(connection, context_id, number, task_id=task_id, note=note, workspace=workspace)
    return number


def begin(connection: Connection, context_id: str, head: int) -> int:
    """Move a context's head on to the next revision, whose rows are yet to be written, and return its number.

    No content is removed until the transaction ends.

    Raises:
        HeadMoved, ServiceError: as ``commit``.
    """
    share(connection)
    moved = update(contexts).where(contexts.c.id == context_id, contexts.c.head == head)
    if connection.execute(moved.values(head=head + 1, used_ms=now_ms())).rowcount != 1:
        head_of(connection, context_id)
        raise HeadMoved(context_id)
    return head + 1


def write(
    connection: Connection,
    context_id: str,
    mount: str,
    number: int,
    *,
    current: Collection[bytes],
    put: Manifest,
    drop: Iterable[bytes],
) -> None:
    """Write rows of a revision that was begun: all of them, or some at a time, no path twice."""
    base = os.fsencode(mount)
    ended = [absolute(base, path) for path in (*put, *drop) if path in current]
    if put:
        ended += _in_the_way(connection, context_id, base)
    _end(connection, context_id, ended, number)
    # In order, neighbours go to the same page.
    rows = [
        _row(context_id, absolute(base, path), number, entry) for path, entry in sorted(put.items(), key=itemgetter(0))
    ]
    bulk_insert(connection, files, rows)


def record(
    connection: Connection, context_id: str, number: int, *, task_id: str, note: str, workspace: str = ""
) -> None:
    """Record a revision whose rows were written, with the machine that runs its task, if it has one."""
    host = connection.execute(_HOST, {"task": task_id}).scalar_one_or_none() if task_id else None
    bulk_insert(connection, revisions, [(context_id, number, now_ms(), task_id, workspace, note, None, host or "")])


def uploaded_since(
    connection: Connection, context_id: str, mount: str, *, workspace: str, revision: int
) -> dict[bytes, Entry | None]:
    """Return what a workspace uploaded after a revision: by relative path its last version, or None where it ended."""
    own = (
        select(revisions.c.number)
        .where(revisions.c.context_id == context_id, revisions.c.workspace == workspace, revisions.c.number > revision)
        .order_by(revisions.c.number)
    )
    prefix = context_prefix(mount)
    found: dict[bytes, Entry | None] = {}
    for number in connection.execute(own).scalars().all():
        below = (files.c.context_id == context_id, *_below(files, prefix))
        ended = connection.execute(select(files.c.path).where(*below, files.c.rev_to == number)).scalars()
        found |= {path[len(prefix) :]: None for path in ended}
        found |= _entries(
            connection.execute(select(files.c.path, *_ENTRY).where(*below, files.c.rev_from == number)), prefix
        )
    return found


def made_by(connection: Connection, context_id: str, task_id: str) -> set[int]:
    """Return the numbers of the revisions that a task has made."""
    same = (revisions.c.context_id == context_id) & (revisions.c.task_id == task_id)
    return set(connection.execute(select(revisions.c.number).where(same)).scalars())


def _entries(rows: Iterable[Any], prefix: bytes) -> dict[bytes, Entry]:
    found: dict[bytes, Entry] = {}
    for path, kind, mode, mtime_ns, size, digest, chunks, target in rows:
        found[path[len(prefix) :]] = Entry(kind, mode, mtime_ns, size, digest, digests_of(chunks), target)
    return found


def digests_of(chunks: bytes) -> tuple[bytes, ...]:
    """Return the digests that a row's column holds one after the other."""
    if len(chunks) == DIGEST:
        return (chunks,)
    return tuple(chunks[at : at + DIGEST] for at in range(0, len(chunks), DIGEST))


def _current(context_id: str) -> ColumnElement[bool]:
    return (files.c.context_id == context_id) & files.c.rev_to.is_(None)


def _visible(context_id: str, revision: int | None) -> ColumnElement[bool]:
    if revision is None:
        return _current(context_id)
    ended_later = files.c.rev_to.is_(None) | (files.c.rev_to > revision)
    return (files.c.context_id == context_id) & (files.c.rev_from <= revision) & ended_later


def _below(table: Table, prefix: bytes) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # "0" is the byte after "/": the range is exactly what begins with the prefix, and an index can serve it.
    return table.c.path > prefix, table.c.path < prefix[:-1] + b"0"


def _in_the_way(connection: Connection, context_id: str, mount: bytes) -> Sequence[bytes]:
    """Return the files and links of the context that lie where the mount path needs directories."""
    above = ancestors(mount)
    if not above:
        return []
    rows = select(files.c.path).where(_current(context_id), files.c.path.in_(above), files.c.kind != DIRECTORY)
    return connection.execute(rows).scalars().all()


def _end(connection: Connection, context_id: str, paths: Sequence[bytes], number: int) -> None:
    if not paths:
        return
    ended = update(files).where(_current(context_id), files.c.path == bindparam("ended_path")).values(rev_to=number)
    connection.execute(ended, [{"ended_path": path} for path in paths])


def _row(context_id: str, path: bytes, number: int, entry: Entry) -> tuple[Any, ...]:
    content = (entry.size, entry.digest, b"".join(entry.chunks), entry.target, seal_of(path, entry))
    return (context_id, path, number, None, entry.kind, entry.mode, entry.mtime_ns, *content)


def seal_of(path: bytes, entry: Entry) -> bytes:
    """Return what a row of a file is sealed with. A copy of it for another revision or context has the same."""
    return blake3(_encode((path, entry))).digest(_SEAL)
