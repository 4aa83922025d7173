"""The pack format: chunks one after another, and behind them the table that says which.

A pack is ``chunk ... chunk table length magic``: the table is msgpack, a list of ``(digest, length)`` in the order of
the chunks; its length takes 4 bytes, little-endian. With the tables alone an index of all chunks can be rebuilt.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ctxmgr.engine.manifest.errors import ContentError

__all__ = ["TAIL_SIZE", "ChunkRow", "Located", "Pack", "Stamp", "parse_table", "seal", "table_size"]

_MAGIC: Final = b"ctxpack1"
_TAIL: Final = struct.Struct("<I8s")
TAIL_SIZE: Final = _TAIL.size

_decode = msgspec.msgpack.Decoder(list[tuple[bytes, int]]).decode
_encode = msgspec.msgpack.Encoder().encode

ChunkRow = tuple[bytes, int, int]
"""A chunk in a pack: its digest, its offset and its length in bytes."""


class Pack(msgspec.Struct, frozen=True):
    """A pack that is stored.

    Attributes:
        name: BLAKE3-256 of the whole pack, as 64 hexadecimal digits.
        size: bytes of the whole pack.
    """

    name: str
    size: int


class Located(NamedTuple):
    """Where a chunk lies: the pack's name, and the offset and length in bytes."""

    pack: str
    offset: int
    length: int


class Stamp(NamedTuple):
    """What shows, without reading a pack, that it is as it was: its size and the time of its last change.

    For a local file the time is the inode's, which no program can set back.
    """

    size: int
    changed_ns: int


def seal(chunks: Sequence[ChunkRow]) -> bytes:
    """Return what follows the chunks in their pack."""
    table = _encode([(digest, length) for digest, _, length in chunks])
    return table + _TAIL.pack(len(table), _MAGIC)


def table_size(name: str, tail: bytes) -> int:
    """Return how many bytes before the tail the table takes.

    Args:
        name: the pack's, for the error.
        tail: the pack's last ``TAIL_SIZE`` bytes.

    Raises:
        ContentError: this is no pack, or of a newer version.
    """
    if len(tail) == TAIL_SIZE:
        size, magic = _TAIL.unpack(tail)
        if magic == _MAGIC:
            return int(size)
    raise ContentError(f"pack {name} does not end like a pack: it is cut off, damaged, or written by a newer ctxmgr")


def parse_table(name: str, table: bytes, chunks_size: int) -> list[ChunkRow]:
    """Return the chunks of a pack.

    Args:
        name: the pack's, for the error.
        table: as it stands in the pack.
        chunks_size: how many bytes stand before it.

    Raises:
        ContentError: the table is damaged.
    """
    try:
        listed = _decode(table)
    except msgspec.DecodeError as error:
        raise ContentError(f"the table of pack {name} can't be read: {error}") from error
    rows: list[ChunkRow] = []
    offset = 0
    for digest, length in listed:
        rows.append((digest, offset, length))
        offset += length
    if offset != chunks_size:
        raise ContentError(f"the table of pack {name} lists {offset} bytes, and the pack has {chunks_size}")
    return rows
