"""Finds out what in a workspace differs from its last sync; directories in which nothing does are passed as a whole."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.entries import DIRECTORY, Entry, fingerprint, parent
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceGone
from ctxmgr.engine.policy.ignore import IGNORE_FILE, Ignores

from .dirfd import Tree
from .prints import Listing
from .scan import OnProgress, Scan, Walk
from .state import Known, PackedState, WorkspaceState

__all__ = ["Differences", "scan_differences"]


@dataclass(frozen=True)
class Differences:
    """What differs, and the directories above it.

    Attributes:
        state: what was known of these paths.
        found: what the workspace has in their place.
        same: how many files and links are as they were.
        empty: whether the workspace has nothing at all.
    """

    state: WorkspaceState
    found: Scan
    same: int
    empty: bool

    def __bool__(self) -> bool:
        return bool(self.state.files or self.found.manifest or self.found.skipped)


def scan_differences(
    root: str,
    known: PackedState,
    *,
    writer: PackWriter | None = None,
    progress: OnProgress | None = None,
    expect: OnProgress | None = None,
) -> Differences | None:
    """Find out what in a workspace differs from a state of one without ignore files; otherwise as `scan.scan`.

    Returns:
        None where something may be ignored, so that more has to be looked at.

    Raises:
        WorkspaceError, WorkspaceChanged, ContentError: as `scan.scan`.
    """
    with Tree(os.fsencode(root)) as tree:
        walk = _NarrowWalk(tree, known)
        walk.run(progress)
        if walk.may_ignore:
            return None
        walk.take_vanished()
        walk.read(writer, progress, expect)
        walk.take_directories_above()
    files = sum(entry.kind != DIRECTORY for entry, _ in walk.before.values())
    state = WorkspaceState(known.revision, walk.before)
    return Differences(state, walk.found, known.count - files, walk.empty)


class _NarrowWalk(Walk):
    """Looks once at everything, and notes only what is not as it was.

    Attributes:
        before: what was known of the paths that differ.
        empty: whether it has met nothing.
        may_ignore: whether it has met an ignore file, at which it stops.
    """

    def __init__(self, tree: Tree, known: PackedState) -> None:
        super().__init__(tree, {}, Ignores(), sweep=True, selection=None)
        self.before: dict[bytes, Known] = {}
        self.empty = True
        self.may_ignore = False
        self._packed = known
        self._vanished = set(known.prints)

    def take_vanished(self) -> None:
        """Note everything in the directories that are not there any more."""
        for directory in self._vanished:
            self.before |= self._packed.files(directory)

    def take_directories_above(self) -> None:
        """Note the directories above what differs, which have their places on both sides."""
        holders: dict[bytes, dict[bytes, Known]] = {}
        for path in [*self.before, *self.found.manifest]:
            above = parent(path)
            while above and above not in self.before and above not in self.found.manifest:
                holder = parent(above)
                if holder not in holders:
                    holders[holder] = self._packed.files(holder)
                known = holders[holder][above]
                self.before[above] = known
                self.found.manifest[above] = known[0]
                above = holder

    def _miss(self, directory: bytes, error: WorkspaceGone) -> None:
        raise WorkspaceChanged(error.path, "was removed while it was scanned") from error

    def _list(self, directory: bytes, descriptor: int) -> None:
        prefix = directory + b"/" if directory else b""
        listing = Listing(directory, descriptor)
        self._vanished.discard(directory)
        self.empty = self.empty and not listing.items
        if listing.print and listing.print == self._packed.prints.get(directory):
            self._waiting += [prefix + name for name in listing.directories]
            return
        known = self._packed.files(directory)
        for name, status in listing.items:
            path = prefix + name
            if name == IGNORE_FILE:
                self.may_ignore = True
                self._waiting.clear()
                return
            before = known.pop(path, None)
            if before is not None:
                if stat.S_ISDIR(status.st_mode) and before[0] == Entry(DIRECTORY, stat.S_IMODE(status.st_mode)):
                    self._waiting.append(path)
                    continue
                if before[1] is not None and before[1] == fingerprint(status):
                    continue
                self.before[path] = before
            self._meet(path, name, status, before, descriptor)
        self.before |= known
