"""Fills directories that a download has just made: small files take their final names at once, in batches.

A writer that is killed may leave a file half written. Which one that is, it has noted in a file of the node's, which
`remove_unfinished` reads before the workspace is looked at again.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
import stat
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, Protocol

from ctxmgr.engine.content.compression import MAX_CHUNK
from ctxmgr.engine.manifest.entries import Entry, Fingerprint, parent
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError
from ctxmgr.errors import DataFolderError
from ctxmgr.oserrors import described

from . import filewriter
from .dirfd import Tree
from .durable import owner_only
from .filewriter import (
    CONTENT_SIZE,
    ENDED,
    HEADER,
    NOTE_SIZE,
    NOTHING,
    NUMBER,
    SLOT_SIZE,
    Batch,
    Created,
    NewFile,
    Slot,
    create,
    fingerprints,
)

__all__ = ["LARGEST_FILE", "LONGEST_DIRECTORY", "UNPLACED", "FreshFiles", "filling", "remove_unfinished"]

LARGEST_FILE: Final = MAX_CHUNK
"""Bytes up to which files are made so."""

LONGEST_DIRECTORY: Final = NOTE_SIZE // 4
"""Bytes of a directory's path up to which its files can be noted."""

UNPLACED: Final = (
    "lost its directory, or its unfinished file, while it was written: another program removes them, or a sync of a "
    "directory that this one lies in"
)

_BATCH_FILES: Final = 128
_BATCH_BYTES: Final = 1 << 20
_MOST_BATCH_BYTES: Final = _BATCH_BYTES + LARGEST_FILE
_GATHERED_FILES: Final = 4096
_GATHERED_BYTES: Final = 8 << 20
_WORTH_A_PROCESS: Final = 2000
_MOST_PROCESSES: Final = 2
_BATCHES_AHEAD: Final = 8
"""So few that their answers fit into a socket's buffer: a writer never waits for one that waits for it. Each has
a place of its own in the memory that is shared."""
_BATCH_NS: Final = 60 * 10**9

OnMade = Callable[[bytes, Entry, Fingerprint], None]


class _Writer(Protocol):
    """Makes batches of files, one after another."""

    def begin(self, directory: int, description: bytes, parts: Sequence[memoryview]) -> None:
        """Have a batch made, given the directory's descriptor, the batch's description and its contents."""

    def end(self) -> Created:
        """Wait for the first of the batches that were begun, and return what came of it."""


@contextmanager
def filling(tree: Tree, journal: Path, files: int, made: OnMade) -> Iterator[FreshFiles]:
    """Return what makes new files; when the ``with`` statement is left, none is being made any more.

    Args:
        tree: the workspace.
        journal: where it is noted what is about to be made.
        files: how many there may be: many are made by processes of their own.
        made: called with each file that was made, in this thread.

    Raises:
        DataFolderError: there can be no journal.
    """
    count = min(_MOST_PROCESSES, os.cpu_count() or 1) if files >= _WORTH_A_PROCESS else 0
    with ExitStack() as opened:
        notes = opened.enter_context(_opened(journal, max(count, 1) * SLOT_SIZE))
        opened.callback(_close, tree, journal)
        writers: list[_Writer] = []
        with suppress(OSError):
            for number in range(count):
                writers.append(opened.enter_context(_Process(notes.fileno(), number)))
        if not writers:
            writers.append(_Inline(opened.enter_context(mmap.mmap(notes.fileno(), SLOT_SIZE))))
        fresh = FreshFiles(tree, made, writers)
        yield fresh
        fresh.finish()


def _opened(journal: Path, size: int) -> FileIO:
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        notes = FileIO(journal, "w+", opener=owner_only)
        # Written, not left a hole: what is mapped and finds no room on the disk ends the process.
        try:
            if notes.write(bytes(size)) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            notes.close()
            journal.unlink()
            raise
    except OSError as error:
        text = f"can't note in {str(journal.parent)!r} which files are about to be written: {described(error)}"
        raise DataFolderError(text) from error
    return notes


def remove_unfinished(root: str, journal: Path) -> None:
    """Remove the files that a killed writer left half written; only for who holds the workspace's lock.

    They had their names for the moment of writing only, and the context has their contents.

    Raises:
        WorkspaceError: the root can't be opened.
    """
    if journal.exists():
        with Tree(os.fsencode(root)) as tree:
            _close(tree, journal)


def _close(tree: Tree, journal: Path) -> None:
    notes = journal.read_bytes()
    for start in range(0, len(notes), SLOT_SIZE):
        # A power cut may leave anything in the notes.
        with suppress(ValueError, IndexError, struct.error, WorkspaceError, OSError):
            number = NUMBER.unpack_from(notes, start)[0]
            if number != NOTHING:
                batch = Batch.unpack(notes[start + NUMBER.size : start + NOTE_SIZE])
                begin = notes[start + NOTE_SIZE : start + SLOT_SIZE]
                _remove_torn(tree.directory(batch.directory), batch.files[number], batch.begun_ns, begin)
    journal.unlink()


def _remove_torn(directory: int, file: NewFile, begun_ns: int, begin: bytes) -> None:
    name, _, mtime_ns, size = file
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    torn = stat.S_ISREG(status.st_mode) and status.st_mtime_ns != mtime_ns and status.st_size <= size
    # What a user has made of it since is no torn file of ours, nor is what holds anything else.
    if torn and abs(status.st_mtime_ns - begun_ns) < _BATCH_NS and status.st_ctime_ns - status.st_mtime_ns < _BATCH_NS:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        with open(opened, "rb") as there:
            torn = begin.startswith(there.read(CONTENT_SIZE))
        if torn:
            os.unlink(name, dir_fd=directory)


class _Gathered:
    """The files of one directory that wait to be made together."""

    __slots__ = ("files", "parts", "size")

    def __init__(self) -> None:
        self.files: list[tuple[bytes, Entry]] = []
        self.parts: list[memoryview] = []
        self.size = 0


class FreshFiles:
    """Gathers new files, and has them made a batch of one directory at a time.

    Files that are the same in several directories come one after the other, so that several batches are open at once.
    """

    def __init__(self, tree: Tree, made: OnMade, writers: Sequence[_Writer]) -> None:
        self._tree = tree
        self._made = made
        self._writers = [(writer, deque[list[tuple[bytes, Entry]]]()) for writer in writers]
        self._gathered: dict[bytes, _Gathered] = {}
        self._files = 0
        self._size = 0

    def add(self, path: bytes, entry: Entry, pieces: Iterator[memoryview]) -> None:
        """Have a file made, soon.

        Raises:
            WorkspaceChanged: something has taken the name of a file that was added.
            WorkspaceError: a file that was added can't be made.
        """
        directory = parent(path)
        gathered = self._gathered.get(directory)
        if gathered is None:
            gathered = self._gathered[directory] = _Gathered()
        gathered.files.append((path, entry))
        gathered.parts.extend(pieces)
        gathered.size += entry.size
        self._files += 1
        self._size += entry.size
        if len(gathered.files) >= _BATCH_FILES or gathered.size >= _BATCH_BYTES:
            self._submit(directory)
        while self._files >= _GATHERED_FILES or self._size >= _GATHERED_BYTES:
            self._submit(next(iter(self._gathered)))

    def finish(self) -> None:
        """Wait until everything that was added is made.

        Raises:
            WorkspaceError: as ``add``.
        """
        for directory in list(self._gathered):
            self._submit(directory)
        for writer, running in self._writers:
            while running:
                self._note(running.popleft(), writer.end())

    def _submit(self, directory: bytes) -> None:
        gathered = self._gathered.pop(directory)
        self._files -= len(gathered.files)
        self._size -= gathered.size
        writer, running = min(self._writers, key=lambda each: len(each[1]))
        if len(running) >= _BATCHES_AHEAD:
            self._note(running.popleft(), writer.end())
        start = len(directory) + 1 if directory else 0
        batch = [(path[start:], entry.mode, entry.mtime_ns, entry.size) for path, entry in gathered.files]
        description = Batch(directory, time.time_ns(), batch).pack()
        writer.begin(self._tree.directory(directory), description, gathered.parts)
        running.append(gathered.files)

    def _note(self, files: Sequence[tuple[bytes, Entry]], created: Created) -> None:
        for (path, entry), seen in zip(files, fingerprints(created), strict=False):
            self._made(path, entry, Fingerprint(*seen))
        _, failed, code = created
        if failed != NOTHING:
            path = files[failed][0]
            if code == errno.EEXIST:
                raise WorkspaceChanged(path, "appeared after it was scanned")
            if code == errno.ENOENT:
                raise WorkspaceChanged(path, UNPLACED)
            raise WorkspaceError(path, f"can't be written: {os.strerror(code)}")


class _Inline:
    """Makes files in this process."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._slot = Slot(memory)
        self._ended: deque[Created] = deque()

    def begin(self, directory: int, description: bytes, parts: Sequence[memoryview]) -> None:
        self._slot.begin(description)
        data = memoryview(b"".join(parts))
        self._ended.append(create(directory, Batch.unpack(description).files, data, self._slot.mark))

    def end(self) -> Created:
        return self._ended.popleft()


class _Process:
    """Makes files in a process that is started anew: it inherits no lock, no connection and no thread of this one.

    It finds what is to be in them in memory that both see.
    """

    def __init__(self, notes: int, number: int) -> None:
        self._batches = 0
        with ExitStack() as opened:
            shared = opened.enter_context(_memory())
            shared.truncate(_BATCHES_AHEAD * _MOST_BATCH_BYTES)
            self._door, theirs = socket.socketpair()
            opened.enter_context(theirs)
            passed = [theirs.fileno(), notes, shared.fileno()]
            try:
                self._shared = mmap.mmap(shared.fileno(), 0)
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-I", "-S", filewriter.__file__, *map(str, passed), str(number)],
                    pass_fds=passed,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except BaseException:
                self._door.close()
                raise

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *raised: object) -> None:
        self._door.close()
        self._process.wait()

    def begin(self, directory: int, description: bytes, parts: Sequence[memoryview]) -> None:
        # Of as many batches as are begun and not ended, each has a place of its own.
        start = at = self._batches % _BATCHES_AHEAD * _MOST_BATCH_BYTES
        self._batches += 1
        for part in parts:
            self._shared[at : at + len(part)] = part
            at += len(part)
        with _telling():
            socket.send_fds(self._door, [HEADER.pack(len(description), start, at - start)], [directory])
            self._door.sendall(description)

    def end(self) -> Created:
        with _telling():
            size, failed, code = ENDED.unpack(self._received(ENDED.size))
            return bytes(self._received(size)), failed, code

    def _received(self, size: int) -> bytearray:
        answer = bytearray()
        while len(answer) < size:
            more = self._door.recv(size - len(answer))
            if not more:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            answer += more
        return answer


def _memory() -> IO[bytes]:
    """Return an empty file that is nowhere but in memory, where that can be had."""
    if hasattr(os, "memfd_create"):
        return FileIO(os.memfd_create("ctxmgr"), "r+")
    return TemporaryFile()


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(b"", f"can't be written: the process that does it has ended ({error})") from error
