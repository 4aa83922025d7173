"""The index of stored chunks, kept in the catalog: which pack holds which chunk of an account, and where in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, delete, func, select, tuple_

from ctxmgr.engine.content.packs import Located, SealedPack

from .clock import now_ms
from .database import Catalog
from .insertion import insert_missing, insert_or_replace
from .schema import chunks, pack_proofs, packs

__all__ = ["CatalogChunkIndex"]

Stamp = tuple[int, int]
"""What shows that a pack is unchanged: its size, and the time of its last change."""

_Item = TypeVar("_Item")

# Below every database's limit on a statement's parameters.
BATCH = 500


class CatalogChunkIndex:
    """The chunks of one account, and what shows that packs are whole. Each call is a transaction of its own."""

    def __init__(self, catalog: Catalog, account: str) -> None:
        self._catalog = catalog
        self._account = account

    def add(self, pack: SealedPack, stamp: Stamp | None) -> None:
        """Record a pack that was just stored, and its chunks; where they lay before is forgotten.

        Args:
            pack: the pack.
            stamp: the pack's, now that it is stored whole.
        """
        with self._catalog.write() as connection:
            insert_missing(connection, packs, [(pack.name, len(pack.data), now_ms())])
            placed = [
                (self._account, digest, pack.name, offset, stored, length)
                for digest, offset, stored, length in pack.rows
            ]
            insert_or_replace(connection, chunks, placed)
            _prove(connection, pack.name, stamp)

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
                found |= {name: (size, changed_ns) for name, size, changed_ns in rows}
        return found

    def holders(self, digests: Collection[bytes]) -> tuple[set[str], int]:
        """Return the packs that chunks lie in, and how many of the chunks lie in any: a fraction of what all cost."""
        found: set[str] = set()
        known = 0
        counted = select(chunks.c.pack_id, func.count()).group_by(chunks.c.pack_id)
        with self._catalog.read() as connection:
            # In order, neighbours lie on the same page.
            for batch in _batches(sorted(digests)):
                for pack, count in connection.execute(counted.where(self._are(batch))):
                    found.add(pack)
                    known += count
        return found, known

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        """Return where chunks lie; those that no pack holds are absent."""
        found: dict[bytes, Located] = {}
        placed = select(chunks.c.digest, chunks.c.pack_id, chunks.c.offset, chunks.c.stored, chunks.c.length)
        with self._catalog.read() as connection:
            for batch in _batches(digests):
                for digest, *place in connection.execute(placed.where(self._are(batch))):
                    found[digest] = Located(*place)
        return found

    def has_at(self, places: Collection[tuple[str, int, int]]) -> bool:
        """Whether the account has a chunk at each of some places: a pack, an offset, and the bytes it takes there."""
        at = tuple_(chunks.c.pack_id, chunks.c.offset)
        placed = select(chunks.c.pack_id, chunks.c.offset, chunks.c.stored).where(chunks.c.account == self._account)
        with self._catalog.read() as connection:
            for batch in _batches(places):
                rows = connection.execute(placed.where(at.in_([(pack, offset) for pack, offset, _ in batch])))
                if not set(batch) <= {(pack, offset, stored) for pack, offset, stored in rows}:
                    return False
        return True

    def has_pack(self, name: str) -> bool:
        """Whether a chunk of the account lies in a pack."""
        of_pack = (chunks.c.account == self._account) & (chunks.c.pack_id == name)
        with self._catalog.read() as connection:
            return connection.execute(select(chunks.c.digest).where(of_pack).limit(1)).first() is not None

    def _are(self, digests: Collection[bytes]) -> ColumnElement[bool]:
        return (chunks.c.account == self._account) & chunks.c.digest.in_(digests)


def _prove(connection: Connection, pack: str, stamp: Stamp | None) -> None:
    connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id == pack))
    if stamp is not None:
        insert_missing(connection, pack_proofs, [(pack, *stamp)])


def _batches(items: Collection[_Item]) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch
