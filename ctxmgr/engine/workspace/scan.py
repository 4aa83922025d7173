"""Finds out what a workspace has now, reading only the files that are not as they were at the last sync."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import msgspec

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.entries import (
    DIRECTORY,
    FILE,
    LINK,
    TEMPORARY_PREFIX,
    Entry,
    Fingerprint,
    fingerprint,
    is_temporary,
)
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError, WorkspaceGone
from ctxmgr.engine.policy.ignore import IGNORE_FILE, MAX_IGNORE_FILE, Ignores
from ctxmgr.engine.policy.whitelist import Selection
from ctxmgr.oserrors import described

from .dirfd import UNKNOWN, Identity, Tree, items_of
from .ingest import OnProgress, ingest
from .state import Known, WorkspaceState

__all__ = ["LINK_MODE", "TICK_NS", "OnProgress", "Scan", "Walk", "scan", "store_files"]

TICK_NS: Final = 20_000_000
"""Nanoseconds within which a file system may give two writes the same time; the coarsest kernel tick is 10 ms."""

COARSE_TICK_NS: Final = 2_000_000_000
"""The same for one that knows only whole seconds, such as ext3, or only even ones, such as FAT."""

LINK_MODE: Final = 0o777

_SPECIAL: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


@dataclass
class Scan:
    """What a workspace has.

    Attributes:
        manifest: everything that can be synced.
        fingerprints: those of the files and links.
        racy: the files that were read so soon after a change that a later one may not show in the fingerprint.
        skipped: what can't be synced, and why.
        outside: what was not asked for and met on the way: the entries of directories, None for the others.
        root: tells the directory from others at its path.
    """

    manifest: dict[bytes, Entry] = field(default_factory=dict)
    fingerprints: dict[bytes, Fingerprint] = field(default_factory=dict)
    racy: set[bytes] = field(default_factory=set)
    skipped: list[tuple[bytes, str]] = field(default_factory=list)
    outside: dict[bytes, Entry | None] = field(default_factory=dict)
    root: Identity = UNKNOWN


def scan(
    root: str | bytes | os.PathLike[str],
    known: WorkspaceState,
    *,
    writer: PackWriter | None = None,
    sweep: bool = False,
    progress: OnProgress | None = None,
    selection: Selection | None = None,
    ignores: Ignores | None = None,
    expect: OnProgress | None = None,
) -> Scan:
    """Find out what a workspace has. Symbolic links are never followed, except in the path of the root itself.

    Args:
        root: the mount directory.
        known: a file that still has the fingerprint it has in here is not opened.
        writer: stores the content of the files that are read.
        sweep: remove the temporary files of a sync that was killed; only for who holds the workspace's lock.
        progress: told what was read.
        selection: what to look at; of the rest only directories that may hold some of it are listed.
        ignores: what to leave out; it takes in the ignore files that are met.
        expect: told, once that is known, how many files and bytes are going to be read.

    Raises:
        WorkspaceError: something can't be read, or a file keeps changing; the message names it.
        WorkspaceChanged: something changed its kind during the scan; scan again.
        ContentError: content can't be stored.
    """
    ignores = Ignores() if ignores is None else ignores
    with Tree(os.fsencode(root)) as tree:
        walk = Walk(tree, known.files, ignores, sweep=sweep, selection=selection)
        walk.run(progress)
        walk.read(writer, progress, expect)
    ignores.trust(walk.found.manifest)
    return walk.found


def store_files(
    root: str | bytes | os.PathLike[str],
    scanned: Scan,
    paths: Iterable[bytes],
    writer: PackWriter,
    *,
    progress: OnProgress | None = None,
) -> dict[bytes, Entry]:
    """Store the content of files that a scan has only digested; the other paths need no storing.

    Returns:
        the files' entries, with the chunks that are stored now.

    Raises:
        WorkspaceChanged: a file is not what the scan saw any more.
        WorkspaceError: a file can't be read.
        ContentError: content can't be stored.
    """
    stored: dict[bytes, Entry] = {}
    with Tree(os.fsencode(root)) as tree:
        for path in sorted(paths):
            entry = scanned.manifest.get(path)
            if entry is None or entry.kind != FILE:
                continue
            read = ingest(tree, path, writer, progress)
            if read is None or read[1] != scanned.fingerprints[path] or read[0].digest != entry.digest:
                raise WorkspaceChanged(path, "changed after it was scanned")
            stored[path] = msgspec.structs.replace(entry, chunks=read[0].chunks)
    return stored


class Walk:
    """Looks once at everything in a workspace.

    Attributes:
        found: what it has seen.
    """

    def __init__(
        self,
        tree: Tree,
        known: Mapping[bytes, Known],
        ignores: Ignores,
        *,
        sweep: bool,
        selection: Selection | None,
    ) -> None:
        self.found = Scan(root=tree.identity)
        self._tree = tree
        self._known = known
        self._sweep = sweep
        self._selection = selection
        self._ignores = ignores
        self._settled = time.time_ns() - TICK_NS
        self._waiting = [b""]
        # The files that have to be read; apart from them those of them that were changed just now.
        self._stale: list[bytes] = []
        self._recent: list[bytes] = []

    def run(self, progress: OnProgress | None) -> None:
        """Fill the scan with all that can be known without reading a file."""
        while self._waiting:
            directory = self._waiting.pop()
            if progress is not None:
                progress(0, 0)
            try:
                self._list(directory, self._tree.directory(directory))
            except WorkspaceGone as error:
                self._miss(directory, error)

    def read(self, writer: PackWriter | None, progress: OnProgress | None, expect: OnProgress | None = None) -> None:
        """Read the files that have to be read."""
        if expect is not None:
            sizes = [self.found.fingerprints[path].size for path in chain(self._stale, self._recent)]
            expect(len(sizes), sum(sizes))
        for path in self._stale:
            _read(self._tree, path, writer, self.found, progress)
        if self._recent:
            # One wait serves them all: whatever is written from then on gets a later time than what was written before.
            _wait_a_tick(max(self.found.fingerprints[path].ctime_ns for path in self._recent))
            for path in self._recent:
                _read(self._tree, path, writer, self.found, progress)

    def _miss(self, directory: bytes, error: WorkspaceGone) -> None:
        """Go on without a directory that has vanished since the one above it was listed."""
        self.found.manifest.pop(directory, None)
        self.found.outside.pop(directory, None)

    def _list(self, directory: bytes, descriptor: int) -> None:
        prefix = directory + b"/" if directory else b""
        items = items_of(directory, descriptor)
        rules = _ignore_file(prefix, descriptor)
        if rules is not None:
            self._ignores.add(directory, rules)
        everything = self._selection is None and not self._ignores
        for name, status in items if everything else self._selected(prefix, items):
            path = prefix + name
            self._meet(path, name, status, self._known.get(path), descriptor)

    def _meet(self, path: bytes, name: bytes, status: os.stat_result, before: Known | None, descriptor: int) -> None:
        mode = status.st_mode
        found = self.found
        if name.startswith(TEMPORARY_PREFIX) and is_temporary(name):
            self._meet_temporary(path, name, mode, descriptor)
        elif stat.S_ISREG(mode):
            seen = fingerprint(status)
            found.fingerprints[path] = seen
            if before is not None and before[1] == seen:
                found.manifest[path] = before[0]
            else:
                (self._stale if seen.ctime_ns < self._settled else self._recent).append(path)
        elif stat.S_ISDIR(mode):
            entry = Entry(DIRECTORY, stat.S_IMODE(mode))
            found.manifest[path] = before[0] if before is not None and before[0] == entry else entry
            self._waiting.append(path)
        elif stat.S_ISLNK(mode):
            self._meet_link(path, name, status, before, descriptor)
        else:
            found.skipped.append((path, f"is {_SPECIAL.get(stat.S_IFMT(mode), 'no file')}"))

    def _selected(
        self, prefix: bytes, items: Iterator[tuple[bytes, os.stat_result]]
    ) -> Iterator[tuple[bytes, os.stat_result]]:
        """Return the items that are selected, and look into the directories that may hold some."""
        selection, ignores = self._selection, self._ignores
        for name, status in items:
            path = prefix + name
            directory = stat.S_ISDIR(status.st_mode)
            ignored = ignores.rule(path, directory) is not None
            selected = not ignored and (selection is None or selection.includes(path))
            if selected or (name.startswith(TEMPORARY_PREFIX) and is_temporary(name)):
                yield name, status
            elif directory:
                self.found.outside[path] = Entry(DIRECTORY, stat.S_IMODE(status.st_mode))
                if not ignored and selection is not None and selection.may_hold(path):
                    self._waiting.append(path)
            else:
                self.found.outside[path] = None

    def _meet_temporary(self, path: bytes, name: bytes, mode: int, descriptor: int) -> None:
        if stat.S_ISDIR(mode):
            self.found.skipped.append((path, "has a name that is kept for temporary files"))
        elif self._sweep:
            # What can't be removed, as in a directory that is read-only again, does no harm: it is never synced.
            with suppress(OSError):
                os.unlink(name, dir_fd=descriptor)

    def _meet_link(
        self, path: bytes, name: bytes, status: os.stat_result, before: Known | None, descriptor: int
    ) -> None:
        seen = fingerprint(status)
        if before is not None and before[1] == seen:
            entry = before[0]
        else:
            try:
                target = os.readlink(name, dir_fd=descriptor)
            except FileNotFoundError:
                return
            except OSError as error:
                raise WorkspaceChanged(path, "is no symbolic link any more") from error
            entry = Entry(LINK, LINK_MODE, seen.mtime_ns, target=target)
            if _may_be_rewritten(seen, self._settled):
                self.found.racy.add(path)
        self.found.manifest[path] = entry
        self.found.fingerprints[path] = seen


def _ignore_file(prefix: bytes, descriptor: int) -> bytes | None:
    """Read the ignore file of a directory; None where there is none. A link is not followed, as git follows none."""
    try:
        opened = os.open(IGNORE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise WorkspaceError(prefix + IGNORE_FILE, f"can't be read: {described(error)}") from error
    with open(opened, "rb") as file:
        try:
            return file.read(MAX_IGNORE_FILE + 1) if stat.S_ISREG(os.fstat(opened).st_mode) else None
        except OSError as error:
            raise WorkspaceError(prefix + IGNORE_FILE, f"can't be read: {described(error)}") from error


def _wait_a_tick(changed_ns: int) -> None:
    """Wait until a later write can't get the same time; no longer than one tick, whatever the clocks say."""
    left = changed_ns + TICK_NS + 1 - time.time_ns()
    if left > 0:
        time.sleep(min(left, TICK_NS + 1) / 1e9)


def _read(tree: Tree, path: bytes, writer: PackWriter | None, found: Scan, progress: OnProgress | None) -> None:
    begun = time.time_ns()
    read = ingest(tree, path, writer, progress)
    if read is None:
        del found.fingerprints[path]
        return
    entry, seen = read
    found.manifest[path] = entry
    found.fingerprints[path] = seen
    if _may_be_rewritten(seen, begun - TICK_NS):
        found.racy.add(path)


def _may_be_rewritten(seen: Fingerprint, settled_ns: int) -> bool:
    """Whether a write after a file was read may leave its fingerprint as it was seen.

    Args:
        settled_ns: the time a tick before the file was read.
    """
    coarse = not seen.ctime_ns % 1_000_000_000
    return seen.ctime_ns + (COARSE_TICK_NS if coarse else 0) >= settled_ns
