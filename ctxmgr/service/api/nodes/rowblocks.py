"""What a commit of a node brings: checked path by path, since a node may lie, and never held as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import IO, Final

from blake3 import blake3
from sqlalchemy import Connection

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import Located
from ctxmgr.engine.content.store import ContentStore
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, PACK, Entry, absolute, is_temporary, show
from ctxmgr.engine.policy.mounts import ancestors, normalised
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import trees
from ctxmgr.service.catalog.contextfiles import MAX_NAME, MAX_PATH

__all__ = ["Blocks", "check_tree"]

MOST_BYTES: Final = 4 << 30
"""That come out of the changes of a commit: some twenty million entries."""
MOST_CHANGES: Final = 16
MAX_TEXT: Final = 64
AT_ONCE: Final = 1_000
_DIGEST: Final = 32
_MOST: Final = (1 << 63) - 1
_BAD_NAMES: Final = frozenset([b"", b".", b".."])


class Blocks:
    """The blocks of a commit's changes, read from a file each time they are gone through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = b""

    def __iter__(self) -> Iterator[nodewire.RowBlock]:
        """Go through the blocks, also while another pass is under way.

        Raises:
            Garbled: they can't be read, or are not what they were at the first pass: a node may still write to a file.
        """
        whole = _Pass(self._file)
        yield from nodewire.read_blocks(whole, most=MOST_BYTES)
        self._digest = self._digest or whole.digest()
        if whole.digest() != self._digest:
            raise nodewire.Garbled("the changes have changed since they were checked")

    def check(self, content: ContentStore) -> None:
        """Check that a context could hold what they bring.

        Args:
            content: the account's, in which all chunks have to be.

        Raises:
            Garbled: they can't be read.
            ServiceError: ``InvalidFile.Malformed``, or ``InvalidChunk.NotFound`` for a chunk that the account has not.
        """
        before: nodewire.RowBlock | None = None
        for block in self:
            _check_order(before, block)
            base = os.fsencode(block.mount)
            for path in (*(path for path, _ in block.put), *block.drop, *block.current):
                _check_path(base, path)
            for path, entry in block.put:
                if problem := _problem(entry):
                    raise _refused(path, problem)
            _check_chunks(block, content)
            before = block


class _Pass:
    """Reads a file from its start on, wherever others that read it have come to."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0
        self._read = blake3()

    def read(self, size: int = -1, /) -> bytes:
        self._file.seek(self._at)
        piece = self._file.read(size)
        self._at += len(piece)
        self._read.update(piece)
        return piece

    def digest(self) -> bytes:
        """Return the BLAKE3 of what was read."""
        return self._read.digest()


def check_tree(connection: Connection, context_id: str, number: int, blocks: Iterable[nodewire.RowBlock]) -> None:
    """Check that nothing of what a revision has put lies in a file, and that none of its files holds anything.

    Args:
        connection: the transaction in which the rows were written.
        number: the revision's.
        blocks: its blocks.

    Raises:
        ServiceError: ``InvalidFile.Conflict``.
    """
    for block in blocks:
        base = os.fsencode(block.mount)
        above = {name for path, _ in block.put for name in ancestors(absolute(base, path))[1:]}
        # Of a path there is one current row at most.
        above -= {absolute(base, path) for path, entry in block.put if entry.kind == DIRECTORY}
        for some in _batches(above):
            if (found := trees.leaf_among(connection, context_id, some)) is not None:
                raise _conflict(found)
        if number == 1:
            # Nothing was there before, and what came with it has these files above it.
            continue
        leaves = [absolute(base, path) for path, entry in block.put if entry.kind != DIRECTORY]
        for some in _batches(leaves):
            if (found := trees.holder_among(connection, context_id, some)) is not None:
                raise _conflict(found)


def _check_order(before: nodewire.RowBlock | None, block: nodewire.RowBlock) -> None:
    expected = 0 if before is None else before.change
    goes_on = before is not None and block.change == before.change
    if not goes_on and block.change != (0 if before is None else expected + 1):
        raise _malformed(f"the block of the change {block.change} is not in its place")
    if block.change >= MOST_CHANGES:
        raise _malformed(f"there are more than {MOST_CHANGES} changes")
    told = (block.mount, block.note, block.workspace)
    if goes_on and before is not None and told != (before.mount, before.note, before.workspace):
        raise _malformed("the blocks of one change differ in mount, note or workspace")
    if normalised(block.mount, name="mount") != block.mount:
        raise _malformed(f"the mount path {block.mount!r} is not normal")
    if len(block.note) > MAX_TEXT or len(block.workspace) > MAX_TEXT or "\0" in block.note + block.workspace:
        raise _malformed(f"a note or the name of a workspace has more than {MAX_TEXT} characters, or NUL")


def _check_path(base: bytes, path: bytes) -> None:
    names = path.split(b"/")
    if not _BAD_NAMES.isdisjoint(names):
        raise _refused(path, 'a path is relative, and none of its names is empty, "." or ".."')
    if b"\0" in path:
        raise _refused(path, "a path has no NUL")
    if len(base) + 1 + len(path) > MAX_PATH or max(map(len, names)) > MAX_NAME:
        raise _refused(path, f"a path has at most {MAX_PATH} bytes, and each name in it {MAX_NAME}")
    if is_temporary(path):
        raise _refused(path, "the name only stands for an unfinished file")


def _problem(entry: Entry) -> str:
    """Return why a context can't hold an entry; "" if it can."""
    if not 0 <= entry.mode <= 0o7777 or not -_MOST <= entry.mtime_ns <= _MOST or not 0 <= entry.size <= _MOST:
        return "the mode, the time or the size is out of range"
    if entry.kind == FILE:
        return _problem_of_file(entry)
    if entry.kind not in (DIRECTORY, LINK):
        return f"the kind is {entry.kind[:20]!r}"
    if entry.size or entry.digest or entry.chunks:
        return "only a file has content"
    if entry.kind == DIRECTORY:
        return "a directory has no target" if entry.target else ""
    if not entry.target or len(entry.target) > MAX_PATH or b"\0" in entry.target:
        return f"the target of a link has 1 to {MAX_PATH} bytes, and no NUL"
    return ""


def _problem_of_file(entry: Entry) -> str:
    if entry.target not in (b"", PACK):
        return "a file has no target"
    if len(entry.digest) != _DIGEST or any(len(digest) != _DIGEST for digest in entry.chunks):
        return "the name of the content, or of a chunk, is no BLAKE3-256"
    if bool(entry.size) != bool(entry.chunks):
        return "a file has chunks exactly if it has content"
    if len(entry.chunks) == 1 and entry.chunks[0] != entry.digest:
        return "the only chunk is not the content"
    return ""


def _check_chunks(block: nodewire.RowBlock, content: ContentStore) -> None:
    places = content.locate({digest for _, entry in block.put for digest in entry.chunks})
    for path, entry in block.put:
        if not entry.chunks:
            continue
        size = _size_of(path, entry, places)
        if size != entry.size:
            raise _refused(path, f"its chunks have {size} bytes, and it should have {entry.size}")


def _size_of(path: bytes, entry: Entry, places: Mapping[bytes, Located]) -> int:
    size = 0
    for digest in entry.chunks:
        place = places.get(digest)
        if place is None:
            raise ServiceError(
                "InvalidChunk.NotFound",
                f"{show(path)} has the chunk {digest.hex()}, which this account has not stored: store it first",
            )
        size += place.length
    return size


def _batches(paths: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(paths)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _refused(path: bytes, problem: str) -> ServiceError:
    return ServiceError("InvalidFile.Malformed", f"{show(path[:200])} can't be kept: {problem}")


def _conflict(path: bytes) -> ServiceError:
    return ServiceError("InvalidFile.Conflict", f"{show(path[:200])} would be a file, and hold something")


def _malformed(problem: str) -> ServiceError:
    return ServiceError("InvalidParameter.Malformed", f"the changes can't be made: {problem}")
