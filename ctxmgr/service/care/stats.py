"""How much is stored, and how much room that saves, by context and in all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, case, func, select

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE
from ctxmgr.retention import Retention
from ctxmgr.service.catalog.contexts import is_transfer
from ctxmgr.service.catalog.retention import retention_of
from ctxmgr.service.catalog.revisions import DIGEST, digests_of
from ctxmgr.service.catalog.schema import chunks, contexts, files, revisions

from .references import in_part, parts_of, streamed, with_content

__all__ = ["ContextVolume", "Volume", "account_volume"]

_HELD_AT_ONCE = 200_000
"""So many chunks are held in memory; where there are more, the files are gone through again for the next."""


class ContextVolume(NamedTuple):
    """What one context holds.

    Attributes:
        id, name: the context's.
        revisions: how many are kept.
        files, bytes: of its latest revision; links and folders are no files.
        history_bytes: of every version of every file that a revision holds.
        unique_bytes: of their content, each chunk counted once.
        stored_bytes: that it takes, compressed; what other contexts hold too is counted in each.
        retention: which revisions the service keeps by itself.
    """

    id: str
    name: str
    revisions: int
    files: int
    bytes: int
    history_bytes: int
    unique_bytes: int
    stored_bytes: int
    retention: Retention


class Volume(NamedTuple):
    """What an account holds: as for one context, and ``loose_bytes`` that nothing refers to any more."""

    contexts: tuple[ContextVolume, ...]
    unique_bytes: int
    stored_bytes: int
    loose_bytes: int


def account_volume(connection: Connection, account: str) -> Volume:
    """Return what an account holds; the contexts in the order of their names.

    Args:
        connection: a transaction that sees one state.
        account: the account.
    """
    counts, revisions_kept, content = _counts(connection, account), _kept(connection, account), _Content()
    for part in parts_of(connection, account, _HELD_AT_ONCE):
        content.add(connection, account, part)
    own = select(contexts.c.id, contexts.c.name, contexts.c.retention).where(contexts.c.account == account)
    found = [
        ContextVolume(
            context.id,
            context.name,
            revisions_kept.get(context.id, 0),
            *counts.get(context.id, (0, 0, 0)),
            *content.of_contexts[context.id],
            retention_of(context.retention),
        )
        for context in connection.execute(own)
        if not is_transfer(context.id)
    ]
    # By Python's order: a database has its own.
    return Volume(tuple(sorted(found, key=lambda each: each.name)), *content.used, content.loose)


def _counts(connection: Connection, account: str) -> dict[str, tuple[int, int, int]]:
    """Return by context the latest revision's files and their bytes, and the bytes of all that is kept."""
    current = files.c.rev_to.is_(None) & (files.c.kind == FILE)
    sums = (func.sum(case((current, 1), else_=0)), func.sum(case((current, files.c.size), else_=0)))
    rows = (
        select(files.c.context_id, *sums, func.sum(files.c.size))
        .where(_of(files, account), files.c.kind != DIRECTORY)
        .group_by(files.c.context_id)
    )
    return {
        context_id: (int(number), int(size), int(all_)) for context_id, number, size, all_ in connection.execute(rows)
    }


def _kept(connection: Connection, account: str) -> dict[str, int]:
    """Return by context how many revisions are kept."""
    rows = (
        select(revisions.c.context_id, func.count())
        .where(_of(revisions, account), revisions.c.pruned_ms.is_(None))
        .group_by(revisions.c.context_id)
    )
    return {row[0]: row[1] for row in connection.execute(rows)}


def _of(table: Table, account: str) -> ColumnElement[bool]:
    return table.c.context_id.in_(select(contexts.c.id).where(contexts.c.account == account))


class _Size(NamedTuple):
    """The bytes of chunks, each counted once, and those that they take."""

    length: int = 0
    stored: int = 0

    def plus(self, sizes: Iterable[_Size]) -> _Size:
        length, stored = self
        for size in sizes:
            length += size.length
            stored += size.stored
        return _Size(length, stored)


class _Content:
    """The chunks of an account: of each context, of all together, and those that nothing refers to."""

    def __init__(self) -> None:
        self.of_contexts: defaultdict[str, _Size] = defaultdict(_Size)
        self.used = _Size()
        self.loose = 0

    def add(self, connection: Connection, account: str, part: range) -> None:
        """Count a part of the chunks, which is all that is held of them."""
        digest = chunks.c.digest
        own = select(digest, chunks.c.length, chunks.c.stored).where(chunks.c.account == account, in_part(digest, part))
        sizes = {row.digest: _Size(row.length, row.stored) for row in streamed(connection, own)}
        used: set[bytes] = set()
        # A file of one chunk is of this part or not; one of several is looked into.
        within = in_part(files.c.chunks, part) | (func.length(files.c.chunks) > DIGEST)
        holding = with_content(account).where(within).order_by(files.c.context_id)
        for context_id, rows in groupby(streamed(connection, holding), attrgetter("context_id")):
            held = {each for row in rows for each in digests_of(row.chunks) if each in sizes}
            self.of_contexts[context_id] = self.of_contexts[context_id].plus(map(sizes.__getitem__, held))
            used |= held
        self.used = self.used.plus(map(sizes.__getitem__, used))
        self.loose += sum(size.stored for each, size in sizes.items() if each not in used)
