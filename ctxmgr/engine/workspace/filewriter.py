"""Creates small files in directories that are known by descriptor; run by path, a process that does nothing else.

It imports nothing of ours, so that such a process begins within milliseconds.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "CONTENT_SIZE",
    "ENDED",
    "HEADER",
    "NOTE_SIZE",
    "NOTHING",
    "NUMBER",
    "SLOT_SIZE",
    "Batch",
    "Created",
    "NewFile",
    "Slot",
    "create",
    "fingerprints",
]

NewFile = tuple[bytes, int, int, int]
"""A file to be made: name, permission bits, time of modification in nanoseconds, bytes of content."""

Created = tuple[bytes, int, int]
"""The packed fingerprints of the files that were made, the number of the one that could not be, and its errno."""

HEADER = struct.Struct("<IQQ")
"""Before each batch of files: how many bytes describe it, and where in the shared memory how many are its content."""

ENDED = struct.Struct("<IIi")
"""Before each answer: the bytes of the fingerprints, the number of the file that could not be made, and its errno."""

NUMBER = struct.Struct("<I")

NOTHING = 0xFFFF_FFFF
"""The number of no file."""

NOTE_SIZE = 1 << 16
"""Bytes for the number of a file, and its batch."""

CONTENT_SIZE = 1 << 16
"""Bytes that are noted of what a file comes to hold, from its beginning on."""

SLOT_SIZE = NOTE_SIZE + CONTENT_SIZE
"""Bytes of a slot: the number of a file, its batch, and behind these what the file comes to hold."""

_BATCH = struct.Struct("<qII")
_FILE = struct.Struct("<iqq")
_FINGERPRINT = struct.Struct("<5q")

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Batch:
    """Files to be made in one directory.

    Attributes:
        directory: its path.
        begun_ns: when the batch was made up.
        files: what to make.
    """

    def __init__(self, directory: bytes, begun_ns: int, files: Sequence[NewFile]) -> None:
        self.directory = directory
        self.begun_ns = begun_ns
        self.files = files

    def pack(self) -> bytes:
        """Return the batch as bytes."""
        numbers = b"".join([_FILE.pack(*file[1:]) for file in self.files])
        names = b"\0".join([self.directory, *(file[0] for file in self.files)])
        return _BATCH.pack(self.begun_ns, len(self.files), len(names)) + numbers + names

    @classmethod
    def unpack(cls, packed: bytes | memoryview) -> Batch:
        """Return the batch that some bytes begin with.

        Raises:
            struct.error: they are none.
        """
        begun_ns, count, size = _BATCH.unpack_from(packed)
        end = _BATCH.size + count * _FILE.size
        directory, *names = bytes(packed[end : end + size]).split(b"\0")
        numbers = _FILE.iter_unpack(packed[_BATCH.size : end])
        return cls(directory, begun_ns, [(name, *file) for name, file in zip(names, numbers)])  # noqa: B905


def fingerprints(created: Created) -> Iterator[tuple[int, ...]]:
    """Return mode, size, times of modification and change, and inode of each file that was made."""
    return _FINGERPRINT.iter_unpack(created[0])


def create(
    directory: int,
    files: Sequence[NewFile],
    data: memoryview,
    mark: Callable[[int, memoryview], None],
    *,
    unmasked: bool = False,
) -> Created:
    """Make files under their final names.

    The time of modification is what is set last: a file that has another one was not completed.

    Args:
        directory: the descriptor of the directory that they come to lie in.
        files: what to make.
        data: their contents, one after another.
        mark: called with number and content of each file before it is made, and with that of none in the end.
        unmasked: this process has no umask.
    """
    created: list[bytes] = []
    start = 0
    for number, (name, mode, mtime_ns, size) in enumerate(files):
        rest = data[start : start + size]
        mark(number, rest)
        direct = unmasked and mode <= 0o777
        try:
            descriptor = os.open(name, _FLAGS, mode if direct else 0o600, dir_fd=directory)
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if not direct:
                    os.fchmod(descriptor, mode)
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                status = os.fstat(descriptor)
                if status.st_mode & 0o7777 != mode:
                    # A default access list of the directory can do that.
                    os.fchmod(descriptor, mode)
                    status = os.fstat(descriptor)
            except BaseException:
                os.unlink(name, dir_fd=directory)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            return b"".join(created), number, error.errno or errno.EIO
        start += size
        seen = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        created.append(_FINGERPRINT.pack(*seen))
    mark(NOTHING, data[:0])
    return b"".join(created), NOTHING, 0


class Slot:
    """Where a writer notes what it is about to make, in memory that outlives it: what was torn can be told from it."""

    def __init__(self, memory: mmap.mmap | memoryview) -> None:
        self._memory = memory

    def begin(self, batch: bytes | memoryview) -> None:
        """Note a batch of files, as `fresh` describes it; none of them is being made yet."""
        self._memory[: NUMBER.size] = NUMBER.pack(NOTHING)
        self._memory[NUMBER.size : NUMBER.size + len(batch)] = batch

    def mark(self, number: int, content: memoryview) -> None:
        """Note which file of the batch is being made, and how what it comes to hold begins."""
        # The file before is complete, so it does not matter that its number stands before this content for a moment.
        begin = content[:CONTENT_SIZE]
        self._memory[NOTE_SIZE : NOTE_SIZE + len(begin)] = begin
        self._memory[: NUMBER.size] = NUMBER.pack(number)


def serve(door: socket.socket, slot: Slot, shared: memoryview) -> None:
    """Make one batch of files after another, until nobody asks any more.

    Args:
        door: where batches are described, and answered.
        slot: where they are noted.
        shared: where their contents are found.
    """
    buffer = bytearray(NOTE_SIZE)
    while True:
        header, descriptors, _, _ = socket.recv_fds(door, HEADER.size, 1)
        if not header:
            return
        described, start, size = HEADER.unpack(header)
        description = memoryview(buffer)[:described]
        filled = 0
        while filled < described:
            filled += door.recv_into(description[filled:]) or sys.exit("the batch was cut off")
        slot.begin(description)
        files = Batch.unpack(description).files
        seen, failed, code = create(descriptors[0], files, shared[start : start + size], slot.mark, unmasked=True)
        os.close(descriptors[0])
        door.sendall(ENDED.pack(len(seen), failed, code) + seen)


def main(door: str, slots: str, shared: str, number: str) -> None:
    """Serve who started this process, which decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0)
    start = int(number) * SLOT_SIZE
    with mmap.mmap(int(slots), start + SLOT_SIZE) as notes, mmap.mmap(int(shared), 0) as contents:
        serve(socket.socket(fileno=int(door)), Slot(memoryview(notes)[start:]), memoryview(contents))


if __name__ == "__main__":
    main(*sys.argv[1:])
