"""Files that are their owner's alone, and directories that survive a power cut."""

from __future__ import annotations

import os

__all__ = ["owner_only", "sync_directory"]


def owner_only(path: str, flags: int) -> int:
    """Open a file, as the ``opener`` of ``open``, so that one that is made is its owner's alone."""
    return os.open(path, flags, 0o600)


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Make a directory's entries survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
