"""An S3 store in this process that can be made to lie, in one way at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["LIES", "LyingStore"]

LIES: Mapping[str, str] = {
    "corrupts": "gives back other bytes than were stored",
    "ignores ranges": "can't be used|gives other bytes than those of the range",
    "keeps the first": "gives an object's old content",
    "lists nothing": "does not list what was stored",
    "keeps deleted": "shows an object that was deleted",
    "unconditional": "ignores If-None-Match",
}
"""What a store can be made to do, and what is then said of it."""


class LyingStore:
    """Listens for the time of a ``with`` statement.

    Attributes:
        lie: one of ``LIES``; "" for the truth.
        environment: the AWS variables with which it is reached.
    """

    def __init__(self) -> None:
        self.lie = ""
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        store = self

        class Bound(_Handler):
            pass

        Bound.store = store
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.environment = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_REGION": "us-east-1",
        }
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> LyingStore:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: LyingStore

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        with self.store.lock:
            there = self._key in self.store.objects
            if there and "If-None-Match" in self.headers and self.store.lie != "unconditional":
                self._answer(412)
                return
            if not (there and self.store.lie == "keeps the first"):
                self.store.objects[self._key] = content
        self._answer(200)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if "list-type" in self._query:
            self._list()
            return
        with self.store.lock:
            content = self.store.objects.get(self._key)
        if content is None:
            self._answer(404)
            return
        if self.store.lie == "corrupts":
            content = content[:-1] + b"?"
        asked = self.headers.get("Range")
        if asked is None or self.store.lie == "ignores ranges":
            self._answer(200, content)
            return
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        told = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self._answer(206, content[first : last + 1], told)

    def do_POST(self) -> None:
        self._delete_named(self.rfile.read(int(self.headers["Content-Length"])))

    def do_DELETE(self) -> None:
        if self.store.lie != "keeps deleted":
            with self.store.lock:
                self.store.objects.pop(self._key, None)
        self._answer(204)

    def _delete_named(self, document: bytes) -> None:
        keys = [part.partition("</Key>")[0] for part in document.decode().split("<Key>")[1:]]
        if self.store.lie != "keeps deleted":
            with self.store.lock:
                for key in keys:
                    self.store.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _list(self) -> None:
        prefix = self._query.get("prefix", [""])[0]
        with self.store.lock:
            found = {key: content for key, content in self.store.objects.items() if key.startswith(prefix)}
        if self.store.lie == "lists nothing":
            found = {}
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{_etag(content)}</ETag></Contents>"
            for key, content in sorted(found.items())
        )
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode())

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        content = body
        for name, value in {
            "Content-Length": str(len(content)),
            "ETag": _etag(content),
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    @property
    def _key(self) -> str:
        """The object's, without the bucket."""
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    @property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    def log_message(self, *args: Any) -> None:
        """Keep what is asked out of the output of the tests."""


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
