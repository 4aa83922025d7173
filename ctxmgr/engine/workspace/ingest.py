"""Reads one file of a workspace in one pass: cuts it into chunks, digests it, and stores it where asked to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from ctxmgr.engine.content.chunking import Content, as_chunks, as_one
from ctxmgr.engine.content.chunks import WHOLE_SIZE, PackWriter
from ctxmgr.engine.manifest.entries import FILE, Entry, Fingerprint, fingerprint
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError, WorkspaceGone
from ctxmgr.oserrors import described

from .dirfd import Tree

__all__ = ["OnProgress", "ingest", "read_content"]

OnProgress = Callable[[int, int], None]
"""Told how many more files and bytes are done, often with zeros. What it raises stops the work."""


ATTEMPTS: Final = 5

# Without O_NONBLOCK, opening a FIFO that has just taken the file's place would wait for a writer.
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def ingest(
    tree: Tree, path: bytes, writer: PackWriter | None, progress: OnProgress | None = None
) -> tuple[Entry, Fingerprint] | None:
    """Read a file.

    A file that changes while it is read is read again, a few times.

    Args:
        tree: the workspace.
        path: the file's.
        writer: stores the content; without one it is only digested.
        progress: told the bytes of a large file as they are read, and of every file when it is done.

    Returns:
        what was read, and the fingerprint it was read under; ``None`` if the file is gone.

    Raises:
        WorkspaceChanged: it is no regular file any more.
        WorkspaceError: it can't be read, or keeps changing.
        ContentError: it can't be stored.
    """
    above, _, name = path.rpartition(b"/")
    for _attempt in range(ATTEMPTS):
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=tree.directory(above))
        except (FileNotFoundError, WorkspaceGone):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise WorkspaceChanged(path, "became a symbolic link while it was scanned") from error
            raise WorkspaceError(path, f"can't be read: {described(error)}") from error
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise WorkspaceChanged(path, "is no regular file any more")
            size, digest, chunks = read_content(descriptor, before.st_size, writer, progress)
            seen = fingerprint(os.fstat(descriptor))
        except OSError as error:
            raise WorkspaceError(path, f"can't be read: {described(error)}") from error
        finally:
            os.close(descriptor)
        if seen == fingerprint(before) and size == seen.size:
            if progress is not None:
                progress(1, 0 if size > WHOLE_SIZE else size)
            return Entry(FILE, stat.S_IMODE(seen.mode), seen.mtime_ns, size, digest, chunks), seen
    raise WorkspaceError(
        path, f"keeps changing: it was read {ATTEMPTS} times, and each time it was written meanwhile; sync again later"
    )


def read_content(descriptor: int, size: int, writer: PackWriter | None, progress: OnProgress | None = None) -> Content:
    """Read an open file from where it stands: cut it into chunks, digest it, and store it where there is a writer.

    Args:
        descriptor: the file's.
        size: bytes that it should have.
        writer: as for `ingest`.
        progress: told of each chunk of a file that is more than one.

    Returns:
        the bytes read, which are one more or some fewer than ``size`` if the file has changed; their digest; their
        chunks.
    """
    if size <= WHOLE_SIZE:
        # One byte more than there should be shows whether the file has grown; a larger buffer would cost more to map
        # than a small file to read.
        data = os.read(descriptor, size + 1)
        while len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
            data += more
        return as_one(data, writer)

    def count(length: int) -> None:
        if progress is not None:
            progress(0, length)

    return as_chunks(_Stream(descriptor, size + 1), writer, count)


class _Stream:
    """The ``readinto`` that the chunker asks for; an open file object would buffer once more."""

    def __init__(self, descriptor: int, most: int) -> None:
        self._descriptor = descriptor
        self._left = most

    def readinto(self, buffer: memoryview) -> int:
        # A file may grow faster than it can be read.
        count = os.readv(self._descriptor, [buffer[: self._left]])
        self._left -= count
        return count
