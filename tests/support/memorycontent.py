"""A content store for tests, whose index is gone with the process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from ctxmgr.engine.content.packs import ChunkRow, Located, SealedPack
from ctxmgr.service.storage.blobstore import BlobStore

__all__ = ["MemoryContent"]


class MemoryContent:
    """Real packs, and an index in memory; enough to read a store whose catalog was lost.

    Attributes:
        packs: where the packs are.
        chunks: the index.
    """

    at_once: Final = 1

    def __init__(self, packs: BlobStore) -> None:
        self.packs = packs
        self.chunks: dict[bytes, Located] = {}

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        return set(digests) - self.chunks.keys()

    def put(self, pack: SealedPack) -> None:
        self.packs.put(pack.name, pack.data)
        self.add(pack.name, pack.rows)

    def add(self, name: str, rows: Sequence[ChunkRow]) -> None:
        for digest, offset, stored, length in rows:
            self.chunks[digest] = Located(name, offset, stored, length)

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        return {digest: self.chunks[digest] for digest in digests if digest in self.chunks}

    def holders(self, digests: Collection[bytes]) -> set[str] | None:
        return None if self.missing(digests) else {place.pack for place in self.locate(digests).values()}

    def read(self, places: Sequence[Located]) -> Sequence[memoryview]:
        return self.packs.read_chunks(places)
