"""The index of stored chunks, kept in the catalog: which pack holds which chunk of an account, and where in it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, Connection, delete, func, select, tuple_

from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.entries import Manifest, show
from ctxmgr.errors import ServiceError

from .clock import now_ms
from .contentlock import share
from .database import Catalog
from .insertion import batches, insert_missing, insert_or_replace
from .schema import chunks, pack_proofs, packs, retired_packs

__all__ = ["CatalogChunkIndex", "check_stored", "record_pack"]

Stamp = tuple[int, int]
"""What shows that a pack is unchanged: its size, and the time of its last change."""

_RELIABLE = chunks.c.condemned_ms.is_(None)


class CatalogChunkIndex:
    """The chunks of one account, and what shows that packs are whole. Each call is a transaction of its own."""

    def __init__(self, catalog: Catalog, account: str) -> None:
        self._catalog = catalog
        self._account = account

    def add(self, pack: SealedPack, stamp: Callable[[], Stamp | None]) -> bool:
        """Record a pack that was just stored, and its chunks; where they lay before is forgotten.

        Args:
            pack: the pack.
            stamp: returns the pack's stamp, now that it is stored whole.

        Returns:
            False where the pack is not there any more: whoever removes packs took it for an old one. Store it again.
        """
        with self._catalog.write() as connection:
            if not record_pack(connection, pack, stamp):
                return False
            placed = [
                (self._account, digest, pack.name, offset, stored, length, None)
                for digest, offset, stored, length in pack.rows
            ]
            insert_or_replace(connection, chunks, placed)
            return True

    def prove(self, pack: str, stamp: Stamp) -> None:
        """Record what a pack's stamp was before the pack was read and found whole."""
        with self._catalog.write() as connection:
            _prove(connection, pack, stamp)

    def proofs(self, names: Collection[str]) -> dict[str, Stamp]:
        """Return the stamps of packs that were found whole."""
        found: dict[str, Stamp] = {}
        with self._catalog.read() as connection:
            for batch in batches(names):
                rows = connection.execute(select(pack_proofs).where(pack_proofs.c.pack_id.in_(batch)))
                found |= {name: (size, changed_ns) for name, size, changed_ns in rows}
        return found

    def holders(self, digests: Collection[bytes]) -> tuple[set[str], int]:
        """Return the packs that chunks lie in, and how many of the chunks lie in any: a fraction of what all cost.

        Chunks that are about to be removed count as not there.
        """
        found: set[str] = set()
        known = 0
        counted = select(chunks.c.pack_id, func.count()).group_by(chunks.c.pack_id)
        with self._catalog.read() as connection:
            # In order, neighbours lie on the same page.
            for batch in batches(sorted(digests)):
                for pack, count in connection.execute(counted.where(self._are(batch), _RELIABLE)):
                    found.add(pack)
                    known += count
        return found, known

    def locate(self, digests: Collection[bytes], *, reliable: bool = False) -> dict[bytes, Located]:
        """Return where chunks lie; those that no pack holds are absent.

        Args:
            digests: the chunks.
            reliable: leave out those that are about to be removed, since no revision refers to them.
        """
        found: dict[bytes, Located] = {}
        placed = select(chunks.c.digest, chunks.c.pack_id, chunks.c.offset, chunks.c.stored, chunks.c.length)
        if reliable:
            placed = placed.where(_RELIABLE)
        with self._catalog.read() as connection:
            for batch in batches(digests):
                for digest, *place in connection.execute(placed.where(self._are(batch))):
                    found[digest] = Located(*place)
        return found

    def has_at(self, places: Collection[tuple[str, int, int]]) -> bool:
        """Whether the account has a chunk at each of some places: a pack, an offset, and the bytes it takes there."""
        at = tuple_(chunks.c.pack_id, chunks.c.offset)
        placed = select(chunks.c.pack_id, chunks.c.offset, chunks.c.stored).where(chunks.c.account == self._account)
        with self._catalog.read() as connection:
            for batch in batches(places):
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


def check_stored(connection: Connection, account: str, entries: Manifest) -> None:
    """Refuse entries of which an account has not stored all chunks: nobody gets content by knowing its name.

    Args:
        connection: the write transaction in which a context comes to refer to them; until it ends, none is removed.
        account: the context's.
        entries: by path.

    Raises:
        ServiceError: ``InvalidChunk.NotFound``.
    """
    share(connection)
    wanted = sorted({digest for entry in entries.values() for digest in entry.chunks})
    for batch in batches(wanted):
        among = (chunks.c.account == account) & chunks.c.digest.in_(batch)
        if connection.execute(select(func.count()).where(among)).scalar_one() == len(batch):
            continue
        lacking = set(batch).difference(connection.execute(select(chunks.c.digest).where(among)).scalars())
        for path, entry in entries.items():
            for digest in entry.chunks:
                if digest in lacking:
                    raise ServiceError(
                        "InvalidChunk.NotFound",
                        f"the content of {show(path)} is not stored: this account has no chunk {digest.hex()}; "
                        "store it, and sync again",
                    )


def record_pack(connection: Connection, pack: SealedPack, stamp: Callable[[], Stamp | None]) -> bool:
    """Record a pack that was just stored, if it is there; see `CatalogChunkIndex.add`.

    Args:
        connection: a write transaction, during which nobody removes a pack.
    """
    share(connection)
    found = stamp()
    if found is None:
        return False
    insert_missing(connection, packs, [(pack.name, len(pack.data), now_ms())])
    connection.execute(delete(retired_packs).where(retired_packs.c.pack_id == pack.name))
    _prove(connection, pack.name, found)
    return True


def _prove(connection: Connection, pack: str, stamp: Stamp | None) -> None:
    connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id == pack))
    if stamp is not None:
        insert_missing(connection, pack_proofs, [(pack, *stamp)])
