"""The port to what stores content: which chunks are there, where they lie, and what they hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from .packs import Located, SealedPack

__all__ = ["ContentStore"]


class ContentStore(Protocol):
    """The stored chunks that one account may use. Used by several threads at once.

    Attributes:
        at_once: how many packs are best stored at the same time. More than 1 if the store is slow to answer: then
            reads are best made ahead, too.
    """

    @property
    def at_once(self) -> int: ...

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        """Return the chunks that have to be stored: those that are not, and those that can't be trusted where they lie.

        Raises:
            ContentError: the store can't be asked.
        """

    def put(self, pack: SealedPack) -> None:
        """Store a pack. On return it is there to stay, and its chunks are found; again is harmless.

        Raises:
            ContentError: it could not be stored; nothing half stored is found under its name.
        """

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        """Return where chunks lie; those that are not stored are left out."""

    def holders(self, digests: Collection[bytes]) -> set[str] | None:
        """Return the packs that chunks lie in; None if one of them is not stored."""

    def read(self, places: Sequence[Located]) -> Sequence[memoryview]:
        """Read chunks as they are stored, compressed or not, in the order given.

        Args:
            places: as `locate` has returned them; some 8 MiB at most, which are held in memory.

        Raises:
            ContentError: a pack is missing, too short, or can't be read.
        """
