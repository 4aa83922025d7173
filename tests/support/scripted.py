"""A real HTTP server on loopback that answers by a script and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

__all__ = ["PATIENCE", "Answer", "Dropped", "Held", "Raw", "Recorded", "ScriptedServer"]

#: Seconds after which something that should have happened counts as not happening: more than the slowest machine
#: needs, and less than a client waits for an answer by itself.
PATIENCE = 30.0


@attrs.frozen
class Recorded:
    """A request as it arrived.

    Attributes:
        action: from the query, as servers read it; ``GET``, ``PUT`` or ``POST`` if it is the use of a file's URL.
        parameters: what the action was given, from query and body; neither the credential nor what every request has.
        credential: the credential itself.
        credential_place: ``query``, ``body`` or empty.
        at: monotonic seconds.
        connection: tells connections apart.
    """

    action: str
    parameters: Mapping[str, str]
    credential: str
    credential_place: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    connection: tuple[str, int]


@attrs.frozen
class Raw:
    """An answer that need not be the protocol."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Dropped:
    """Instead of an answer, the connection is closed.

    Attributes:
        after: bytes sent before.
    """

    after: bytes = b""


class Held:
    """An answer that is held back until it is released, so that a test knows a request to be under way."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer
        self._arrived = threading.Event()
        self._released = threading.Event()

    def wait(self) -> None:
        """Wait until the request is here."""
        assert self._arrived.wait(PATIENCE), "the request that was to be held never came"

    def release(self, answer: Answer | None = None) -> None:
        """Let the answer go."""
        self._answer = answer or self._answer
        self._released.set()

    def take(self) -> Answer:
        """Wait, in the server, until the answer may go."""
        self._arrived.set()
        self._released.wait()
        return self._answer if self._answer is not None else Dropped()


Answer = Mapping[str, Any] | Raw | Dropped | Held
Scripted = Answer | Callable[[Recorded], Answer]


class ScriptedServer:
    """Answers each action by its script; an action without one is answered as the service answers unknown ones.

    Args:
        tls: speaks HTTPS with this.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        #: Set when the server stops, for scripts that park.
        self.closing = threading.Event()
        self._scripts: dict[str, list[Scripted]] = {}
        self._used: dict[str, int] = defaultdict(int)
        self._held: set[Held] = set()
        self._lock = threading.Lock()
        self._server = _Server(self, tls)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="scripted-server")
        self._thread.start()

    def script(self, action: str, *answers: Scripted) -> None:
        """Answer an action so from now on: one answer after the other, the last again and again.

        Args:
            answers: documents, raw answers, or functions of the request that give one.
        """
        with self._lock:
            self._scripts[action] = list(answers)
            self._used[action] = 0

    def asked(self, action: str) -> list[Recorded]:
        """The requests of an action so far."""
        return [request for request in list(self.requests) if request.action == action]

    def answer(self, request: Recorded) -> Answer:
        """Find the answer to a request."""
        with self._lock:
            self.requests.append(request)
            answers = self._scripts.get(request.action)
            if not answers:
                return _unknown(request.action)
            scripted = answers[min(self._used[request.action], len(answers) - 1)]
            self._used[request.action] += 1
        answer = scripted(request) if callable(scripted) else scripted
        if isinstance(answer, Held):
            with self._lock:
                self._held.add(answer)
                if self.closing.is_set():
                    answer.release()
            answer = answer.take()
        return answer

    def close(self) -> None:
        """Stop, without leaving a connection or a thread behind."""
        self.closing.set()
        with self._lock:
            for held in self._held:
                held.release()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unknown(action: str) -> Answer:
    return {"Success": False, "Code": "InvalidAction.NotFound", "Message": f"the script has no {action}"}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, owner: ScriptedServer, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self.tls = tls
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what several tests are about."""

    def cut(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.owner.answer(self._recorded(body))
        if isinstance(answer, Dropped):
            self.wfile.write(answer.after)
            self.close_connection = True
        elif isinstance(answer, Raw):
            self._send(answer.status, answer.body, answer.headers)
        else:
            assert isinstance(answer, Mapping)
            document = json.dumps(answer).encode()
            self._send(answer.get("HttpStatusCode", 200), document, {"Content-Type": "application/json"})

    do_GET = do_PUT = do_POST

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + body)

    def _recorded(self, body: bytes) -> Recorded:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        is_form = self.path.startswith("/?")
        call = parts.path if parts.path.startswith("/node/") else ""
        written = body.decode("ascii") if is_form else ""
        form = dict(parse_qsl(written, errors="surrogateescape"))
        places = {"query": query.get("Authorization"), "body": form.get("Authorization")}
        place = next((name for name, value in places.items() if value is not None), "")
        usual = {"Action", "Format", "Version", "Timestamp", "SignatureNonce", "Authorization"}
        return Recorded(
            action=query.get("Action", "" if is_form else call or self.command),
            parameters={key: value for key, value in (query | form).items() if key not in usual},
            credential=places.get(place) or "",
            credential_place=place,
            method=self.command,
            target=self.path,
            headers=dict(self.headers.items()),
            body=body,
            at=time.monotonic(),
            connection=self.client_address,
        )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Say nothing: a test fails by what it asserts."""
