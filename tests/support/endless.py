"""A server whose answers never end: it sends one piece after the other until the client goes away."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType

__all__ = ["EndlessServer"]


class EndlessServer:
    """Answers every request without an end. Used in a ``with`` statement.

    Args:
        head: what it sends first.
        piece: what it sends again and again.
        every: seconds between two pieces.
        tls: speaks HTTPS with this.
        accepts: whether it first accepts a CONNECT, and so is a proxy and all servers behind it.
    """

    def __init__(
        self,
        head: bytes,
        piece: bytes,
        *,
        every: float = 0.0,
        tls: ssl.SSLContext | None = None,
        accepts: bool = False,
    ) -> None:
        self._head = head
        self._piece = piece
        self._every = every
        self._tls = tls
        self._accepts = accepts
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> EndlessServer:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for connection in self._connections:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        self._listening.close()

    def _run(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._closing.is_set():
                connection, _ = self._listening.accept()
                self._connections.append(connection)
                self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._accepts:
                _read_request(connection)
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as spoken:
                _read_request(spoken)
                spoken.sendall(self._head)
                while not self._closing.wait(self._every):
                    spoken.sendall(self._piece)


def _read_request(connection: socket.socket) -> None:
    came = b""
    while b"\r\n\r\n" not in came:
        piece = connection.recv(1 << 16)
        if not piece:
            raise ConnectionResetError
        came += piece
