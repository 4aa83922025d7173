"""The index of stored chunks, kept in the catalog: which pack holds which chunk, and where in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from sqlalchemy import select

from .blobs import Located, Pack
from .catalog import Catalog, chunks, insert_missing, packs
from .clock import now_ms

__all__ = ["CatalogChunkIndex"]

# Below every database's limit on a statement's parameters.
BATCH = 500


class CatalogChunkIndex:
    """The ``ChunkIndex`` of a catalog. Each call is a transaction of its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        """Give those of the digests that no pack holds."""
        absent = set(digests)
        with self._catalog.read() as connection:
            for batch in _batches(digests):
                rows = select(chunks.c.digest).where(chunks.c.digest.in_(batch))
                absent.difference_update(connection.execute(rows).scalars())
        return absent

    def add(self, pack: Pack, rows: Sequence[tuple[bytes, int, int]]) -> None:
        """Note a pack that is stored, and where its chunks lie; what is known already stays as it is."""
        with self._catalog.write() as connection:
            insert_missing(connection, packs, [(pack.name, pack.size, now_ms())])
            placed = [(digest, pack.name, offset, length) for digest, offset, length in rows]
            insert_missing(connection, chunks, placed)

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        """Tell where chunks lie; those that no pack holds are absent."""
        found: dict[bytes, Located] = {}
        with self._catalog.read() as connection:
            for batch in _batches(digests):
                for digest, pack, offset, length in connection.execute(
                    select(chunks).where(chunks.c.digest.in_(batch))
                ):
                    found[digest] = Located(pack, offset, length)
        return found


def _batches(digests: Collection[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(digests)
    while batch := list(islice(remaining, BATCH)):
        yield batch
