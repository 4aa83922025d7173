"""What the operating system's errors mean to people: what it said, and what to do about it."""

from __future__ import annotations

import errno

__all__ = ["described"]

_RIGHT = "give this user the right to it, or leave it out"
_ROOM = "make room on that disk, and try again"
_REMEDIES = {
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), and try again",
    errno.EROFS: "the disk is mounted read-only: mount it writable, or name another place",
    errno.EEXIST: "something else is there: name another place",
    errno.EISDIR: "a file belongs there: move the directory away, or restore the file from a backup",
    errno.ENOTDIR: "a file is where a directory belongs: name another place",
    errno.EIO: "the disk may be failing: check it, and try again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), and try again",
}


def described(error: OSError) -> str:
    """Return what the system said, and what to do about it where that is known; the file is for the caller to name."""
    said = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{said}; {remedy}" if remedy else said
