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
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from ctxmgr.engine.manifest.entries import Entry, Fingerprint
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError
from ctxmgr.errors import DataFolderError
from ctxmgr.oserrors import described

from . import filewriter
from .dirfd import Tree
from .durable import owner_only
from .filewriter import ENDED, HEADER, NOTHING, NUMBER, SLOT_SIZE, Batch, Created, NewFile, Slot, create, fingerprints

__all__ = ["LONGEST_DIRECTORY", "FreshFiles", "filling", "remove_unfinished"]

LONGEST_DIRECTORY: Final = SLOT_SIZE // 4
"""Bytes of a directory's path up to which its files can be noted."""

_BATCH_FILES: Final = 128
_BATCH_BYTES: Final = 1 << 20
_WORTH_A_PROCESS: Final = 2000
_MOST_PROCESSES: Final = 2
_BATCHES_AHEAD: Final = 8
_BATCH_NS: Final = 60 * 10**9

OnMade = Callable[[bytes, Entry, Fingerprint], None]
_Write = Callable[[int, bytes, bytes], Created]
"""Makes a batch, given the directory's descriptor, the batch's description and its contents."""


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
    count = min(_MOST_PROCESSES, (os.cpu_count() or 1) - 1) if files >= _WORTH_A_PROCESS else 0
    with ExitStack() as opened:
        notes = opened.enter_context(_opened(journal, max(count, 1) * SLOT_SIZE))
        opened.callback(_close, tree, journal)
        writers: list[_Write] = []
        with suppress(OSError):
            for number in range(count):
                writers.append(opened.enter_context(_Process(notes.fileno(), number)).write)
        if not writers:
            writers.append(_Inline(opened.enter_context(mmap.mmap(notes.fileno(), SLOT_SIZE))).write)
        fresh = FreshFiles(tree, made, writers)
        opened.callback(fresh.stop)
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
                batch = Batch.unpack(notes[start + NUMBER.size : start + SLOT_SIZE])
                _remove_torn(tree.directory(batch.directory), batch.files[number], batch.begun_ns)
    journal.unlink()


def _remove_torn(directory: int, file: NewFile, begun_ns: int) -> None:
    name, _, mtime_ns, size = file
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    torn = stat.S_ISREG(status.st_mode) and status.st_mtime_ns != mtime_ns and status.st_size <= size
    # What a user has made of it since is no torn file of ours.
    if torn and abs(status.st_mtime_ns - begun_ns) < _BATCH_NS and status.st_ctime_ns - status.st_mtime_ns < _BATCH_NS:
        os.unlink(name, dir_fd=directory)


class FreshFiles:
    """Gathers new files, and has them made a batch of one directory at a time."""

    def __init__(self, tree: Tree, made: OnMade, writers: list[_Write]) -> None:
        self._tree = tree
        self._made = made
        self._writers: SimpleQueue[_Write] = SimpleQueue()
        for writer in writers:
            self._writers.put(writer)
        self._threads = ThreadPoolExecutor(len(writers), "ctxmgr-writer")
        self._running: deque[tuple[list[tuple[bytes, Entry]], Future[Created]]] = deque()
        self._directory = b""
        self._files: list[tuple[bytes, Entry]] = []
        self._parts: list[memoryview] = []
        self._size = 0

    def add(self, path: bytes, entry: Entry, pieces: Iterator[memoryview]) -> None:
        """Have a file made, soon.

        Raises:
            WorkspaceChanged: something has taken the name of a file that was added.
            WorkspaceError: a file that was added can't be made.
        """
        directory = path.rpartition(b"/")[0]
        if directory != self._directory or len(self._files) >= _BATCH_FILES or self._size >= _BATCH_BYTES:
            self._submit()
            self._directory = directory
        self._files.append((path, entry))
        self._parts.extend(pieces)
        self._size += entry.size

    def finish(self) -> None:
        """Wait until everything that was added is made.

        Raises:
            WorkspaceError: as ``add``.
        """
        self._submit()
        while self._running:
            self._gather()

    def stop(self) -> None:
        """Wait until nothing is being made any more."""
        self._threads.shutdown(cancel_futures=True)

    def _submit(self) -> None:
        if not self._files:
            return
        if len(self._running) >= _BATCHES_AHEAD:
            self._gather()
        start = len(self._directory) + 1 if self._directory else 0
        batch = [(path[start:], entry.mode, entry.mtime_ns, entry.size) for path, entry in self._files]
        description = Batch(self._directory, time.time_ns(), batch).pack()
        directory = os.dup(self._tree.directory(self._directory))
        try:
            future = self._threads.submit(self._write, directory, description, b"".join(self._parts))
        except BaseException:
            os.close(directory)
            raise
        future.add_done_callback(lambda _: os.close(directory))
        self._running.append((self._files, future))
        self._files, self._parts, self._size = [], [], 0

    def _write(self, directory: int, description: bytes, data: bytes) -> Created:
        writer = self._writers.get()
        try:
            return writer(directory, description, data)
        except BaseException:
            writer = _fail  # a further batch would overwrite the note of the file that this one was making
            raise
        finally:
            self._writers.put(writer)

    def _gather(self) -> None:
        files, future = self._running.popleft()
        created = future.result()
        for (path, entry), seen in zip(files, fingerprints(created), strict=False):
            self._made(path, entry, Fingerprint(*seen))
        _, failed, code = created
        if failed != NOTHING:
            path = files[failed][0]
            if code == errno.EEXIST:
                raise WorkspaceChanged(path, "appeared after it was scanned")
            raise WorkspaceError(path, f"can't be written: {os.strerror(code)}")


def _fail(directory: int, description: bytes, data: bytes) -> Created:
    raise WorkspaceError(b"", "can't be written: what was to make the files before has failed")


class _Inline:
    """Makes files in this process."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._slot = Slot(memory)

    def write(self, directory: int, description: bytes, data: bytes) -> Created:
        self._slot.begin(description)
        return create(directory, Batch.unpack(description).files, memoryview(data), self._slot.mark)


class _Process:
    """Makes files in a process that is started anew: it inherits no lock, no connection and no thread of this one."""

    def __init__(self, notes: int, number: int) -> None:
        self._door, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", filewriter.__file__, str(theirs.fileno()), str(notes), str(number)]
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    command,
                    pass_fds=(theirs.fileno(), notes),
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

    def write(self, directory: int, description: bytes, data: bytes) -> Created:
        try:
            socket.send_fds(self._door, [HEADER.pack(len(description), len(data))], [directory])
            self._door.sendall(description + data)
            size, failed, code = ENDED.unpack(self._received(ENDED.size))
            return bytes(self._received(size)), failed, code
        except OSError as error:
            raise WorkspaceError(b"", f"can't be written: the process that does it has ended ({error})") from error

    def _received(self, size: int) -> bytearray:
        answer = bytearray()
        while len(answer) < size:
            more = self._door.recv(size - len(answer))
            if not more:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            answer += more
        return answer
