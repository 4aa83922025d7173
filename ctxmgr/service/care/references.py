"""Which chunks of an account no revision refers to, and their way out of the index, in two steps.

A chunk that nothing refers to is *condemned* first: from then on whoever asks is told to store it again, and then it is
condemned no more. Only when it has been so for a grace period is it removed. So a sync that was told that a chunk is
there has that long to commit; one that takes longer is refused by its commit, which compares, and stores anew. What was
referred to after the look is found by the heads that have moved, in the transaction that changes the index.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, delete, func, select, update

from ctxmgr.service.catalog.contentlock import exclude
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.insertion import batches
from ctxmgr.service.catalog.revisions import digests_of
from ctxmgr.service.catalog.schema import chunks, contexts, files

__all__ = [
    "Loose",
    "LooseChunk",
    "condemn",
    "find_loose",
    "in_part",
    "parts_of",
    "remove_condemned",
    "streamed",
    "with_content",
]

_ROWS = 5000
_HELD_AT_ONCE = 500_000
"""So many digests are held in memory; where there are more chunks, the files are gone through again for the next."""


class LooseChunk(NamedTuple):
    """A chunk that nothing refers to.

    Attributes:
        pack: the pack it lies in.
        stored: bytes that it takes there.
        condemned_ms: since when it is condemned; None if it is not yet.
    """

    pack: str
    stored: int
    condemned_ms: int | None


class Loose:
    """The chunks of an account that nothing referred to when its contexts had these heads."""

    def __init__(self, account: str, heads: dict[str, int], chunks: dict[bytes, LooseChunk]) -> None:
        self.account = account
        self.chunks = chunks
        self._heads = heads

    @property
    def size(self) -> int:
        """How many bytes the chunks take in their packs."""
        return sum(chunk.stored for chunk in self.chunks.values())

    def refresh(self, connection: Connection) -> None:
        """Take out what was referred to since; nothing can be added while the transaction has the content lock."""
        for context_id, head in _heads(connection, self.account).items():
            before = self._heads.get(context_id, -1)
            if head == before:
                continue
            self._heads[context_id] = head
            added = with_content(self.account).where(files.c.context_id == context_id, files.c.rev_from > before)
            for row in streamed(connection, added):
                for digest in digests_of(row.chunks):
                    self.chunks.pop(digest, None)


def find_loose(connection: Connection, account: str, kept: Mapping[str, Sequence[int]] | None = None) -> Loose:
    """Return what no context of an account refers to.

    Args:
        connection: a transaction that sees one state.
        account: whose chunks.
        kept: by context, in order, the revisions that alone count; those that are not named count as they are.
    """
    heads = _heads(connection, account)
    loose: dict[bytes, LooseChunk] = {}
    listed = select(chunks.c.digest, chunks.c.pack_id, chunks.c.stored, chunks.c.condemned_ms)
    for part in parts_of(connection, account, _HELD_AT_ONCE):
        used: set[bytes] = set()
        for row in streamed(connection, with_content(account)):
            if kept is None or row.context_id not in kept or _is_held(row, kept[row.context_id]):
                used.update(digest for digest in digests_of(row.chunks) if digest[0] in part)
        own = listed.where(chunks.c.account == account, in_part(chunks.c.digest, part))
        for row in streamed(connection, own):
            if row.digest not in used:
                loose[row.digest] = LooseChunk(row.pack_id, row.stored, row.condemned_ms)
    return Loose(account, heads, loose)


def parts_of(connection: Connection, account: str, most: int) -> Iterator[range]:
    """Cut an account's chunks into parts of about so many at most: the first bytes of their digests."""
    count = connection.execute(select(func.count()).where(chunks.c.account == account)).scalar_one()
    step = -(-0x100 // min(0x100, count // most + 1))
    for start in range(0, 0x100, step):
        yield range(start, min(start + step, 0x100))


def in_part(digest: ColumnElement[bytes], part: range) -> ColumnElement[bool]:
    """Select the digests of a part."""
    above = digest >= bytes([part.start])
    return above if part.stop > 0xFF else above & (digest < bytes([part.stop]))


def condemn(catalog: Catalog, loose: Loose, now: int, *, young: Collection[str]) -> None:
    """Condemn what is loose and not in a young pack: that one's content is about to be referred to, for all we know.

    Args:
        catalog: the catalog.
        loose: updated by what is found meanwhile, and by what is done.
        now: milliseconds since the epoch.
        young: the names of the packs to leave alone.
    """
    fresh = [digest for digest, chunk in loose.chunks.items() if chunk.condemned_ms is None and chunk.pack not in young]
    for batch in batches(fresh):
        with catalog.write() as connection:
            exclude(connection)
            loose.refresh(connection)
            found = [digest for digest in batch if digest in loose.chunks]
            # Whoever has stored one again meanwhile needs it.
            same = _among(loose.account, found) & chunks.c.condemned_ms.is_(None)
            connection.execute(update(chunks).where(same).values(condemned_ms=now))
        for digest in found:
            loose.chunks[digest] = loose.chunks[digest]._replace(condemned_ms=now)


def remove_condemned(catalog: Catalog, loose: Loose, until: int) -> int:
    """Remove from the index what is loose and was condemned before a time, or at it; return the bytes it takes."""
    due = [
        digest
        for digest, chunk in loose.chunks.items()
        if chunk.condemned_ms is not None and chunk.condemned_ms <= until
    ]
    freed = 0
    for batch in batches(due):
        with catalog.write() as connection:
            exclude(connection)
            loose.refresh(connection)
            found = [digest for digest in batch if digest in loose.chunks]
            connection.execute(delete(chunks).where(_among(loose.account, found), chunks.c.condemned_ms <= until))
        freed += sum(loose.chunks.pop(digest).stored for digest in found)
    return freed


def streamed(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    """Go through rows without holding all of them."""
    yield from connection.execute(statement.execution_options(yield_per=_ROWS))


def _among(account: str, digests: Iterable[bytes]) -> Any:
    return (chunks.c.account == account) & chunks.c.digest.in_(list(digests))


def _heads(connection: Connection, account: str) -> dict[str, int]:
    rows = connection.execute(select(contexts.c.id, contexts.c.head).where(contexts.c.account == account))
    return {row.id: row.head for row in rows}


def with_content(account: str) -> Select[Any]:
    """Select the rows of an account's files that have content."""
    columns = (files.c.context_id, files.c.rev_from, files.c.rev_to, files.c.chunks)
    own = files.c.context_id.in_(select(contexts.c.id).where(contexts.c.account == account))
    return select(*columns).where(own, files.c.chunks != b"")


def _is_held(row: Any, numbers: Sequence[int]) -> bool:
    """Whether one of the revisions, which are in order, holds a row."""
    place = bisect_left(numbers, row.rev_from)
    return place < len(numbers) and (row.rev_to is None or numbers[place] < row.rev_to)
