"""Writes what a context held into a directory, and proves afterwards that it is there.

The proof reads everything back and compares it with what was wanted. What is there already and is the same stays, so
that a restore which was cut off goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry, Manifest, parent, same, show
from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.engine.manifest.merge import Plan

from .apply import Contents, apply
from .scan import scan
from .state import WorkspaceState

__all__ = ["DirectoryNotEmpty", "Restore", "Unproven"]

IMPLIED: Final = Entry(DIRECTORY, 0o755)
"""Stands for a folder that a context holds no entry of, as after an upload by URL."""

BATCH_PATHS: Final = 2000
BATCH_BYTES: Final = 256 << 20
_SHOWN: Final = 5


class Unproven(NamedTuple):
    """A path that is not in the directory as it is in the context, and why."""

    path: bytes
    reason: str


class DirectoryNotEmpty(WorkspaceError):
    """A directory holds what a restore does not put there."""

    def __init__(self, directory: str, others: Sequence[bytes]) -> None:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        named = ", ".join(map(show, others[:_SHOWN])) + more
        what = f"it holds {named}, which this restore does not put there: name another directory, or an empty one"
        super().__init__(b"", f"{show(os.fsencode(directory))} is not empty: {what}")


class Restore:
    """One restore. Used by one thread at a time.

    Attributes:
        directory: the real path of the directory.
        wanted: what it is to hold, by relative path.
        total: how many files and links there are to write, and the bytes of these files.
        written: how many of them were written so far, and their bytes.
        begun: bytes of the file that is being written.
    """

    def __init__(
        self, directory: str, wanted: Manifest, *, force: bool = False, moved: Callable[[], object] = lambda: None
    ) -> None:
        """Look at the directory, which is made if it does not exist.

        Args:
            directory: where to.
            wanted: what it is to hold.
            force: take one that holds something else, too: what is in the place of what is wanted is replaced, and
                the rest stays.
            moved: called with each piece that comes, and when a file is written.

        Raises:
            WorkspaceError: it can't be made, read or used.
        """
        self.directory = os.path.realpath(directory)
        self.wanted = _whole(wanted)
        self.written = (0, 0)
        self.begun = 0
        self._moved = moved
        try:
            os.makedirs(self.directory, exist_ok=True)
        except OSError as error:
            problem = f"{show(os.fsencode(self.directory))} can't be made: {error.strerror or error}"
            raise WorkspaceError(b"", problem) from error
        self._found = scan(self.directory, WorkspaceState(), sweep=True)
        self._check(force)
        self._pending = {path: entry for path, entry in self.wanted.items() if not self._is_there(path, entry)}
        coming = [entry for entry in self._pending.values() if entry.kind != DIRECTORY]
        self.total = (len(coming), sum(entry.size for entry in coming))

    def begin(self) -> None:
        """Make the directories and links.

        Raises:
            WorkspaceError: one can't be made.
        """
        first = {path: entry for path, entry in self._pending.items() if entry.kind != FILE}
        self._apply(first, _Nothing())
        for path, entry in first.items():
            del self._pending[path]
            if entry.kind != DIRECTORY:
                self._count(entry)

    def batches(self) -> Iterator[dict[bytes, Entry]]:
        """Cut the files that are still to be written, into what is worth one request."""
        batch: dict[bytes, Entry] = {}
        size = names = 0
        for path, entry in sorted(self._pending.items()):
            if batch and (len(batch) >= BATCH_PATHS or size + entry.size > BATCH_BYTES or names > BATCH_PATHS * 100):
                yield batch
                batch, size, names = {}, 0, 0
            batch[path] = entry
            size += entry.size
            names += len(path)
        if batch:
            yield batch

    def left_of(self, batch: Manifest) -> dict[bytes, Entry]:
        """Return what of a batch is not written yet."""
        return {path: entry for path, entry in batch.items() if path in self._pending}

    def write(self, batch: Manifest, reader: Contents) -> None:
        """Write the files of a batch that are not written yet.

        Raises:
            WorkspaceError: one can't be written.
            ContentError: content is missing or damaged.
        """
        self._apply(self.left_of(batch), _Counted(reader, self._come, self._done))

    def unproven(self) -> list[Unproven]:
        """Read everything back, and return what is not as it was wanted; nothing if the restore is proven.

        Raises:
            WorkspaceError: something can't be read.
        """
        there = scan(self.directory, WorkspaceState())
        skipped = dict(there.skipped)
        return [
            Unproven(path, _difference(entry, there.manifest.get(path), skipped.get(path, "")))
            for path, entry in sorted(self.wanted.items())
            if not same(entry, there.manifest.get(path))
        ]

    def _apply(self, entries: Manifest, reader: Contents) -> None:
        if entries:
            apply(self.directory, Plan(write=dict(entries)), self._found, reader)

    def _come(self, size: int) -> None:
        self.begun = size
        self._moved()

    def _done(self, path: bytes) -> None:
        self.begun = 0
        self._count(self._pending.pop(path))

    def _count(self, entry: Entry) -> None:
        files, size = self.written
        self.written = files + 1, size + entry.size
        self._moved()

    def _is_there(self, path: bytes, entry: Entry) -> bool:
        return same(entry, self._found.manifest.get(path))

    def _check(self, force: bool) -> None:
        there = self._found.manifest
        others = [path for path, entry in there.items() if not self._fits(path, entry)]
        others += [path for path, _ in self._found.skipped]
        if others and not force:
            raise DirectoryNotEmpty(self.directory, others)
        filled = {parent(path) for path in there}
        for path in others:
            wanted = self.wanted.get(path)
            if wanted is not None and wanted.kind != DIRECTORY and path in filled:
                problem = "is a directory with something in it where the context has a file: move it away"
                raise WorkspaceError(path, problem)

    def _fits(self, path: bytes, entry: Entry) -> bool:
        wanted = self.wanted.get(path)
        if wanted is not None and wanted.kind == entry.kind == DIRECTORY:
            return True
        return same(wanted, entry)


class _Nothing:
    """Reads nothing: directories and links have no content."""

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        return iter(())


class _Counted:
    """Reads content, and tells of each file that was written, which is when the next is asked for.

    Args:
        reader: reads it.
        come: called with how many bytes of a file have come.
        written: called with the path of one that was written.
    """

    def __init__(self, reader: Contents, come: Callable[[int], None], written: Callable[[bytes], None]) -> None:
        self._reader = reader
        self._come = come
        self._written = written

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        found = self._reader.contents(files)
        for path, pieces in found:
            yield path, self._counted(pieces)
            self._written(path)

    def _counted(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        come = 0
        for piece in pieces:
            come += len(piece)
            self._come(come)
            yield piece


def _whole(entries: Manifest) -> dict[bytes, Entry]:
    """Complete a tree with the folders that lie above what is in it."""
    whole = dict(entries)
    for path in entries:
        above = parent(path)
        while above and above not in whole:
            whole[above] = IMPLIED
            above = parent(above)
    return whole


def _difference(wanted: Entry, there: Entry | None, skipped: str) -> str:
    if there is None:
        return skipped or "is not there"
    for name in ("kind", "digest", "target", "mode", "mtime_ns"):
        expected, found = getattr(wanted, name), getattr(there, name)
        if expected != found:
            said = [f"{value:04o}" if name == "mode" else _text(value) for value in (found, expected)]
            return f"has the {name} {said[0]} instead of {said[1]}"
    return "differs"


def _text(value: str | bytes | int) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
