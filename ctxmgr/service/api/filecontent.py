"""What a file of a context holds, read from the store a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from blake3 import blake3

from ctxmgr.engine.content.chunks import WHOLE_SIZE, BlobReader, verify_whole
from ctxmgr.engine.content.packs import Located
from ctxmgr.engine.content.store import ContentStore
from ctxmgr.engine.manifest.entries import FILE, Entry, show
from ctxmgr.engine.manifest.errors import ContentError

__all__ = ["PIECE", "content_of", "sha256_of"]

PIECE = 4 * WHOLE_SIZE
"""Bytes of a download that are in memory at a time, at most: as many as the largest chunk has."""


def content_of(stored: ContentStore, path: bytes, entry: Entry, start: int, end: int) -> Iterator[memoryview]:
    """Read a part of a file: the chunks that it touches, without what stands before and behind it."""
    wanted: list[bytes] = []
    offset = first = 0
    places = stored.locate(entry.chunks)
    for digest in entry.chunks:
        if digest not in places:
            raise ContentError(f"the content of {show(path)} is not stored: chunk {digest.hex()} is missing")
        length = places[digest].length
        if offset < end and offset + length > start:
            if not wanted:
                first = offset
            wanted.append(digest)
        offset += length
    position = first
    seen = blake3() if tuple(wanted) == entry.chunks else None
    for group in _groups(wanted, places):
        size = sum(places[digest].length for digest in group)
        part = Entry(FILE, 0, 0, size, b"", group)
        inside = slice(max(0, start - position), max(0, end - position))
        position += size
        ended = entry if position == entry.size else None
        yield memoryview(_read_whole(stored, path, part, seen, ended))[inside]  # not named: not held while it waits


def _groups(wanted: Sequence[bytes], places: Mapping[bytes, Located]) -> Iterator[tuple[bytes, ...]]:
    """Cut chunks into groups, each worth one read; a chunk that is larger comes alone."""
    group: list[bytes] = []
    size = 0
    for digest in wanted:
        length = places[digest].length
        if group and size + length > WHOLE_SIZE:
            yield tuple(group)
            group, size = [], 0
        group.append(digest)
        size += length
    if group:
        yield tuple(group)


def _read_whole(stored: ContentStore, path: bytes, part: Entry, seen: blake3 | None, ended: Entry | None) -> bytes:
    """Read some chunks; nothing of what was read for that is held any longer than it takes.

    Args:
        seen: hashes the file, where all of it is read.
        ended: the file, where these are its last chunks.
    """
    content = b"".join(piece for _, pieces in BlobReader(stored).contents({path: part}) for piece in pieces)
    if seen is not None:
        seen.update(content)
        if ended is not None:
            verify_whole(seen.digest(), ended, path)
    return content


def sha256_of(stored: ContentStore, path: bytes, entry: Entry) -> bytes:
    """Compute a file's SHA-256, which is not kept: it costs reading the file once more."""
    seen = sha256()
    for piece in content_of(stored, path, entry, 0, entry.size):
        seen.update(piece)
    return seen.digest()
