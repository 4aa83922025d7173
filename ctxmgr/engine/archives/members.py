"""The members of an archive as they are collected: a tree that stays below its folder, whatever the archive says."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from typing import Final

from ctxmgr.engine.content.chunking import Content
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, is_temporary, parent, show
from ctxmgr.engine.manifest.errors import ArchiveError

__all__ = ["MAX_MEMBERS", "Bounds", "Members"]

MAX_MEMBERS: Final = 200_000
MAX_BYTES: Final = 64 << 30
MAX_RATIO: Final = 200
RATIO_FREE_BYTES: Final = 64 << 20

MAX_NAMES_BYTES: Final = 64 << 20
MAX_NAME: Final = 255
MAX_PATH: Final = 2048
_LATEST_NS: Final = (1 << 63) - 1
_LINK_MODE: Final = 0o777
_FOLDER_MODE: Final = 0o755


class Bounds:
    """How much an archive may unpack to: 64 GiB, and no more than 200 times its size where that is above 64 MiB."""

    def __init__(self, packed: int) -> None:
        """Allow what an archive of that many bytes may hold."""
        self._most = min(MAX_BYTES, max(RATIO_FREE_BYTES, packed * MAX_RATIO))
        self._packed = packed
        self._bytes = 0

    def count(self, size: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            ArchiveError: they are too many.
        """
        self._bytes += size
        if self._bytes > self._most:
            raise ArchiveError(f"it has {self._packed} bytes and unpacks to more than {self._most}: it may be a bomb")


class Members:
    """Collects members, and refuses those that could not be unpacked faithfully and safely everywhere."""

    def __init__(self) -> None:
        self._found: dict[bytes, Entry] = {}
        self._spelled: dict[str, bytes] = {}
        self._names_bytes = 0

    def add_folder(self, name: bytes, mode: int) -> None:
        """Add a directory; one that was implied by what is in it gets the mode."""
        path = _checked(name)
        if path:
            self._place(path, Entry(DIRECTORY, mode & 0o777 | 0o700))

    def add_file(self, name: bytes, mode: int, mtime_ns: int, content: Content, *, replace: bool = False) -> None:
        """Add a regular file.

        Args:
            name: as the archive spells it.
            mode: the permission bits; the owner's to read and write are set.
            mtime_ns: nanoseconds since the epoch.
            content: what is in it.
            replace: whether the archive may name it twice, the later being meant.
        """
        size, digest, chunks = content
        self._place(
            _checked_file(name), Entry(FILE, mode & 0o777 | 0o600, _time(mtime_ns), size, digest, chunks), replace
        )

    def add_hard_link(self, name: bytes, original: bytes, *, replace: bool = False) -> None:
        """Add another name of a file that the archive holds before."""
        entry = self._found.get(_checked(original))
        if entry is None or entry.kind != FILE:
            raise ArchiveError(
                f"its member {show(name)} is a hard link to {show(original)}, which is no file before it"
            )
        self._place(_checked_file(name), entry, replace)

    def add_link(self, name: bytes, target: bytes, mtime_ns: int, *, replace: bool = False) -> None:
        """Add a symbolic link, if it stays inside whatever other links there are."""
        path = _checked_file(name)
        parts = target.split(b"/")
        climbs = next((at for at, part in enumerate(parts) if part != b".."), len(parts))
        # Behind a name, which may be another link, ".." leads who knows where.
        if not target or target.startswith(b"/") or b"\0" in target or b".." in parts[climbs:]:
            raise ArchiveError(f"its member {show(name)} links to {show(target)}, which may lead out of its folder")
        if climbs > path.count(b"/"):
            raise ArchiveError(f"its member {show(name)} links to {show(target)}, which leads out of its folder")
        self._place(path, Entry(LINK, _LINK_MODE, _time(mtime_ns), target=target), replace)

    def finish(self) -> dict[bytes, Entry]:
        """Return the members by path, with all directories.

        Raises:
            ArchiveError: something lies in what is no directory, or two names are one on some file systems.
        """
        for path in list(self._found):
            above = parent(path)
            while above:
                entry = self._found.get(above)
                if entry is None:
                    self._keep(above, Entry(DIRECTORY, _FOLDER_MODE))
                elif entry.kind != DIRECTORY:
                    raise ArchiveError(f"its member {show(path)} lies in {show(above)}, which is no directory")
                above = parent(above)
        for path in self._found:
            spelled = unicodedata.normalize("NFC", os.fsdecode(path)).casefold()
            other = self._spelled.setdefault(spelled, path)
            if other != path:
                raise ArchiveError(
                    f"its members {show(other)} and {show(path)} have the same name where case or accents don't count"
                )
        return self._found

    def _place(self, path: bytes, entry: Entry, replace: bool = False) -> None:
        there = self._found.get(path)
        merging = there is not None and there.kind == entry.kind == DIRECTORY
        replacing = replace and there is not None and DIRECTORY not in (there.kind, entry.kind)
        if there is not None and not merging and not replacing:
            raise ArchiveError(f"it has two members of the name {show(path)}")
        self._keep(path, entry)

    def _keep(self, path: bytes, entry: Entry) -> None:
        self._found[path] = entry
        self._names_bytes += len(path)
        if len(self._found) > MAX_MEMBERS:
            raise ArchiveError(f"it has more than {MAX_MEMBERS} members: it may be a bomb")
        if self._names_bytes > MAX_NAMES_BYTES:
            raise ArchiveError(f"the names of its members have more than {MAX_NAMES_BYTES} bytes: it may be a bomb")


def _checked(name: bytes) -> bytes:
    """Return a member's path relative to the folder that it goes to; empty for the folder itself."""
    if name.startswith(b"/") or b"\0" in name:
        raise ArchiveError(f"its member {show(name)} has an absolute name")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ArchiveError(f"the name of its member {show(name)} leads out of its folder")
    path = b"/".join(parts)
    if len(path) > MAX_PATH or any(len(part) > MAX_NAME for part in parts):
        raise ArchiveError(f"the name of its member {show(name[:80])}… is too long")
    if is_temporary(path):
        raise ArchiveError(f"its member {show(name)} has a name that is kept for temporary files")
    return path


def _checked_file(name: bytes) -> bytes:
    path = _checked(name)
    if not path or posixpath.basename(name) in (b"", b"."):
        raise ArchiveError(f"its member {show(name)} is a file with the name of a folder")
    return path


def _time(ns: int) -> int:
    return ns if -_LATEST_NS <= ns <= _LATEST_NS else 0
