"""Prints of directories: what tells at one comparison that nothing in a directory has changed."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from operator import attrgetter
from typing import Final

from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.oserrors import described

__all__ = ["DIRECTORY_NUMBERS", "Listing", "listing_of", "print_of"]

DIRECTORY_NUMBERS: Final = 0, 0, 0, 0
"""What stands in a print behind the mode of a directory, whose other numbers change with what is in it."""

_by_name = attrgetter("name")


class Listing:
    """What is in a directory.

    Attributes:
        items: names, in order, and what lstat says of each.
        directories: the names of those that are directories.
        print: tells the items from any others; empty if nothing can.
    """

    __slots__ = ("directories", "items", "print")

    def __init__(self, items: list[tuple[str, os.stat_result]]) -> None:
        self.items = items
        self.directories: list[str] = []
        numbers: list[int] = []
        for name, status in items:
            mode = status.st_mode
            if stat.S_ISDIR(mode):
                self.directories.append(name)
                numbers += (mode, *DIRECTORY_NUMBERS)
            else:
                numbers += (mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        self.print = print_of((name for name, _ in items), numbers)


def print_of(names: Iterable[str], numbers: list[int]) -> bytes:
    """Return the print of a directory.

    Args:
        names: of its items, in order.
        numbers: for each item its mode, size, times of modification and change, and inode.
    """
    try:
        packed = array("q", numbers).tobytes()
    except OverflowError:
        # Some file systems number their inodes beyond that.
        return b""
    return blake2b(packed + os.fsencode("\0".join(names)), digest_size=16).digest()


def listing_of(directory: bytes, descriptor: int) -> Listing:
    """List an open directory.

    Raises:
        WorkspaceError: it can't be read.
    """
    found: list[tuple[str, os.stat_result]] = []
    try:
        with os.scandir(descriptor) as items:
            for item in sorted(items, key=_by_name):
                try:
                    found.append((item.name, item.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
    except OSError as error:
        raise WorkspaceError(directory, f"can't be read: {described(error)}") from error
    return Listing(found)
