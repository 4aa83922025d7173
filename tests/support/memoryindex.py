"""An index of chunks for tests, gone with the process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ctxmgr.engine.content.packs import ChunkRow, Located, Pack, Stamp

__all__ = ["MemoryIndex"]


class MemoryIndex:
    """An index that is gone with the process; enough to read a store whose catalog was lost."""

    def __init__(self) -> None:
        self._chunks: dict[bytes, Located] = {}
        self._proofs: dict[str, Stamp] = {}

    def add(self, pack: Pack, chunks: Sequence[ChunkRow], stamp: Stamp | None = None) -> None:
        for digest, offset, length in chunks:
            self._chunks.setdefault(digest, Located(pack.name, offset, length))

    def forget(self, places: Mapping[bytes, Located]) -> None:
        for digest, place in places.items():
            if self._chunks.get(digest) == place:
                del self._chunks[digest]

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        return {digest: self._chunks[digest] for digest in digests if digest in self._chunks}

    def holders(self, digests: Collection[bytes]) -> tuple[set[str], int]:
        found = self.locate(digests)
        return {place.pack for place in found.values()}, len(found)

    def proofs(self, names: Collection[str]) -> dict[str, Stamp]:
        return {name: self._proofs[name] for name in names if name in self._proofs}

    def prove(self, pack: str, stamp: Stamp) -> None:
        self._proofs[pack] = stamp
