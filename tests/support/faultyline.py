"""A TCP line that cuts connections, holds bytes back and flips bits, in both directions, whatever travels on it."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final

from .forward import flipped

__all__ = ["FaultyLine"]

_AT_ONCE: Final = 1 << 14
_LONGEST_DELAY: Final = 0.02
_KINDS: Final = ("flip", "cut", "delay")
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that ends a connection by a reset."""


class FaultyLine:
    """Listens for the time of a ``with`` statement, and passes on what comes.

    Attributes:
        url: where it listens.
        faults: how often each kind of fault was made; ``idle`` is a cut of what had fallen silent.
    """

    def __init__(
        self,
        port: Callable[[], int],
        *,
        one_in: int,
        idle_seconds: float,
        seed: int,
        kinds: Sequence[str] = _KINDS,
    ) -> None:
        """Listen on a free port.

        Args:
            port: returns the port of loopback to which all of a connection that begins is passed on.
            one_in: of how many pieces of at most 16 KiB one meets a fault.
            idle_seconds: after which a connection on which nothing moves is cut.
            kinds: of faults.
        """
        self.faults: Counter[str] = Counter()
        self._port = port
        self._one_in = one_in
        self._idle_seconds = idle_seconds
        self._kinds = kinds
        self._random = random.Random(seed)
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> FaultyLine:
        self._begin(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._port()))
                except OSError:
                    near.close()
                    continue
                for each in (near, far):
                    each.settimeout(self._idle_seconds)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._guard:
                    self._open |= {near, far}
                line = _Line(near, far)
                self._begin(self._pass_on, line, near, far)
                self._begin(self._pass_on, line, far, near)

    def _begin(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="faulty-line")  # type: ignore[arg-type]
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _pass_on(self, line: _Line, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := self._received(line, source):
                fault = self._fault()
                if fault == "delay":
                    self._closing.wait(self._random.uniform(0, _LONGEST_DELAY))
                if fault == "cut":
                    sink.sendall(piece[: self._random.randrange(len(piece))])
                    line.reset()
                    return
                sink.sendall(flipped(piece, self._random) if fault == "flip" else piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            line.reset()
        finally:
            if line.is_over():
                with self._guard:
                    self._open -= {source, sink}
                source.close()
                sink.close()

    def _received(self, line: _Line, source: socket.socket) -> bytes:
        while True:
            try:
                piece = source.recv(_AT_ONCE)
            except TimeoutError:
                if line.moved:
                    line.moved = False
                    continue
                with self._guard:
                    self.faults["idle"] += 1
                raise
            line.moved = True
            return piece

    def _fault(self) -> str:
        with self._guard:
            if self._random.randrange(self._one_in):
                return ""
            fault = self._random.choice(self._kinds)
            self.faults[fault] += 1
            return fault


class _Line:
    """One connection through, with a thread for each direction.

    Attributes:
        moved: whether a byte has come, either way, since somebody looked.
    """

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.moved = False
        self._ends = (near, far)
        self._guard = threading.Lock()
        self._directions = 2

    def reset(self) -> None:
        """Break both connections, so that what is under way is lost."""
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)

    def is_over(self) -> bool:
        """Note that one direction is over; return whether the other is too."""
        with self._guard:
            self._directions -= 1
            return not self._directions
