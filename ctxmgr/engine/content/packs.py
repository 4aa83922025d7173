"""The pack format: chunks one after another, and behind them the table that says which.

A pack is ``chunk ... chunk table length magic``: the table is msgpack, a list of ``(digest, stored, length)`` in the
order of the chunks; its own length takes 4 bytes, little-endian. A chunk is stored as it is where ``stored`` bytes are
its ``length``, and compressed where they are fewer. With the tables alone an index of all chunks can be rebuilt.

In packs of the first version, whose magic is ``ctxpack1``, the table lists ``(digest, length)``: nothing is compressed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from ctxmgr.engine.manifest.errors import ContentError

__all__ = ["ChunkRow", "Located", "SealedPack", "seal", "table_of"]

_MAGIC: Final = b"ctxpack2"
_FIRST_MAGIC: Final = b"ctxpack1"
_TAIL: Final = struct.Struct("<I8s")

_decode = msgspec.msgpack.Decoder(list[tuple[bytes, int, int]]).decode
_decode_first = msgspec.msgpack.Decoder(list[tuple[bytes, int]]).decode
_encode = msgspec.msgpack.Encoder().encode

ChunkRow = tuple[bytes, int, int, int]
"""A chunk in a pack: its digest, its offset, the bytes it takes there, and the bytes it has."""


class Located(NamedTuple):
    """Where a chunk lies.

    Attributes:
        pack: the pack's name.
        offset: where in the pack it begins.
        stored: bytes that it takes there; fewer than ``length`` where it is compressed.
        length: bytes that it has.
    """

    pack: str
    offset: int
    stored: int
    length: int


class SealedPack(msgspec.Struct, frozen=True):
    """A pack that is complete.

    Attributes:
        name: BLAKE3-256 of the whole pack, as 64 hexadecimal digits.
        data: the whole pack.
        rows: its chunks.
    """

    name: str
    data: bytes
    rows: Sequence[ChunkRow]


def seal(parts: Sequence[bytes], rows: Sequence[ChunkRow]) -> SealedPack:
    """Complete a pack.

    Args:
        parts: the chunks as they are to be stored.
        rows: the same chunks' rows, in the same order.
    """
    table = _encode([(digest, stored, length) for digest, _, stored, length in rows])
    data = b"".join((*parts, table, _TAIL.pack(len(table), _MAGIC)))
    return SealedPack(blake3(data).hexdigest(), data, rows)


def table_of(name: str, size: int, read: Callable[[int, int], bytes | memoryview]) -> list[ChunkRow]:
    """Return the chunks of a pack, from the pack itself.

    Args:
        name: the pack's, for errors.
        size: bytes of the whole pack.
        read: returns the pack's bytes from a start to an end, exclusive.

    Raises:
        ContentError: this is no pack, damaged, or of a newer version.
    """
    tail = size - _TAIL.size
    if tail < 0:
        raise ContentError(f"pack {name} is cut off: it has {size} bytes")
    table_size, magic = _TAIL.unpack(read(tail, size))
    if magic not in (_MAGIC, _FIRST_MAGIC):
        raise ContentError(
            f"pack {name} does not end like a pack: it is cut off, damaged, or written by a newer ctxmgr"
        )
    start = tail - table_size
    if start < 0:
        raise ContentError(f"the table of pack {name} is longer than the pack")
    rows: list[ChunkRow] = []
    offset = 0
    for digest, stored, length in _listed(name, magic, read(start, tail)):
        rows.append((digest, offset, stored, length))
        offset += stored
    if offset != start:
        raise ContentError(f"the table of pack {name} lists {offset} bytes, and the pack has {start}")
    return rows


def _listed(name: str, magic: bytes, table: bytes | memoryview) -> list[tuple[bytes, int, int]]:
    try:
        if magic == _MAGIC:
            return _decode(table)
        return [(digest, length, length) for digest, length in _decode_first(table)]
    except msgspec.DecodeError as error:
        raise ContentError(f"the table of pack {name} can't be read: {error}") from error
