"""Carries out a download's plan in a workspace, without losing anything that was changed there meanwhile.

Files are not fsynced: after a power cut the workspace may lack what was written last, as with any program's files. The
context has it, and whoever is unsure downloads into an empty directory.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ctxmgr.engine.manifest.entries import (
    DIRECTORY,
    FILE,
    LINK,
    TEMPORARY_PREFIX,
    Entry,
    Fingerprint,
    Manifest,
    fingerprint,
    parent,
    show,
    tree_order,
)
from ctxmgr.engine.manifest.errors import ContentError, WorkspaceChanged, WorkspaceError
from ctxmgr.engine.manifest.merge import Plan
from ctxmgr.oserrors import described

from .dirfd import Tree
from .fresh import LARGEST_FILE, LONGEST_DIRECTORY, UNPLACED, filling
from .ingest import ingest
from .scan import TICK_NS, OnProgress, Scan

__all__ = ["Contents", "apply"]

_USABLE: Final = 0o700
_NO_HARD_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class Contents(Protocol):
    """What reads the content of files."""

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        """Read the content of files in any order, each to be used up before the next is asked for.

        Raises:
            ContentError: content is missing or damaged; by the call, or by the iterators.
        """


def apply(
    root: str | bytes | os.PathLike[str],
    plan: Plan,
    scanned: Scan,
    reader: Contents,
    *,
    progress: OnProgress | None = None,
    journal: Path | None = None,
) -> dict[bytes, Fingerprint | None]:
    """Write and remove in a workspace what a download's plan says.

    Every file appears under its name complete, with its mode and time, but for small ones in directories that are made
    here and nobody else has yet. Before something is replaced or removed, it is compared with what the scan saw. When
    this is interrupted, what is done is done: scan and plan again.

    Args:
        root: the mount directory.
        plan: what to do.
        scanned: what the plan was made from.
        reader: gives the content.
        progress: told the files and bytes written.
        journal: where it is noted which files are being made, for `fresh.remove_unfinished`; without it, each gets a
            temporary name first.

    Returns:
        the fingerprints of what was written; ``None`` where a later change might not show in it.

    Raises:
        WorkspaceChanged: something is not what the scan saw; it was left alone. Scan and plan again.
        WorkspaceError: something can't be written or removed; the message names it.
        ContentError: content is missing or damaged.
    """
    contents = reader.contents({path: entry for path, entry in plan.write.items() if entry.kind == FILE})
    with Tree(os.fsencode(root)) as tree:
        work = _Work(tree, scanned, progress)
        try:
            modes = work.existing_directories(plan)
            work.remove(plan)
            work.plan_directories(plan)
            for path, entry in plan.write.items():
                if entry.kind == LINK:
                    work.write_link(path, entry)
            work.write_files(plan.write, contents, journal)
            work.make_other_directories()
            tree.settle(modes | work.modes)
        except ContentError as error:
            with suppress(WorkspaceError, OSError):
                tree.settle({})
            raise ContentError(f"{error}; no file was replaced with it") from error
        except BaseException:
            with suppress(WorkspaceError, OSError):
                tree.settle({})
            raise
        return work.written


class _Work:
    """The steps of one apply, and what they have to know of each other.

    Attributes:
        written: the fingerprints of what was written.
        modes: those that some of the new directories are to have in the end; until then they are writable.
    """

    def __init__(self, tree: Tree, scanned: Scan, progress: OnProgress | None) -> None:
        self.written: dict[bytes, Fingerprint | None] = {}
        self.modes: dict[bytes, int] = {}
        self._tree = tree
        self._scanned = scanned
        self._progress = progress or (lambda files, size: None)
        self._unlinked: set[int] = set()
        self._temporary_names = map((_temporary_prefix() + b"%08x").__mod__, count())
        self._unmade: dict[bytes, Entry] = {}
        self._fresh: set[bytes] = {b""} if not (scanned.manifest or scanned.skipped or scanned.outside) else set()

    def existing_directories(self, plan: Plan) -> dict[bytes, int]:
        """Return the modes that directories which are there already are to have in the end."""
        modes: dict[bytes, int] = {}
        for path, entry in plan.write.items():
            before = self._scanned.manifest.get(path)
            if entry.kind == DIRECTORY and before is not None and before.kind == DIRECTORY:
                if stat.S_IMODE(os.fstat(self._tree.directory(path)).st_mode) != before.mode:
                    raise WorkspaceChanged(path, "was given another mode after it was scanned")
                modes[path] = entry.mode
        return modes

    def remove(self, plan: Plan) -> None:
        """Remove what goes, and what has to make place for something of another kind."""
        gone = set(plan.remove)
        for path, entry in plan.write.items():
            before = self._scanned.manifest.get(path)
            if before is not None and (before.kind == DIRECTORY) != (entry.kind == DIRECTORY):
                gone.add(path)
        for path in sorted(gone, key=tree_order, reverse=True):
            above, name = self._tree.place(path)
            try:
                if self._scanned.manifest[path].kind == DIRECTORY:
                    self._tree.forget(path)
                    os.rmdir(name, dir_fd=above)
                else:
                    self._compare(path, above, name)
                    os.unlink(name, dir_fd=above)
            except FileNotFoundError as error:
                raise WorkspaceChanged(path, "was removed after it was scanned") from error
            except NotADirectoryError as error:
                raise WorkspaceChanged(path, "is no directory any more") from error
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise WorkspaceChanged(path, "got something new in it after it was scanned") from error
                raise WorkspaceError(path, f"can't be removed: {described(error)}") from error

    def plan_directories(self, plan: Plan) -> None:
        """Note the new directories; each is made when something in it is, while writers are busy with others."""
        for path, entry in plan.write.items():
            if entry.kind == DIRECTORY:
                before = self._scanned.manifest.get(path)
                if before is None or before.kind != DIRECTORY:
                    self._unmade[path] = entry

    def make_other_directories(self) -> None:
        """Make the new directories that no file needed."""
        for path in sorted(self._unmade, key=tree_order):
            self._make(path, self._unmade[path])

    def _make_above(self, path: bytes) -> bytes:
        """Make the directory that a path lies in, and those above it, unless they are there; return it."""
        above = directory = parent(path)
        missing = []
        while directory in self._unmade:
            missing.append((directory, self._unmade.pop(directory)))
            directory = parent(directory)
        for directory, entry in reversed(missing):
            self._make(directory, entry)
        return above

    def _make(self, path: bytes, entry: Entry) -> None:
        above, name = self._tree.place(path)
        try:
            os.mkdir(name, _USABLE, dir_fd=above)
            os.fchmod(self._tree.directory(path), entry.mode | _USABLE)
        except FileExistsError as error:
            raise WorkspaceChanged(path, "appeared after it was scanned") from error
        except OSError as error:
            raise WorkspaceError(path, f"can't be made: {described(error)}") from error
        self._fresh.add(path)
        if entry.mode | _USABLE != entry.mode:
            self.modes[path] = entry.mode

    def write_files(
        self, entries: Manifest, contents: Iterator[tuple[bytes, Iterator[memoryview]]], journal: Path | None
    ) -> None:
        """Write all files: those that are small, in directories that were made just now, at once under their names."""
        if journal is None or not (self._fresh or self._unmade):
            for path, pieces in contents:
                self._make_above(path)
                self.write_file(path, entries[path], pieces)
            return
        with filling(self._tree, journal, len(entries), self._made) as fresh:
            for path, pieces in contents:
                entry, above = entries[path], self._make_above(path)
                small = len(entry.chunks) <= 1 and entry.size <= LARGEST_FILE
                if small and above in self._fresh and len(above) <= LONGEST_DIRECTORY:
                    fresh.add(path, entry, pieces)
                else:
                    self.write_file(path, entry, pieces)

    def _made(self, path: bytes, entry: Entry, seen: Fingerprint) -> None:
        intact = (seen.size, seen.mtime_ns) == (entry.size, entry.mtime_ns)
        self.written[path] = seen if intact and _is_telling(seen) else None
        self._progress(1, entry.size)

    def write_file(self, path: bytes, entry: Entry, pieces: Iterator[memoryview]) -> None:
        """Write a file under a temporary name and put it in its place."""
        above, name = self._tree.place(path)
        temporary = next(self._temporary_names)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(temporary, flags, 0o600, dir_fd=above)
            try:
                for piece in pieces:
                    rest = piece
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                    self._progress(0, len(piece))
                os.fchmod(descriptor, entry.mode)
                os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
                ready = os.fstat(descriptor)
                self._publish(path, above, temporary, name)
                # By descriptor, so that what is remembered is our file even if another has taken its name already.
                self._remember(path, ready, os.fstat(descriptor))
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=above)
                raise
            finally:
                os.close(descriptor)
        except FileNotFoundError as error:
            raise WorkspaceChanged(path, UNPLACED) from error
        except OSError as error:
            raise WorkspaceError(path, f"can't be written: {described(error)}") from error
        self._progress(1, 0)

    def write_link(self, path: bytes, entry: Entry) -> None:
        """Make a symbolic link under a temporary name and put it in its place."""
        self._make_above(path)
        above, name = self._tree.place(path)
        temporary = next(self._temporary_names)
        try:
            os.symlink(entry.target, temporary, dir_fd=above)
            try:
                times = (entry.mtime_ns, entry.mtime_ns)
                os.utime(temporary, ns=times, dir_fd=above, follow_symlinks=False)
                ready = os.stat(temporary, dir_fd=above, follow_symlinks=False)
                self._publish(path, above, temporary, name)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=above)
                raise
            try:
                self._remember(path, ready, os.stat(name, dir_fd=above, follow_symlinks=False))
            except FileNotFoundError:
                self.written[path] = None
        except FileNotFoundError as error:
            raise WorkspaceChanged(path, UNPLACED) from error
        except OSError as error:
            raise WorkspaceError(path, f"can't be made a link to {show(entry.target)}: {described(error)}") from error
        self._progress(1, 0)

    def _publish(self, path: bytes, above: int, temporary: bytes, name: bytes) -> None:
        before = self._scanned.manifest.get(path)
        if before is None or before.kind == DIRECTORY:
            try:
                # Unlike a rename, this fails if something has appeared under the name.
                os.link(temporary, name, src_dir_fd=above, dst_dir_fd=above, follow_symlinks=False)
                os.unlink(temporary, dir_fd=above)
                return
            except FileExistsError as error:
                raise WorkspaceChanged(path, "appeared after it was scanned") from error
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
        self._compare(path, above, name)
        os.rename(temporary, name, src_dir_fd=above, dst_dir_fd=above)

    def _compare(self, path: bytes, above: int, name: bytes) -> None:
        """Refuse to go on where a file or link is not what the scan saw."""
        seen = self._scanned.fingerprints.get(path)
        try:
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
        except FileNotFoundError as error:
            if seen is None:
                return
            raise WorkspaceChanged(path, "was removed after it was scanned") from error
        if seen is None:
            raise WorkspaceChanged(path, "appeared after it was scanned")
        now = fingerprint(status)
        if now != seen and status.st_ino in self._unlinked:
            # Another name of the same file was removed by us, which changes nothing but this time.
            now = msgspec.structs.replace(now, ctime_ns=seen.ctime_ns)
        if now != seen or (path in self._scanned.racy and not self._holds_the_same(path, above, name)):
            raise WorkspaceChanged(path, "changed after it was scanned")
        if status.st_nlink > 1:
            self._unlinked.add(status.st_ino)

    def _holds_the_same(self, path: bytes, above: int, name: bytes) -> bool:
        """Whether a file or link still holds what the scan read, where its fingerprint may not tell."""
        scanned = self._scanned.manifest[path]
        if scanned.kind == LINK:
            return os.readlink(name, dir_fd=above) == scanned.target
        read = ingest(self._tree, path, None)
        return read is not None and read[0].digest == scanned.digest

    def _remember(self, path: bytes, ready: os.stat_result, published: os.stat_result) -> None:
        seen = fingerprint(published)
        intact = msgspec.structs.replace(fingerprint(ready), ctime_ns=seen.ctime_ns) == seen
        self.written[path] = seen if intact and _is_telling(seen) else None


def _is_telling(seen: Fingerprint) -> bool:
    """Whether a later write shows in the time of change: not if that is as fresh as the write."""
    return seen.mtime_ns + TICK_NS < seen.ctime_ns


def _temporary_prefix() -> bytes:
    return TEMPORARY_PREFIX + secrets.token_hex(4).encode()
