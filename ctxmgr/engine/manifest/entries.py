"""What the engine knows about one path: its entry, and the manifests that entries form."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = [
    "DIRECTORY",
    "FILE",
    "IMPLIED",
    "LINK",
    "PACK",
    "TEMPORARY_PREFIX",
    "Entry",
    "Fingerprint",
    "Manifest",
    "absolute",
    "add_implied",
    "fingerprint",
    "is_temporary",
    "kind_of",
    "parent",
    "relative",
    "same",
    "show",
    "tree_order",
]

FILE: Final = "file"
DIRECTORY: Final = "dir"
LINK: Final = "link"

PACK: Final = b"pack"
"""The target of a file that a context holds in the place of the files packed in it; a file of a user's has none."""

_LATEST_NS: Final = (1 << 63) - 1

TEMPORARY_PREFIX: Final = b".ctxmgr-tmp-"
_TEMPORARY = re.compile(re.escape(TEMPORARY_PREFIX) + rb"[0-9a-f]{16}")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One version of a file, a directory or a symbolic link.

    Attributes:
        kind: ``"file"``, ``"dir"`` or ``"link"``.
        mode: the permission bits, ``0o7777`` of them; always ``0o777`` for a link, which has none of its own.
        mtime_ns: nanoseconds since the epoch; 0 for a directory, whose time is not kept.
        size: bytes; 0 for a directory or a link.
        digest: BLAKE3-256 of the whole content; empty for a directory or a link.
        chunks: BLAKE3-256 of the chunks of the content, in order; empty for an empty file.
        target: where a link points; `PACK` for a pack; empty for the others.
    """

    kind: str
    mode: int
    mtime_ns: int = 0
    size: int = 0
    digest: bytes = b""
    chunks: tuple[bytes, ...] = ()
    target: bytes = b""


Manifest = Mapping[bytes, Entry]
"""The entries of a tree by path: in a workspace relative to the mount directory, in the catalog absolute."""


IMPLIED: Final = Entry(DIRECTORY, 0o755)
"""A directory that nobody uploaded, and that is there because something deeper was."""


class Fingerprint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What lstat says about a file or link; as long as it stays the same, so does the content.

    Attributes:
        mode: the whole ``st_mode``, with the file type.
        size: bytes.
        mtime_ns: nanoseconds since the epoch.
        ctime_ns: nanoseconds since the epoch; no program can set it back.
        inode: the inode number.
    """

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Return the fingerprint of what was statted.

    Some file systems take times that are beyond all that is kept: those before 1678 and after 2262 count as the
    nearest that is.
    """
    mtime_ns = status.st_mtime_ns
    if not -_LATEST_NS <= mtime_ns <= _LATEST_NS:
        mtime_ns = _LATEST_NS if mtime_ns > 0 else -_LATEST_NS
    return Fingerprint(status.st_mode, status.st_size, mtime_ns, status.st_ctime_ns, status.st_ino)


def kind_of(mode: int) -> str | None:
    """Return the kind of entry that an ``st_mode`` stands for; ``None`` for a device, a socket or a FIFO."""
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISDIR(mode):
        return DIRECTORY
    if stat.S_ISLNK(mode):
        return LINK
    return None


def same(one: Entry | None, other: Entry | None) -> bool:
    """Whether two versions are the same for every purpose of a user.

    How the content was cut into chunks doesn't matter, and ``None`` (nothing there) is the same as itself only.
    """
    if one is other:
        return True
    if one is None or other is None:
        return False
    return (
        one.digest == other.digest
        and one.mtime_ns == other.mtime_ns
        and one.mode == other.mode
        and one.kind == other.kind
        and one.target == other.target
    )


def parent(path: bytes) -> bytes:
    """Return the path of the directory that holds ``path``; empty at the top of a workspace."""
    return path.rpartition(b"/")[0]


def tree_order(path: bytes) -> bytes:
    """Return a sort key under which a directory comes right before everything below it.

    Plain byte order puts ``a-b`` between ``a`` and ``a/b``. No path holds a NUL, the smallest byte.
    """
    return path.replace(b"/", b"\0")


def absolute(mount: bytes, path: bytes) -> bytes:
    """Return the path in the context of a path relative to the mount directory.

    Args:
        mount: the mount path, such as ``b"/tmp/data"`` or ``b"/"``.
        path: relative to it; empty for the mount directory itself.
    """
    top = mount.rstrip(b"/")
    return top + b"/" + path if path else top or b"/"


def relative(mount: bytes, path: bytes) -> bytes | None:
    """Return the path relative to the mount directory of a path in the context.

    Returns:
        ``None`` where the path is the mount directory itself or not below it.
    """
    top = mount.rstrip(b"/") + b"/"
    return path[len(top) :] or None if path.startswith(top) else None


def is_temporary(path: bytes) -> bool:
    """Whether a path is, or lies below, a temporary name of ours: never synced, removed when found."""
    if TEMPORARY_PREFIX not in path:
        return False
    return any(_TEMPORARY.fullmatch(name) for name in path.split(b"/"))


def show(path: bytes) -> str:
    """Return a path as text for people: quoted, and readable whatever bytes it holds."""
    return repr(os.fsdecode(path))


def add_implied(found: dict[bytes, Entry]) -> None:
    """Complete a tree: what was uploaded from a deeper mount path comes without the directories above it."""
    for path in list(found):
        above = parent(path)
        while above and above not in found:
            found[above] = IMPLIED
            above = parent(above)
