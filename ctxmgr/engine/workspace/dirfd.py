"""The directories of a workspace by descriptor, so that nothing is ever reached through a symbolic link."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final

from ctxmgr.engine.manifest.entries import parent, show
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError, WorkspaceGone
from ctxmgr.oserrors import described

__all__ = ["UNKNOWN", "Identity", "Tree", "items_of"]

Identity = tuple[int, int]
"""An inode number, and which of the inodes that had it this is; 0 where that is not told."""

UNKNOWN: Final[Identity] = 0, 0

_OPEN_DIRECTORIES: Final = 64
_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ABOVE: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_USABLE: Final = 0o700
_ROOT_PROBLEMS: Final = {
    errno.ENOENT: "does not exist: create it, or bind another one",
    errno.ENOTDIR: "is not a directory: bind another one",
}
_GET_GENERATION: Final = 0x80087601
"""Linux's ``FS_IOC_GETVERSION``; where it has another number, this one is refused."""
_NO_NAMES: Final = (b"", b".", b"..")


class Tree:
    """A workspace's directories, opened one below the other and kept open while they are needed.

    A directory that is read-only is made writable when something in it has to change; `settle` takes that back.
    """

    def __init__(self, root: bytes) -> None:
        """Open the root.

        Args:
            root: the mount directory's real path: a link that has taken the place of any part of it is not followed.

        Raises:
            WorkspaceError: it is no directory, or can't be opened.
        """
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._writable: set[bytes] = set()
        self._before: dict[bytes, int] = {}
        try:
            self._root = _opened(root)
        except OSError as error:
            problem = _ROOT_PROBLEMS.get(error.errno or 0, f"can't be opened: {described(error)}")
            raise WorkspaceError(b"", f"{show(root)} {problem}") from error

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        os.close(self._root)

    @property
    def identity(self) -> Identity:
        """What tells the root from another directory that was made in its place."""
        generation = bytearray(8)
        # File systems without generations hardly use an inode number again soon.
        with suppress(OSError):
            fcntl.ioctl(self._root, _GET_GENERATION, generation)
        return os.fstat(self._root).st_ino, int.from_bytes(generation, sys.byteorder)

    def directory(self, path: bytes) -> int:
        """Return a descriptor of a directory, good until the next call.

        Raises:
            WorkspaceGone: it, or a directory above it, is not there any more.
            WorkspaceChanged: it, or a directory above it, is something else now.
            WorkspaceError: it can't be opened.
        """
        if not path:
            return self._root
        if path.startswith(b"/"):
            raise _no_path(path)
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        start = parent(path)
        while start and start not in self._open:
            start = parent(start)
        descriptor = self.directory(start)
        rest = path[len(start) :].lstrip(b"/")
        for name in rest.split(b"/"):
            start = start + b"/" + name if start else name
            descriptor = self._step(descriptor, name, start)
        return descriptor

    def forget(self, path: bytes) -> None:
        """Close a directory that is about to be removed."""
        self._writable.discard(path)
        self._before.pop(path, None)
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def place(self, path: bytes) -> tuple[int, bytes]:
        """Return the descriptor of the directory that holds a path, made writable, and the path's last name.

        Raises:
            WorkspaceError: the path leads, or would lead, elsewhere; or what `directory` raises.
        """
        above, _, name = path.rpartition(b"/")
        if name in _NO_NAMES or b"\0" in path or path.startswith(b"/"):
            raise _no_path(path)
        descriptor = self.directory(above)
        if above not in self._writable:
            self._make_writable(above, descriptor)
        return descriptor, name

    def settle(self, modes: dict[bytes, int]) -> None:
        """Set the final modes of directories, deepest first.

        Args:
            modes: what the modes of some directories are to be. Those that were made writable and are not among them
                get back the modes they had.
        """
        final = {**self._before, **modes}
        for path in sorted(final, key=lambda path: path.count(b"/") if path else -1, reverse=True):
            descriptor = self.directory(path)
            self._before.pop(path, None)
            self._writable.discard(path)
            if stat.S_IMODE(os.fstat(descriptor).st_mode) == final[path]:
                continue
            try:
                os.fchmod(descriptor, final[path])
            except OSError as error:
                raise WorkspaceError(path, f"can't be given mode {final[path]:04o}: {described(error)}") from error

    def _step(self, above: int, name: bytes, path: bytes) -> int:
        if name in _NO_NAMES:
            raise _no_path(path)
        try:
            descriptor = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            raise _not_a_directory(path, error) from error
        self._open[path] = descriptor
        if len(self._open) > _OPEN_DIRECTORIES:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def _make_writable(self, path: bytes, descriptor: int) -> None:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & _USABLE != _USABLE:
            try:
                os.fchmod(descriptor, mode | _USABLE)
            except OSError as error:
                raise WorkspaceError(path, f"is read-only and can't be made writable: {described(error)}") from error
            self._before[path] = mode
        self._writable.add(path)


def items_of(directory: bytes, descriptor: int) -> Iterator[tuple[bytes, os.stat_result]]:
    """List an open directory: names, in no order, and what lstat says of each.

    Raises:
        WorkspaceError: it can't be read.
    """
    try:
        with os.scandir(descriptor) as items:
            for item in items:
                try:
                    yield os.fsencode(item.name), item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
    except OSError as error:
        raise WorkspaceError(directory, f"can't be read: {described(error)}") from error


def _no_path(path: bytes) -> WorkspaceError:
    return WorkspaceError(path, "can't be written: an empty name, '.', '..' or a NUL in a path leads astray")


def _not_a_directory(path: bytes, error: OSError) -> WorkspaceError:
    if error.errno == errno.ENOENT:
        return WorkspaceGone(path, "was removed after it was scanned")
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return WorkspaceChanged(path, "is no directory any more: it may be a symbolic link, and those are not followed")
    return WorkspaceError(path, f"can't be opened: {described(error)}")


def _opened(root: bytes) -> int:
    """Open a directory, one step after the other: what a session runs may put a link anywhere in the path meanwhile."""
    parts = [part for part in os.path.abspath(root).split(b"/") if part]
    descriptor = os.open(b"/", _ABOVE if parts else _FLAGS)
    for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        above = descriptor
        try:
            descriptor = os.open(part, _ABOVE if left else _FLAGS | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return descriptor
