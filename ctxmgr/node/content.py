"""The ``ContentStore`` of a node: chunks that the service keeps, asked for, sent and read over HTTP."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.errors import ServiceError
from ctxmgr.reasons import reason

from .direct import Direct
from .door import Door, Unreachable
from .staging import Staging

__all__ = ["HttpContentStore", "digests_in"]

_DIGEST: Final = 32
_LEAST_READ: Final = 256 << 10
_READ_PATIENCE: Final = 10.0


class HttpContentStore:
    """See ``ContentStore``. Used by several threads at once.

    Args:
        door: the way to the service.
        staging: sends what is large.
        direct: sends and reads what is large where the service need not be in the middle.
        read_bytes: what one request may ask for.
    """

    at_once: Final = 3

    def __init__(self, door: Door, staging: Staging, direct: Direct, read_bytes: int) -> None:
        self._door = door
        self._staging = staging
        self._direct = direct
        self._read_bytes = min(read_bytes, nodewire.READ_BYTES)
        self._at_once = self._read_bytes

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        with _told("which chunks are to be stored can't be asked"):
            for part in _parts(digests):
                found |= digests_in(self._door.call(nodewire.Missing(part), nodewire.Digests))
        return found

    def put(self, pack: SealedPack) -> None:
        def send(data: bytes, staged: str) -> None:
            self._door.call(nodewire.StorePack(pack.name, len(pack.data), data), nodewire.Done)

        with _told(f"the pack {pack.name} can't be stored"):
            if not (self._staging.is_large(pack.data) and self._direct.put(pack)):
                self._staging.deliver(pack.data, send, name=pack.name)

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        found: dict[bytes, Located] = {}
        with _told("where chunks are stored can't be asked"):
            for part in _parts(digests):
                packed = self._door.call(nodewire.Locate(part), nodewire.Places).places
                told = nodewire.unpack(packed, list[tuple[bytes, str, int, int, int]])
                found |= {digest: Located(*place) for digest, *place in told}
        return found

    def holders(self, digests: Collection[bytes]) -> set[str] | None:
        found = self.locate(digests)
        return {place.pack for place in found.values()} if len(found) == len(set(digests)) else None

    def read(self, places: Sequence[Located]) -> Sequence[memoryview]:
        with _told("stored content can't be read"):
            found = self._direct.read(places)
            rest = [place for place in places if place not in found]
            while rest:
                some = self._read_some(rest)
                found.update(zip(rest, some, strict=False))
                rest = rest[len(some) :]
        return [found[place] for place in places]

    def _read_some(self, places: Sequence[Located]) -> list[memoryview]:
        """Read the first of some places: as many as the way there has been seen to carry in one answer."""
        while True:
            asked = _within(places, self._at_once)
            smallest = len(asked) == 1 or self._at_once <= _LEAST_READ
            message = nodewire.Read([(place.pack, place.offset, place.stored) for place in asked])
            try:
                data = self._door.read(message, patience=None if smallest else _READ_PATIENCE)
            except Unreachable:
                if smallest:
                    raise
                # A proxy may cut what takes it too long.
                self._at_once = max(_LEAST_READ, self._at_once // 4)
            else:
                self._at_once = min(self._read_bytes, 2 * self._at_once)
                return _cut(data, asked)


def digests_in(message: nodewire.Digests) -> set[bytes]:
    """Return the names of chunks in a message."""
    joined = message.digests
    return {joined[at : at + _DIGEST] for at in range(0, len(joined), _DIGEST)}


def _parts(digests: Collection[bytes]) -> Iterator[bytes]:
    """Return names of chunks, joined, as many at a time as may be asked about."""
    names = iter(digests)
    while part := b"".join(islice(names, nodewire.MAX_DIGESTS)):
        yield part


def _within(places: Sequence[Located], most: int) -> Sequence[Located]:
    """Return the first of some places, of so many bytes in all at most, and at least one."""
    size = 0
    for count, place in enumerate(places):
        size += place.stored
        if count and (size > most or count == nodewire.MAX_PLACES):
            return places[:count]
    return places


def _cut(data: bytes, places: Sequence[Located]) -> list[memoryview]:
    size = sum(place.stored for place in places)
    if len(data) != size:
        raise ContentError(f"stored content can't be read: {len(data)} bytes came instead of {size}")
    view, found, at = memoryview(data), [], 0
    for place in places:
        found.append(view[at : at + place.stored])
        at += place.stored
    return found


@contextmanager
def _told(problem: str) -> Iterator[None]:
    """Have what the service refuses, or what can't be had from it, be an error of the content."""
    try:
        yield
    except (ServiceError, nodewire.Garbled) as error:
        raise ContentError(f"{problem}: {reason(error)}") from error
