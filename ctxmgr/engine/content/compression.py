"""Compression of single chunks, each by itself, so that any of them can be read without the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import zstandard
from blake3 import blake3

from ctxmgr.engine.manifest.errors import ContentError

__all__ = ["MAX_CHUNK", "Compressor", "Expander"]

MAX_CHUNK: Final = 4 << 20
"""Bytes of the largest chunk that a file is cut into: what claims to expand to more is damaged."""

_LEVEL: Final = 1
_LARGE: Final = 128 << 10
_SAMPLE: Final = 4 << 10
_GAIN: Final = _SAMPLE // 100


class Compressor:
    """Compresses chunks. Used by one thread."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL)

    def smaller(self, data: bytes) -> bytes:
        """Return a chunk as it is to be stored: compressed, or as it is where that is not smaller."""
        if len(data) >= _LARGE and not any(map(self._shrinks, _samples(data))):
            return data
        packed = self._zstd.compress(data)
        return packed if len(packed) < len(data) else data

    def _shrinks(self, sample: bytes) -> bool:
        return len(self._zstd.compress(sample)) < len(sample) - _GAIN


def _samples(data: bytes) -> Iterator[bytes]:
    """Cut a few pieces out of a large chunk: where none of them shrinks, to try all of it would be for nothing."""
    for at in (len(data) // 4, len(data) // 2, len(data) * 3 // 4):
        yield data[at : at + _SAMPLE]


class Expander:
    """Makes of what is stored the chunks that were. Used by one thread."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor()

    def chunk(self, stored: bytes | memoryview, length: int, digest: bytes) -> memoryview:
        """Return a chunk, compared with its name.

        Args:
            stored: as it lies in the pack.
            length: bytes that the chunk has, which bound the memory this takes.
            digest: BLAKE3-256 of the chunk, by which it is named.

        Raises:
            ContentError: it is damaged.
        """
        data = memoryview(stored if len(stored) == length else self._expanded(stored, length, digest))
        if blake3(data).digest() != digest:
            raise ContentError(f"chunk {digest.hex()} is damaged: what is stored has another digest")
        return data

    def _expanded(self, stored: bytes | memoryview, length: int, digest: bytes) -> bytes:
        try:
            if length > MAX_CHUNK or zstandard.frame_content_size(stored) != length:
                raise ContentError(f"chunk {digest.hex()} is damaged: it does not expand to {length} bytes")
            return self._zstd.decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ContentError(f"chunk {digest.hex()} is damaged: it can't be expanded: {error}") from error
