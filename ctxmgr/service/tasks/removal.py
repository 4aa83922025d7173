"""The removal of a whole directory, however deep it is and whatever what ran in it has left there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import Final

__all__ = ["remove_tree"]

_ROUNDS: Final = 20
_USABLE: Final = stat.S_IRWXU
_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BY_NAME: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove a directory with all that is in it, also what is read-only; one that is gone already is fine.

    Of what has taken a directory's place, only that is removed, and not what a link leads to. Every directory is
    reached by the descriptor of the one above it. Those below the first level are moved up to it before they are
    emptied, so that neither the depth of the tree nor the length of a path in it is limited by anything.

    Raises:
        OSError: something can't be removed; the error tells what and why.
    """
    above_path, name = os.path.split(os.fsencode(path))
    try:
        above = os.open(above_path or b".", _BY_NAME & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            _remove(above, name)
    finally:
        os.close(above)


def _remove(above: int, name: bytes) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=above)
        return
    top = _opened(above, name)
    try:
        _empty(top)
        # Who writes there, or removes the same, at this moment is outrun, or leaves the rest to another time.
        for _ in range(_ROUNDS):
            with suppress(OSError):
                os.rmdir(name, dir_fd=above)
                return
            _empty(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=above)


def _empty(top: int) -> None:
    waiting = _files_removed(top)
    while waiting:
        name = waiting.pop()
        # Another process may be removing the same directory; what is gone before its turn is no failure.
        with suppress(FileNotFoundError):
            inner = _opened(top, name)
            try:
                waiting += [_moved_up(inner, below, top) for below in _files_removed(inner)]
            finally:
                os.close(inner)
            try:
                os.rmdir(name, dir_fd=top)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise


def _files_removed(directory: int) -> list[bytes]:
    """Remove the files and links in a directory; return the names of the directories in it."""
    found = []
    with os.scandir(directory) as items:
        for item in items:
            name = os.fsencode(item.name)
            if item.is_dir(follow_symlinks=False):
                found.append(name)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
    return found


def _moved_up(directory: int, name: bytes, top: int) -> bytes:
    moved = b"gone-" + secrets.token_hex(12).encode()
    with suppress(FileNotFoundError):
        try:
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=top)
        except PermissionError:
            # To get another directory above it, a directory must be writable itself.
            os.close(_opened(directory, name))
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=top)
    return moved


def _opened(above: int, name: bytes) -> int:
    """Open a directory that can be read and changed, and make it so if it can't."""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=above)
    except PermissionError:
        _make_usable(above, name)
        descriptor = os.open(name, _FLAGS, dir_fd=above)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & _USABLE != _USABLE:
            os.fchmod(descriptor, _USABLE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make_usable(above: int, name: bytes) -> None:
    """Set a mode with which a directory can be opened that can't be; never that of what a link leads to."""
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(name, _USABLE, dir_fd=above, follow_symlinks=False)
        return
    descriptor = os.open(name, _BY_NAME, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", _USABLE)
    finally:
        os.close(descriptor)
