"""The packed fields of messages: zstd of msgpack, bounded where it is read."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import IO, Any, Final, Protocol, TypeVar, cast

import msgspec
import zstandard

from .limits import ACCEPTED_BLOCK, MAX_PACKED
from .tasks import RowBlock

__all__ = [
    "Garbled",
    "decode",
    "encode",
    "pack",
    "pack_blocks",
    "read_blocks",
    "unpack",
]

_T = TypeVar("_T")
_LENGTH: Final = struct.Struct("<I")
_LEVEL: Final = 3
_STEP: Final = 1 << 20
_MAX_WINDOW: Final = 8 << 20
_encoder = msgspec.msgpack.Encoder()


class Readable(Protocol):
    """What gives out bytes from the first to the last."""

    def read(self, size: int = -1, /) -> bytes: ...


class Garbled(ValueError):
    """What came is not the message that it should be, or too large; the text says what is wrong."""


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as it travels."""
    return _encoder.encode(message)


def decode(data: bytes, kind: type[_T]) -> _T:
    """Read a message.

    Raises:
        Garbled: it is none of this kind.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"this is no message of the kind {getattr(kind, '__name__', kind)}: {error}") from error


def pack(content: Any, *, most: int = MAX_PACKED) -> bytes:
    """Return zstd of msgpack.

    Args:
        most: bytes that the receiver lets come out.

    Raises:
        Garbled: it has more.
    """
    data = _encoder.encode(content)
    if len(data) > most:
        raise Garbled(f"{len(data)} bytes are to be packed, and the receiver takes at most {most}")
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def unpack(data: bytes, kind: Any, *, most: int = MAX_PACKED) -> Any:
    """Read what was packed.

    Args:
        kind: the type of the content.
        most: bytes that may come out.

    Raises:
        Garbled: it is no such content, or more.
    """
    with _opened(BytesIO(data)) as reader:
        return decode(_exactly_up_to(reader, most), kind)


def pack_blocks(blocks: Iterable[RowBlock]) -> Iterator[bytes]:
    """Return the compressed pieces, to be joined, of the blocks of a commit."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
    for block in blocks:
        data = encode(block)
        yield compressor.compress(_LENGTH.pack(len(data)) + data)
    yield compressor.flush()


def read_blocks(file: Readable, *, most: int) -> Iterator[RowBlock]:
    """Read the blocks of a commit one by one, never holding more than one of them.

    Args:
        file: what ``pack_blocks`` made, to be closed by the caller.
        most: bytes that may come out in all.

    Raises:
        Garbled: it is something else, or more.
    """
    with _opened(file) as reader:
        while head := _read(reader, _LENGTH.size):
            if len(head) < _LENGTH.size:
                raise Garbled("the changes are cut off")
            (size,) = _LENGTH.unpack(head)
            most -= size
            if size > ACCEPTED_BLOCK or most < 0:
                raise Garbled("the changes are larger than they may be")
            data = _read(reader, size)
            if len(data) < size:
                raise Garbled("the changes are cut off")
            yield decode(data, RowBlock)


def _opened(file: Readable) -> zstandard.ZstdDecompressionReader:
    # The window is memory too: a frame that asks for a larger one than any of ours is refused.
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    return decompressor.stream_reader(cast("IO[bytes]", file), read_across_frames=False, closefd=False)


def _read(reader: zstandard.ZstdDecompressionReader, size: int) -> bytes:
    found = bytearray()
    try:
        while len(found) < size and (piece := reader.read(min(_STEP, size - len(found)))):
            found += piece
    except zstandard.ZstdError as error:
        raise Garbled(f"this is no zstd: {error}") from error
    return bytes(found)


def _exactly_up_to(reader: zstandard.ZstdDecompressionReader, most: int) -> bytes:
    found = _read(reader, most + 1)
    if len(found) > most:
        raise Garbled(f"more than {most} bytes come out of a packed field")
    return found
