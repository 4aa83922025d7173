"""Cuts content into chunks, digests it, and stores it where there is a writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from blake3 import blake3
from pyfastcdc import FastCDC

from .chunks import WHOLE_SIZE, PackWriter

__all__ = ["Content", "Source", "as_chunks", "as_one"]

Content = tuple[int, bytes, tuple[bytes, ...]]
"""Size, digest and chunks, as an entry has them."""


class Source(Protocol):
    """Something to read from; 0 bytes are its end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


def as_one(data: bytes, writer: PackWriter | None) -> Content:
    """Take content of up to `WHOLE_SIZE` bytes as one chunk; without a byte, it has none."""
    digest = _kept(data, writer)
    return len(data), digest, (digest,) if data else ()


def as_chunks(source: Source, writer: PackWriter | None, count: Callable[[int], None] = lambda size: None) -> Content:
    """Cut a source where its content says.

    Args:
        source: read to its end.
        writer: stores the chunks; to be flushed before the content counts as stored.
        count: called with the bytes of each chunk; what it raises stops the work.
    """
    whole = blake3()
    chunks: list[bytes] = []
    total = 0
    for chunk in FastCDC(WHOLE_SIZE).cut_stream(source):
        whole.update(chunk.data)
        chunks.append(_kept(chunk.data, writer))
        total += chunk.length
        count(chunk.length)
    return total, whole.digest(), tuple(chunks)


def _kept(data: bytes | memoryview, writer: PackWriter | None) -> bytes:
    if writer is None or not data:
        return blake3(data).digest()
    return writer.add(data)
