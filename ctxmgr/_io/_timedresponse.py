"""Answers that are read under a patience: a socket's time-out bounds one wait, and a peer that drips ends each soon."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, BinaryIO, cast

from ctxmgr.patience import Patience

__all__ = ["TimedResponse", "under"]


class _Current(threading.local):
    patience: Patience | None = None


_current = _Current()


@contextlib.contextmanager
def under(patience: Patience) -> Iterator[None]:
    """Have the answers that this thread begins to read meanwhile read under a patience, to their very end."""
    _current.patience = patience
    try:
        yield
    finally:
        _current.patience = None


class TimedResponse(HTTPResponse):
    """An answer, a proxy's to CONNECT included, of which each read may take only what time is left."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        patience = _current.patience
        timed = sock if patience is None else cast(socket.socket, _Timed(sock, patience))
        super().__init__(timed, *args, **kwargs)


class _Timed:
    """A socket, as far as an answer needs one."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock = sock
        self._patience = patience

    def makefile(self, mode: str) -> BinaryIO:
        raw = self._sock.makefile("rb", buffering=0)
        return cast(BinaryIO, io.BufferedReader(_Reader(self._sock, raw, self._patience)))


class _Reader(io.RawIOBase):
    """Reads from a socket for as long as there is patience."""

    def __init__(self, sock: socket.socket, raw: socket.SocketIO, patience: Patience) -> None:
        self._sock = sock
        self._raw = raw
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._patience.left()
        if left <= 0:
            raise TimeoutError("the answer took too long in all")
        self._sock.settimeout(left)
        count = self._raw.readinto(buffer)
        self._patience.moved(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
