"""The packs of a service: which are worth writing anew, and the end of those that nothing lies in any more.

A pack is never changed. What is kept of small ones, and of those with much waste, is written into a new pack, which is
stored before the index is switched to it in one transaction. A pack in which nothing lies is *retired*: who has been
told a place in it has a grace period to read it. Only then is it removed, under the content lock, so that nobody who
stores the same pack again at that moment is left without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from ctxmgr.engine.content.compression import Expander
from ctxmgr.engine.content.packs import ChunkRow, Located, seal
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.catalog.chunkindex import record_pack
from ctxmgr.service.catalog.contentlock import exclude
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.insertion import BATCH, batches, insert_missing
from ctxmgr.service.catalog.schema import chunks, pack_proofs, packs, retired_packs
from ctxmgr.service.storage.blobstore import BlobStore

__all__ = [
    "PackRow",
    "PlacedChunk",
    "Repacked",
    "bounded",
    "remove_orphans",
    "remove_retired",
    "repack",
    "retire_empty",
    "rewrite",
    "rows_of",
    "young_packs",
]

PACK_SIZE: Final = 16 << 20
SMALL_SIZE: Final = 4 << 20
FULL: Final = 0.75
"""A pack of which less is in use is worth being written anew: it costs at most three times what it gives back."""
FEWEST_SMALL: Final = 4
"""So many small packs are worth being merged."""
_TABLE_ROW: Final = 48
"""Bytes of a pack's table for a chunk, at most."""
_ROWS_AT_ONCE: Final = 20_000
_MOVED_AT_ONCE: Final = 20_000
"""So many chunks fill a new pack, however small they are: one with half of them is no small pack."""
_REMOVED_AT_ONCE: Final = 50


class Repacked(NamedTuple):
    """How many packs were written anew, the bytes of the new ones, and those that were left because of damage."""

    packs: int
    written: int
    damaged: tuple[str, ...]


class PackRow(NamedTuple):
    """A pack as the index has it: its name, how many chunks lie in it, and an account that has some of them."""

    name: str
    rows: int
    account: str


class PlacedChunk(NamedTuple):
    """A chunk as the index has it."""

    account: str
    digest: bytes
    place: Located


def young_packs(connection: Connection, since: int) -> set[str]:
    """Return the packs that were stored after a time, in milliseconds since the epoch."""
    return set(connection.execute(select(packs.c.id).where(packs.c.created_ms > since)).scalars())


def repack(catalog: Catalog, store: BlobStore) -> Repacked:
    """Write what lies in small and in wasteful packs into new ones, chunk by chunk verified.

    Raises:
        ContentError: a pack can't be stored; what was done so far is done.
    """
    with catalog.read() as connection:
        candidates = _candidates(connection)
    return _moved(catalog, store, candidates)


def rewrite(catalog: Catalog, store: BlobStore, names: Iterable[str]) -> Repacked:
    """Write what lies in packs into new ones, chunk by chunk verified.

    Raises:
        ContentError: as `repack`.
    """
    candidates: list[PackRow] = []
    for batch in batches(sorted(names)):
        lying = select(chunks.c.pack_id, func.count().label("rows"), chunks.c.account)
        shares = lying.where(chunks.c.pack_id.in_(batch)).group_by(chunks.c.pack_id, chunks.c.account)
        with catalog.read() as connection:
            candidates += [PackRow(row.pack_id, row.rows, row.account) for row in connection.execute(shares)]
    return _moved(catalog, store, sorted(candidates, key=lambda candidate: (candidate.account, candidate.name)))


def _moved(catalog: Catalog, store: BlobStore, candidates: Iterable[PackRow]) -> Repacked:
    damaged: set[str] = set()
    intact: set[str] = set()
    writer = _Writer(catalog, store)
    for batch in bounded(candidates):
        with catalog.read() as connection:
            rows = rows_of(connection, {candidate.name for candidate in batch})
        for name, _, account in batch:
            parts = _intact(store, [row for row in rows.get(name, []) if row.account == account])
            if parts is None:
                damaged.add(name)
                continue
            intact.add(name)
            for moved, data in parts:
                writer.add(moved, data)
    writer.flush()
    return Repacked(len(intact - damaged), writer.written, tuple(sorted(damaged)))


class _Writer:
    """Puts chunks into new packs; the index is switched to each when it is stored.

    Chunks of two accounts are never put into one pack: whoever has a chunk in a pack has had all that is in it.
    """

    def __init__(self, catalog: Catalog, store: BlobStore) -> None:
        self._catalog = catalog
        self._store = store
        self._parts: dict[bytes, bytes] = {}
        self._rows: dict[bytes, ChunkRow] = {}
        self._moved: list[PlacedChunk] = []
        self._size = 0
        self._account = ""
        self.written = 0

    def add(self, moved: PlacedChunk, data: bytes) -> None:
        if self._size >= PACK_SIZE or len(self._moved) >= _MOVED_AT_ONCE or moved.account != self._account:
            self.flush()
        self._account = moved.account
        self._moved.append(moved)
        if moved.digest not in self._parts:
            self._parts[moved.digest] = data
            self._rows[moved.digest] = (moved.digest, self._size, len(data), moved.place.length)
            self._size += len(data)

    def flush(self) -> None:
        if not self._parts:
            return
        pack = seal(list(self._parts.values()), list(self._rows.values()))
        while True:
            self._store.put(pack.name, pack.data)
            with self._catalog.write() as connection:
                if record_pack(connection, pack, lambda: self._store.stamp(pack.name)):
                    _switch(connection, pack.name, self._moved, self._rows)
                    break
        self.written += len(pack.data)
        self._parts, self._rows, self._moved, self._size = {}, {}, [], 0


def retire_empty(catalog: Catalog, now: int) -> None:
    """Retire the packs in which nothing lies that the index knows of."""
    with catalog.write() as connection:
        exclude(connection)
        # A pack is recorded together with its chunks: where there are none, they have gone.
        empty = connection.execute(select(packs).where(packs.c.id.not_in(select(chunks.c.pack_id)))).all()
        insert_missing(connection, retired_packs, [(row.id, row.size, now) for row in empty])
        for batch in batches(row.id for row in empty):
            connection.execute(delete(packs).where(packs.c.id.in_(batch)))
            connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id.in_(batch)))


def remove_retired(catalog: Catalog, store: BlobStore, until: int) -> tuple[int, int]:
    """Remove the packs that were retired before a time, or at it; return how many, and their bytes."""
    count = size = 0
    while True:
        with catalog.write() as connection:
            exclude(connection)
            due = select(retired_packs).where(retired_packs.c.retired_ms <= until)
            rows = connection.execute(due.limit(_REMOVED_AT_ONCE)).all()
            if not rows:
                return count, size
            for row in rows:
                store.delete(row.pack_id)
                connection.execute(delete(retired_packs).where(retired_packs.c.pack_id == row.pack_id))
        count += len(rows)
        size += sum(row.size for row in rows)


def remove_orphans(catalog: Catalog, store: BlobStore, until: int) -> tuple[int, int]:
    """Remove the packs that nobody recorded, and that were stored before a time: of writers that were killed."""
    named = select(packs.c.id).union(select(retired_packs.c.pack_id), select(chunks.c.pack_id))
    with catalog.read() as connection:
        known = set(connection.execute(named).scalars())
    count = size = 0
    for batch in batches(pack for pack in store.packs() if pack.name not in known):
        with catalog.write() as connection:
            exclude(connection)
            names = [pack.name for pack in batch]
            recorded = set(connection.execute(select(packs.c.id).where(packs.c.id.in_(names))).scalars())
            for pack in batch:
                stamp = store.stamp(pack.name)
                if pack.name not in recorded and stamp is not None and stamp.changed_ns <= until * 1_000_000:
                    store.delete(pack.name)
                    count += 1
                    size += pack.size
    return count, size


def _candidates(connection: Connection) -> list[PackRow]:
    """Return the packs to write anew, for each account that has chunks in one, and those of one account together."""
    held = (
        select(
            chunks.c.pack_id.label("name"),
            chunks.c.account,
            func.count().label("rows"),
            func.sum(chunks.c.stored).label("live"),
            func.count(chunks.c.condemned_ms).label("condemned"),
        )
        .group_by(chunks.c.pack_id, chunks.c.account)
        .subquery()
    )
    listed = select(held, packs.c.size).join(packs, packs.c.id == held.c.name).order_by(held.c.name, held.c.account)
    wasteful: list[PackRow] = []
    small: dict[str, list[list[PackRow]]] = defaultdict(list)
    for _, group in groupby(connection.execute(listed), attrgetter("name")):
        shares = list(group)
        if any(share.condemned for share in shares):
            continue  # what is about to be removed is not worth being moved
        found = [PackRow(share.name, share.rows, share.account) for share in shares]
        rows, size = sum(share.rows for share in shares), shares[0].size
        if sum(int(share.live) for share in shares) + rows * _TABLE_ROW < FULL * size:
            wasteful += found
        elif size < SMALL_SIZE and rows < _MOVED_AT_ONCE // 2:
            small[found[0].account].append(found)
    merged = [each for group in small.values() if len(group) >= FEWEST_SMALL for found in group for each in found]
    return sorted([*wasteful, *merged], key=lambda candidate: (candidate.account, candidate.name))


def bounded(candidates: Iterable[PackRow]) -> Iterator[list[PackRow]]:
    """Cut candidates into lists whose rows can be held in memory."""
    batch: list[PackRow] = []
    rows = 0
    for candidate in candidates:
        if batch and (rows + candidate.rows > _ROWS_AT_ONCE or len(batch) == BATCH):
            yield batch
            batch, rows = [], 0
        batch.append(candidate)
        rows += candidate.rows
    if batch:
        yield batch


def rows_of(connection: Connection, names: Collection[str]) -> dict[str, list[PlacedChunk]]:
    """Return what lies in packs, in order."""
    found: dict[str, list[PlacedChunk]] = defaultdict(list)
    rows = select(chunks).where(chunks.c.pack_id.in_(names)).order_by(chunks.c.pack_id, chunks.c.offset)
    for row in connection.execute(rows):
        place = Located(row.pack_id, row.offset, row.stored, row.length)
        found[row.pack_id].append(PlacedChunk(row.account, row.digest, place))
    return found


def _switch(connection: Connection, name: str, moved: Sequence[PlacedChunk], rows: Mapping[bytes, ChunkRow]) -> None:
    """Have the index find chunks in a new pack, but for those that lie elsewhere by now."""
    before = (chunks.c.pack_id == bindparam("old_pack")) & (chunks.c.offset == bindparam("old_offset"))
    same = (chunks.c.account == bindparam("of_account")) & (chunks.c.digest == bindparam("of_digest")) & before
    values = {"pack_id": name, "offset": bindparam("new_offset"), "stored": bindparam("new_stored")}
    parameters = [
        {
            "of_account": chunk.account,
            "of_digest": chunk.digest,
            "old_pack": chunk.place.pack,
            "old_offset": chunk.place.offset,
            "new_offset": rows[chunk.digest][1],
            "new_stored": rows[chunk.digest][2],
        }
        for chunk in moved
    ]
    connection.execute(update(chunks).where(same).values(values), parameters)


def _intact(store: BlobStore, rows: Sequence[PlacedChunk]) -> list[tuple[PlacedChunk, bytes]] | None:
    """Read chunks, and compare each with its name; None if one is damaged."""
    expander = Expander()
    try:
        stored = store.read_chunks([moved.place for moved in rows])
        for moved, data in zip(rows, stored, strict=True):
            expander.chunk(data, moved.place.length, moved.digest)
    except ContentError:
        return None
    return [(moved, bytes(data)) for moved, data in zip(rows, stored, strict=True)]
