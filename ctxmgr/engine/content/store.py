"""The port to what stores packs and knows which chunk lies where in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from .packs import ChunkRow, Located, Pack, Stamp

__all__ = ["ChunkIndex", "PackStore"]


class PackStore(Protocol):
    """Where packs are stored. A pack is named by its content, so storing one twice is harmless."""

    def put(self, name: str, data: bytes | bytearray | memoryview) -> None:
        """Store a pack; on return it is there to stay.

        Raises:
            ContentError: it could not be stored; nothing half stored is found under its name.
        """

    def stamp(self, name: str) -> Stamp | None:
        """Return what shows that a pack is unchanged; ``None`` where it is not there.

        Raises:
            ContentError: the store can't be asked.
        """

    def read(self, name: str, start: int, end: int) -> memoryview:
        """Read the bytes of a pack from ``start`` to ``end``, exclusive.

        Raises:
            ContentError: the pack is missing, too short, or can't be read.
        """

    def verify(self, pack: Pack) -> None:
        """Read a whole pack and compare it with its name.

        Raises:
            ContentError: the pack is missing or damaged.
        """


class ChunkIndex(Protocol):
    """Which chunk lies where. A pack is stored before the index hears of it."""

    def add(self, pack: Pack, chunks: Sequence[ChunkRow], stamp: Stamp | None) -> None:
        """Record a stored pack and its chunks, durably and at once; chunks that are recorded already stay as they are.

        Args:
            pack: the pack.
            chunks: what it holds.
            stamp: the pack's, now that it is stored whole.
        """

    def forget(self, places: Mapping[bytes, Located]) -> None:
        """Take chunks out of the index that are not where it says, and trust their packs no more."""

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        """Return where chunks lie; those that are in no pack are left out."""

    def prove(self, pack: str, stamp: Stamp) -> None:
        """Record what a pack's stamp was before the pack was read and found whole."""

    def proofs(self, names: Collection[str]) -> dict[str, Stamp]:
        """Return the stamps of packs that were found whole."""

    def holders(self, digests: Collection[bytes]) -> tuple[set[str], int]:
        """Return the packs that chunks lie in, and how many of the chunks lie in any: a fraction of what all cost."""
