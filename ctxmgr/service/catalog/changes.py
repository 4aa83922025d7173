"""What changed in a context since a revision, in pages of bounded size."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, literal_column, select

from ctxmgr.engine.manifest.entries import Entry
from ctxmgr.engine.policy.mounts import context_prefix

from .contextfiles import entry_of
from .insertion import batches
from .revisionkeys import revision_key
from .revisions import digests_of
from .schema import files
from .schema import revisions as revision_rows

__all__ = ["Page", "changed", "key_of", "uploaded"]

PAGE_ROWS: Final = 20_000
PAGE_BYTES: Final = 4 << 20
FEW: Final = 10_000
"""So many changed paths are looked up one by one; where there are more, all that the context holds is gone through."""
_ROW_BYTES: Final = 110
"""What a row takes besides its path, chunks and target, roughly."""

_COLUMNS = (
    files.c.path,
    files.c.rev_from,
    files.c.rev_to,
    files.c.kind,
    files.c.mode,
    files.c.mtime_ns,
    files.c.size,
    files.c.digest,
    files.c.chunks,
    files.c.target,
)

_PATHS = select(files.c.path).where(files.c.context_id == bindparam("context"))


@dataclass(frozen=True)
class Page:
    """Some entries, by path relative to the one that was asked for and in the order of the paths' bytes.

    Attributes:
        entries: None is what has ended.
        after: the last path, from which the next page goes on.
        is_last: whether there is none.
    """

    entries: list[tuple[bytes, Entry | None]]
    after: bytes
    is_last: bool


def key_of(connection: Connection, context_id: str, revision: int) -> str:
    """Return a text that names a revision also among those of the same number in another life of the catalog.

    Returns:
        "" where there is no such revision.
    """
    if revision == 0:
        return "0"
    same = (revision_rows.c.context_id == context_id) & (revision_rows.c.number == revision)
    row = connection.execute(select(revision_rows).where(same)).one_or_none()
    if row is None:
        return ""
    return revision_key(context_id, revision, row.created_ms, row.task_id, row.workspace, row.note)


def changed(connection: Connection, context_id: str, path: str, *, since: int, at: int, after: bytes) -> Page:
    """Return what changed below a path from one revision to another.

    Args:
        since: 0 for everything there is at the other one.
        at: the later one.
        after: as the page before tells it; empty for the first one.
    """
    if since == at:
        return Page([], b"", True)
    came = (files.c.rev_from > since) & (files.c.rev_from <= at)
    went = (files.c.rev_to > since) & (files.c.rev_to <= at)
    there = (files.c.rev_from <= at) & (files.c.rev_to.is_(None) | (files.c.rev_to > at))

    def entry(rows: Iterable[Any]) -> Entry | None:
        visible = None
        # By position: names would cost as much as all the rest of a page.
        for row in rows:
            _, begun, ended, *content = row
            if begun <= at and (ended is None or ended > at):
                visible = content
        if visible is None:
            return None
        kind, mode, mtime_ns, size, digest, chunks, target = visible
        return Entry(kind, mode, mtime_ns, size, digest, digests_of(chunks), target)

    if not since:
        return _page(connection, context_id, path, after, there, entry)
    return _page(connection, context_id, path, after, came | went, entry, _few_paths(connection, context_id, since, at))


def uploaded(
    connection: Connection, context_id: str, path: str, *, workspace: str, revision: int, after: bytes
) -> Page:
    """Return what a workspace uploaded below a path after a revision: what it put last, or None where it ended that."""
    own = select(revision_rows.c.number).where(
        revision_rows.c.context_id == context_id,
        revision_rows.c.workspace == workspace,
        revision_rows.c.number > revision,
    )
    numbers = set(connection.execute(own).scalars())
    if not numbers:
        return Page([], b"", True)

    def entry(rows: Iterable[Any]) -> Entry | None:
        found = list(rows)
        put = max((row.rev_from for row in found if row.rev_from in numbers), default=0)
        ended = max((row.rev_to for row in found if row.rev_to in numbers), default=0)
        return entry_of(next(row for row in found if row.rev_from == put)) if put >= ended else None

    return _page(connection, context_id, path, after, files.c.rev_from.in_(own) | files.c.rev_to.in_(own), entry)


def _few_paths(connection: Connection, context_id: str, since: int, at: int) -> list[bytes] | None:
    """Return the paths that changed from one revision to another, in order; None where they are not few."""
    # A database takes an index of some rows only where the statement says the same of them, and not as a parameter.
    came = _PATHS.where(files.c.rev_from > literal_column("1"), files.c.rev_from > since, files.c.rev_from <= at)
    went = _PATHS.where(files.c.rev_to.is_not(None), files.c.rev_to > since, files.c.rev_to <= at)
    found: set[bytes] = set()
    for paths in (came, went):
        found.update(connection.execute(paths.limit(FEW + 1), {"context": context_id}).scalars())
    return sorted(found) if len(found) <= FEW else None


def _page(
    connection: Connection,
    context_id: str,
    path: str,
    after: bytes,
    which: ColumnElement[bool],
    entry: Any,
    paths: Sequence[bytes] | None = None,
) -> Page:
    """Read a page.

    Args:
        which: the rows that count.
        entry: makes an entry of the rows of one path.
        paths: where it is known, those that the rows have, in order.
    """
    prefix = context_prefix(path)
    # "0" is the byte after "/": the range is exactly what begins with the prefix.
    first, end = prefix + after, prefix[:-1] + b"0"
    rows = (
        select(*_COLUMNS)
        .where(files.c.context_id == context_id, which)
        .order_by(files.c.path, files.c.rev_from)
        .execution_options(yield_per=1_000)
    )
    if paths is None:
        asked = [rows.where(files.c.path > first, files.c.path < end)]
    else:
        # Without the range, for which a database would go through all that is in it.
        below = (each for each in paths if first < each < end)
        asked = [rows.where(files.c.path.in_(batch)) for batch in batches(below)]
    entries: list[tuple[bytes, Entry | None]] = []
    size = 0
    with closing(_found(connection, asked)) as found:
        for name, versions in groupby(found, key=itemgetter(0)):
            if size >= PAGE_BYTES or len(entries) >= PAGE_ROWS:
                return Page(entries, entries[-1][0], False)
            told = entry(versions)
            entries.append((name[len(prefix) :], told))
            size += _ROW_BYTES + len(name)
            size += 0 if told is None else 34 * len(told.chunks) + len(told.target)
    return Page(entries, b"", True)


def _found(connection: Connection, statements: Iterable[Select[Any]]) -> Generator[Any, None, None]:
    for statement in statements:
        with connection.execute(statement) as rows:
            yield from rows
