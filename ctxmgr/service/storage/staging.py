"""What nodes send in pieces: files that grow until they are whole, by account and by the BLAKE3 of the whole.

What a power cut leaves of one may be anything: nothing is taken from here without being compared with its name.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from blake3 import blake3

from ctxmgr.errors import ServiceError
from ctxmgr.oserrors import described

from .room import check_room

__all__ = ["FULL", "MAX_STAGED", "StagedMissing", "Staging", "check_quota", "check_size", "is_name"]

FULL: Final = "InsufficientStorage"
MAX_STAGED: Final = 2 << 30
"""Bytes of one thing that is staged."""
MAX_STAGED_OF_ACCOUNT: Final = 4 << 30
MAX_STAGED_AT_ONCE: Final = 1_000
ABANDONED_SECONDS: Final = 24 * 3600.0
SECONDS_BETWEEN_SWEEPS: Final = 900.0
_NAME = re.compile(r"[0-9a-f]{64}")
_FULL: Final = frozenset([errno.ENOSPC, errno.EDQUOT])


def is_name(name: str) -> bool:
    """Whether this is the name of something: 64 hexadecimal digits."""
    return _NAME.fullmatch(name) is not None


def check_size(size: int, offset: int, piece: bytes) -> None:
    """Check a piece of something of a size.

    Raises:
        ServiceError: ``InvalidStage.TooLarge``.
    """
    if size > MAX_STAGED or offset + len(piece) > size:
        raise ServiceError(
            "InvalidStage.TooLarge",
            f"{offset + len(piece)} bytes of {size} can't be staged: at most the size, and {MAX_STAGED}",
        )


def check_quota(staged: Sequence[int], more: int) -> None:
    """Check that an account may stage more bytes than those of what it has staged.

    Raises:
        ServiceError: ``InsufficientStorage``.
    """
    if sum(staged) + more > MAX_STAGED_OF_ACCOUNT or len(staged) > MAX_STAGED_AT_ONCE:
        raise ServiceError(
            FULL,
            f"the account has {len(staged)} unfinished uploads of {sum(staged)} bytes, and {MAX_STAGED_AT_ONCE} of "
            f"{MAX_STAGED_OF_ACCOUNT} are allowed: finish them, or wait a day",
        )


class StagedMissing(ServiceError):
    """What was to be staged is not there, or not whole."""

    def __init__(self, name: str) -> None:
        problem = f"what was to be staged as {name!r} is not there, or not whole: send it again"
        super().__init__("InvalidStage.NotFound", problem)


class Staging:
    """See the module. Can be used by several threads and processes at once: all write the same bytes at one place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept = 0.0

    def add(self, account: str, name: str, size: int, offset: int, piece: bytes) -> int:
        """Store the next piece of something, and return how many bytes of it are there.

        Nothing is stored unless the piece begins where what is there ends.

        Raises:
            ServiceError: it is too large, or there is no room for it.
        """
        check_size(size, offset, piece)
        self._sweep()
        path = self._path(account, name)
        present = _size(path)
        if offset != present or not piece:
            return present
        check_quota(list(map(_size, path.parent.glob("*"))), len(piece))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_room(path.parent, len(piece))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _write(descriptor, piece, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            code = "ServiceUnavailable.Staging"
            if error.errno in _FULL:
                # What is there of it would keep the room from all others for a day.
                code = FULL
                self.forget(account, name)
            raise ServiceError(code, f"an upload can't be stored for now: {described(error)}") from error
        return offset + len(piece)

    @contextmanager
    def taken(self, account: str, name: str) -> Iterator[IO[bytes]]:
        """Open something that was staged whole; afterwards, unless that failed, it is gone.

        Raises:
            StagedMissing: it is not there, or not what its name says; to be sent again.
        """
        path = self._path(account, name)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise StagedMissing(name) from None
        with file:
            digest = blake3()
            while piece := file.read(1 << 20):
                digest.update(piece)
            if digest.hexdigest() != name:
                self.forget(account, name)
                raise StagedMissing(name)
            file.seek(0)
            yield file
        self.forget(account, name)

    def forget(self, account: str, name: str) -> None:
        """Remove what is there of something."""
        self._path(account, name).unlink(missing_ok=True)

    def _path(self, account: str, name: str) -> Path:
        return self._folder / sha256(account.encode()).hexdigest()[:32] / name

    def _sweep(self) -> None:
        """Remove what nobody has added to for a day."""
        now = time.monotonic()
        if self._swept and now - self._swept < SECONDS_BETWEEN_SWEEPS:
            return
        self._swept = now
        oldest = time.time() - ABANDONED_SECONDS
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _write(descriptor: int, piece: bytes, offset: int) -> None:
    left = memoryview(piece)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
