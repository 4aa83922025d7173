"""The index of stored chunks, kept in the catalog: which pack holds which chunk, and where in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, delete, func, select

from ctxmgr.engine.content.chunks import Located, Pack
from ctxmgr.engine.content.packs import Stamp

from .clock import now_ms
from .database import Catalog
from .insertion import insert_missing
from .schema import chunks, pack_proofs, packs

__all__ = ["CatalogChunkIndex"]

_Item = TypeVar("_Item", bytes, str)

# Below every database's limit on a statement's parameters.
BATCH = 500


class CatalogChunkIndex:
    """The ``ChunkIndex`` of a catalog. Each call is a transaction of its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(self, pack: Pack, rows: Sequence[tuple[bytes, int, int]], stamp: Stamp | None) -> None:
        """Record a pack that is stored whole, and where its chunks lie; what is known already stays as it is."""
        with self._catalog.write() as connection:
            insert_missing(connection, packs, [(pack.name, pack.size, now_ms())])
            placed = [(digest, pack.name, offset, length) for digest, offset, length in rows]
            insert_missing(connection, chunks, placed)
            _prove(connection, pack.name, stamp)

    def forget(self, places: Mapping[bytes, Located]) -> None:
        """Take out chunks that are not where they should be; their packs have to be proven whole again."""
        with self._catalog.write() as connection:
            for digest, place in places.items():
                connection.execute(delete(chunks).where(chunks.c.digest == digest, chunks.c.pack_id == place.pack))
            for pack in {place.pack for place in places.values()}:
                _prove(connection, pack, None)

    def prove(self, pack: str, stamp: Stamp) -> None:
        """Record what a pack's stamp was before the pack was read and found whole."""
        with self._catalog.write() as connection:
            _prove(connection, pack, stamp)

    def proofs(self, names: Collection[str]) -> dict[str, Stamp]:
        """Return the stamps of packs that were found whole."""
        found: dict[str, Stamp] = {}
        with self._catalog.read() as connection:
            for batch in _batches(names):
                rows = connection.execute(select(pack_proofs).where(pack_proofs.c.pack_id.in_(batch)))
                found |= {name: Stamp(size, changed_ns) for name, size, changed_ns in rows}
        return found

    def holders(self, digests: Collection[bytes]) -> tuple[set[str], int]:
        """Return the packs that chunks lie in, and how many of the chunks lie in any: a fraction of what all cost."""
        found: set[str] = set()
        known = 0
        counted = select(chunks.c.pack_id, func.count()).group_by(chunks.c.pack_id)
        with self._catalog.read() as connection:
            # In order, neighbours lie on the same page.
            for batch in _batches(sorted(digests)):
                for pack, count in connection.execute(counted.where(chunks.c.digest.in_(batch))):
                    found.add(pack)
                    known += count
        return found, known

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        """Return where chunks lie; those that no pack holds are absent."""
        found: dict[bytes, Located] = {}
        with self._catalog.read() as connection:
            for batch in _batches(digests):
                for digest, pack, offset, length in connection.execute(
                    select(chunks).where(chunks.c.digest.in_(batch))
                ):
                    found[digest] = Located(pack, offset, length)
        return found


def _prove(connection: Connection, pack: str, stamp: Stamp | None) -> None:
    connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id == pack))
    if stamp is not None:
        insert_missing(connection, pack_proofs, [(pack, *stamp)])


def _batches(items: Collection[_Item]) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch
