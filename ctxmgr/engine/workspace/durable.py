"""Files that are their owner's alone, and files and directories that survive a power cut."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["owner_only", "replace_durably", "sync_directory"]


def owner_only(path: str, flags: int) -> int:
    """Open a file, as the ``opener`` of ``open``, so that one that is made is its owner's alone."""
    return os.open(path, flags, 0o600)


def replace_durably(
    final: str | os.PathLike[str], data: bytes | bytearray | memoryview, *, unfinished: str | os.PathLike[str]
) -> None:
    """Write a file that is its owner's alone: after a crash there is the old one or the new one, and never a part.

    Args:
        final: where the file belongs. Once this returns, a power cut leaves it there.
        data: its content.
        unfinished: where it is written first, in the same file system; what is left there by a crash is overwritten.

    Raises:
        OSError: the file can't be written; the old one is as it was.
    """
    try:
        with open(unfinished, "wb", buffering=0, opener=owner_only) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        os.replace(unfinished, final)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    sync_directory(os.path.dirname(final) or ".")


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Make a directory's entries survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
