"""What changed in a context: from one revision to another, path by path, and by how much from each to the next."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from ctxmgr.engine.manifest.entries import DIRECTORY

from .schema import files

__all__ = ["Difference", "Tally", "differences", "tallies"]

_SHOWN = (files.c.path, files.c.kind, files.c.mode, files.c.mtime_ns, files.c.size, files.c.digest, files.c.target)


class Difference(NamedTuple):
    """A path that is not the same at two revisions: the row of each, or None where it is not there."""

    path: bytes
    before: Row[Any] | None
    after: Row[Any] | None

    @property
    def change(self) -> str:
        """What it is in one word: ``added``, ``deleted``, ``changed``, or ``mode`` or ``time`` where only these are."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "deleted"
        if any(self.before[name] != self.after[name] for name in (1, 5, 6)):
            return "changed"
        return "mode" if self.before.mode != self.after.mode else "time"


class Tally(NamedTuple):
    """How many files and links a revision added, changed and deleted, and the bytes of those that it brought."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    bytes: int = 0


def differences(
    connection: Connection, context_id: str, one: int, other: int, *, after: bytes, size: int
) -> tuple[list[Difference], bytes]:
    """Return what is not the same at two revisions of a context, in the order of the paths' bytes.

    A page costs the rows that it looks at, whatever stands before and behind it.

    Args:
        one: the number of the revision to compare from; it may be the later one.
        other: the number of the revision to compare with.
        after: the path after which to begin; empty for the first page.
        size: how many paths to look at.

    Returns:
        what differs, and the path after which the next page begins; empty on the last page. A path that went and came
        back as it was is left out, so that a page may be short.
    """
    first, last = sorted((one, other))
    ended = and_(files.c.rev_from <= first, files.c.rev_to > first, files.c.rev_to <= last)
    stays = or_(files.c.rev_to.is_(None), files.c.rev_to > last)
    begun = and_(files.c.rev_from > first, files.c.rev_from <= last, stays)
    # A path has at most one row that ended and one that began: one path more than the page's has been seen by then.
    rows = (
        select(*_SHOWN, files.c.rev_from)
        .where(files.c.context_id == context_id, files.c.path > after, or_(ended, begun))
        .order_by(files.c.path)
        .limit(2 * size + 1)
    )
    found: dict[bytes, tuple[Row[Any] | None, Row[Any] | None]] = {}
    following = b""
    row: Any
    for row in connection.execute(rows):
        if row.path not in found and len(found) == size:
            following = next(reversed(found))
            break
        known = found.get(row.path, (None, None))
        found[row.path] = (known[0], row) if row.rev_from > first else (row, known[1])
    if one > other:
        found = {path: (later, before) for path, (before, later) in found.items()}
    compared = (Difference(path, before, later) for path, (before, later) in found.items())
    return [each for each in compared if not _same(each)], following


def tallies(connection: Connection, context_id: str, before: int, numbers: Sequence[int]) -> dict[int, Tally]:
    """Return what each of a context's revisions changed since the one before it that is kept; folders are not counted.

    Args:
        before: the number of the revision before the first.
        numbers: of consecutive ones of those that are kept, in order.
    """
    first, last = before + 1, numbers[-1]
    no_folder = and_(files.c.context_id == context_id, files.c.kind != DIRECTORY)
    begun, ended = files.c.rev_from.between(first, last), files.c.rev_to.between(first, last)
    count, volume = func.count(), func.coalesce(func.sum(files.c.size), 0)
    brought = connection.execute(
        select(files.c.rev_from, count, volume).where(no_folder, begun).group_by(files.c.rev_from)
    )
    put = {number: (int(paths), int(size)) for number, paths, size in brought}
    gone = connection.execute(select(files.c.rev_to, count).where(no_folder, ended).group_by(files.c.rev_to))
    dropped = {number: int(paths) for number, paths in gone}
    replaced = connection.execute(
        select(files.c.rev_from, count).where(no_folder, begun, _took_the_place()).group_by(files.c.rev_from)
    )
    changed = {number: int(paths) for number, paths in replaced}
    found: dict[int, Tally] = {}
    for number in {*put, *dropped}:
        paths, size = put.get(number, (0, 0))
        both = changed.get(number, 0)
        tally = Tally(paths - both, both, dropped.get(number, 0) - both, size)
        # What a pruned revision changed came with the next one that is kept.
        kept = numbers[bisect_left(numbers, number)]
        found[kept] = Tally(*map(sum, zip(found.get(kept, Tally()), tally, strict=True)))
    return found


def _took_the_place() -> ColumnElement[bool]:
    """Select what replaced another file in the same revision."""
    before = files.alias("before")
    same = and_(before.c.context_id == files.c.context_id, before.c.path == files.c.path)
    return select(before.c.path).where(same, before.c.rev_to == files.c.rev_from, before.c.kind != DIRECTORY).exists()


def _same(found: Difference) -> bool:
    return found.before is not None and found.after is not None and found.before[1:7] == found.after[1:7]
