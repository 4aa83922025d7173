"""Stores content that comes from elsewhere than a workspace, cut and digested as a workspace's files are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ctxmgr.engine.content.chunking import Content, as_chunks, as_one
from ctxmgr.engine.content.chunks import WHOLE_SIZE, PackWriter

__all__ = ["Readable", "store"]


class Readable(Protocol):
    """Something to read from; an empty answer is its end."""

    def read(self, size: int, /) -> bytes: ...


def store(stream: Readable, writer: PackWriter, count: Callable[[int], None] = lambda size: None) -> Content:
    """Read a stream to its end and store it.

    Args:
        stream: the content.
        writer: stores it; to be flushed before the content counts as stored.
        count: told how many more bytes were read; what it raises stops the work.
    """
    head = bytearray()
    while len(head) <= WHOLE_SIZE and (data := stream.read(WHOLE_SIZE + 1 - len(head))):
        count(len(data))
        head += data
    if len(head) <= WHOLE_SIZE:
        return as_one(bytes(head), writer)
    return as_chunks(_Counted(bytes(head), stream, count), writer)


class _Counted:
    """The ``readinto`` that the chunker asks for: first what was read ahead, then the stream."""

    def __init__(self, head: bytes, stream: Readable, count: Callable[[int], None]) -> None:
        self._head = memoryview(head)
        self._stream = stream
        self._count = count

    def readinto(self, buffer: memoryview) -> int:
        if self._head:
            data = self._head[: len(buffer)]
            self._head = self._head[len(data) :]
        else:
            data = memoryview(self._stream.read(len(buffer)))
            self._count(len(data))
        buffer[: len(data)] = data
        return len(data)
