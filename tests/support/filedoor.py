"""A plain HTTP door to a context service, on the standard library alone: actions by POST, files by their URLs."""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from ctxmgr.service.api.envelope import failure, http_status, new_request_id

__all__ = ["FileDoor"]


class FileDoor:
    """Serves a data folder while it is in a with statement.

    Attributes:
        refusals: XML bodies, as object stores send them, to refuse the next transfers with.
        cut: how many of the next downloads break off in the middle.
        flip: of how many of the next transfers, in either direction, one bit is flipped on the way.
        tells: whether answers carry digests; without, it is an object store that has none.
        seen: method and headers of the transfers.
    """

    def __init__(self, folder: Path) -> None:
        self.service = ContextService.open(folder)
        self.refusals: list[str] = []
        self.cut = 0
        self.flip = 0
        self.tells = True
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FileDoor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.service.close()


def _handler(door: FileDoor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = dict(parse_qsl(body.decode("ascii"), errors="surrogateescape"))
            parameters = {**query, **form}
            self._park(query["Action"], parameters)
            envelope = door.service.handle(query["Action"], parameters, base_url=door.url)
            self._reply(200, {"Content-Type": "application/json"}, json.dumps(envelope).encode())

        def do_PUT(self) -> None:
            headers = self._transfer()
            if self._refuse():
                return
            try:
                with door.service.open_upload(self._token(), headers=headers) as upload:
                    left = int(headers["content-length"])
                    while left and (piece := self.rfile.read(min(left, 1 << 16))):
                        upload.write(self._on_the_way(piece))
                        left -= len(piece)
                    self._reply(200, dict(upload.finish().headers), b"")
            except ServiceError as error:
                self._fail(error)

        def do_GET(self) -> None:
            headers = self._transfer()
            if self._refuse():
                return
            try:
                found = door.service.open_download(self._token(), headers=headers)
            except ServiceError as error:
                self._fail(error)
                return
            body = self._on_the_way(b"".join(found.content))
            if door.cut:
                door.cut -= 1
                body = body[: len(body) // 2]
                self.close_connection = True
            self._reply(found.status, {"content-length": str(len(body)), **found.headers}, body)

        def _transfer(self) -> dict[str, str]:
            headers = {name.lower(): value for name, value in self.headers.items()}
            door.seen.append((self.command, headers))
            return headers

        def _on_the_way(self, content: bytes) -> bytes:
            if not door.flip or not content:
                return content
            door.flip -= 1
            place = random.randrange(8 * len(content))
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            return bytes(flipped)

        def _token(self) -> str:
            return self.path.removeprefix("/files/")

        def _refuse(self) -> bool:
            if not door.refusals:
                return False
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._reply(403, {"Content-Type": "application/xml"}, door.refusals.pop(0).encode())
            return True

        def _fail(self, error: ServiceError) -> None:
            self.close_connection = True
            body = json.dumps(failure(new_request_id(), error)).encode()
            headers = {"Content-Type": "application/json", "Connection": "close"}
            self._reply(http_status(error.code), headers, body)

        def _park(self, action: str, parameters: dict[str, Any]) -> None:
            watch = door.service.watch(action, parameters)
            if watch is None:
                return
            changed = threading.Event()
            unsubscribe = watch.subscribe(changed.set)
            while not watch.ready() and changed.wait(watch.poll or watch.timeout):
                changed.clear()
            unsubscribe()

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                if door.tells or name not in ("repr-digest", "x-ctxmgr-blake3"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
            """Keep the tests' output to the tests."""

    return Handler
