"""The content of one account, as the engine's syncs see it: packs, and the catalog's index of the chunks in them.

A pack whose stamp is the one it was stored or last read with is whole. Any other is read and compared with its name, so
that it costs one look at each pack to know that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.catalog.chunkindex import CatalogChunkIndex
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.storage.blobstore import BlobStore, Pack
from ctxmgr.service.storage.packfiles import Stamp

__all__ = ["CatalogContentStore"]

_ATTEMPTS: Final = 5


class CatalogContentStore:
    """The ``ContentStore`` on a catalog and the packs beside it."""

    def __init__(self, catalog: Catalog, packs: BlobStore, account: str) -> None:
        self.at_once = packs.at_once
        self._packs = packs
        self._index = CatalogChunkIndex(catalog, account)
        # Packs that were read and found damaged, so that none is read twice: one that is mended has another stamp.
        self._damaged: dict[str, Stamp] = {}

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        wanted = set(digests)
        holders, known = self._index.holders(wanted)
        damaged = self._damaged_among(holders)
        if not damaged and known == len(wanted):
            return set()
        places = self._index.locate(wanted, reliable=True) if known else {}
        return {digest for digest in wanted if digest not in places or places[digest].pack in damaged}

    def put(self, pack: SealedPack, store: Callable[[], None] | None = None) -> None:
        """Store a pack.

        Args:
            store: stores its data, where that is in the store already; again, if it was removed before it was indexed.

        Raises:
            ContentError: it could not be stored, or is not there afterwards.
        """
        store = store or partial(self._packs.put, pack.name, pack.data)
        for _ in range(_ATTEMPTS):
            store()
            if self._index.add(pack, partial(self._stamp_of_whole, pack)):
                return
        raise ContentError(
            f"pack {pack.name} can't be stored: the store took its {len(pack.data)} bytes {_ATTEMPTS} times, and does "
            "not have them"
        )

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        return self._index.locate(digests)

    def holders(self, digests: Collection[bytes]) -> set[str] | None:
        found, known = self._index.holders(set(digests))
        return found if known == len(set(digests)) else None

    def are_whole(self, packs: Collection[str]) -> bool:
        """Whether packs are as they were when they were stored, or last found whole."""
        proofs = self._index.proofs(packs)
        return all(name in proofs and self._packs.stamp(name) == proofs[name] for name in packs)

    def read(self, places: Sequence[Located]) -> Sequence[memoryview]:
        return self._packs.read_chunks(places)

    def has_at(self, places: Collection[tuple[str, int, int]]) -> bool:
        """Whether the account has a chunk at each of some places: a pack, an offset, and the bytes it takes there."""
        return self._index.has_at(places)

    def has_pack(self, name: str) -> bool:
        """Whether a chunk of the account lies in a pack."""
        return self._index.has_pack(name)

    def own_packs(self, names: Collection[str]) -> set[str]:
        """Return those of some packs in which chunks of the account lie, and of no other."""
        return self._index.own_packs(names)

    def _stamp_of_whole(self, pack: SealedPack) -> Stamp | None:
        stamp = self._packs.stamp(pack.name)
        return stamp if stamp is not None and stamp.size == len(pack.data) else None

    def _damaged_among(self, names: Collection[str]) -> set[str]:
        proofs = self._index.proofs(names)
        return {name for name in names if not self._is_whole(name, proofs.get(name))}

    def _is_whole(self, name: str, proof: tuple[int, int] | None) -> bool:
        stamp = self._packs.stamp(name)
        if stamp is None or self._damaged.get(name) == stamp:
            return False
        if proof == stamp:
            return True
        try:
            self._packs.verify(Pack(name, stamp.size))
        except ContentError:
            self._damaged[name] = stamp
            return False
        self._index.prove(name, stamp)
        return True
