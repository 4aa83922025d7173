"""Prints of directories: what tells at one comparison that nothing in a directory has changed."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from operator import itemgetter
from typing import Final

from .dirfd import Identity, Tree, items_of

__all__ = ["DIRECTORY_NUMBERS", "Listing", "has_prints", "print_of"]

DIRECTORY_NUMBERS: Final = 0, 0, 0, 0
"""What stands in a print behind the mode of a directory, whose other numbers change with what is in it."""

_by_name = itemgetter(0)


class Listing:
    """What is in an open directory.

    Attributes:
        items: names, in order, and what lstat says of each.
        directories: the names of those that are directories.
        print: tells the items from any others; empty if nothing can.
    """

    __slots__ = ("directories", "items", "print")

    def __init__(self, directory: bytes, descriptor: int) -> None:
        """List it.

        Raises:
            WorkspaceError: it can't be read.
        """
        self.items = sorted(items_of(directory, descriptor), key=_by_name)
        self.directories: list[bytes] = []
        numbers: list[int] = []
        for name, status in self.items:
            mode = status.st_mode
            if stat.S_ISDIR(mode):
                self.directories.append(name)
                numbers += (mode, *DIRECTORY_NUMBERS)
            else:
                numbers += (mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        self.print = print_of((name for name, _ in self.items), numbers)


def print_of(names: Iterable[bytes], numbers: list[int]) -> bytes:
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
    return blake2b(packed + b"\0".join(names), digest_size=16).digest()


def has_prints(root: str, identity: Identity, prints: Mapping[bytes, bytes]) -> bool:
    """Whether a workspace is the one of an identity, has something in it, and its directories have these prints.

    Raises:
        WorkspaceError, WorkspaceChanged: it can't be read, or changes meanwhile.
    """
    left = dict(prints)
    with Tree(os.fsencode(root)) as tree:
        if tree.identity != identity:
            return False
        waiting = [b""]
        while waiting:
            directory = waiting.pop()
            listing = Listing(directory, tree.directory(directory))
            if not listing.items:
                # An empty directory has no print of its own: the one above it has its name and its mode.
                continue
            if not listing.print or left.pop(directory, b"") != listing.print:
                return False
            prefix = directory + b"/" if directory else b""
            waiting += [prefix + name for name in listing.directories]
    return bool(prints) and not left
