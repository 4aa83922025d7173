"""Files by URL: the bodies of GET and PUT, in pieces, between the socket and the service."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ctxmgr.service.api.filecontent import PIECE
from ctxmgr.service.api.transfer import Download
from ctxmgr.service.contextservice import ContextService

from .accessrecord import AccessRecord
from .metrics import GET_FILE, PUT_FILE, Metrics
from .outflow import Broken, Outlet, in_time
from .threads import Threads
from .writing import Receive, Send, send_head

__all__ = ["Transfers"]


class Transfers:
    """Serves the URLs that the service signs. A slow client holds a piece of a file, and no thread."""

    def __init__(self, service: ContextService, threads: Threads, metrics: Metrics) -> None:
        self._service = service
        self._threads = threads
        self._metrics = metrics

    async def get(
        self, method: str, token: str, headers: Mapping[str, str], record: AccessRecord, send: Outlet
    ) -> None:
        """Answer a GET or a HEAD.

        Raises:
            ServiceError: it is refused; nothing was sent.
            Broken: it broke in the middle.
        """
        record.action = GET_FILE
        found = await self._threads.run(lambda: self._service.open_download(token, method=method, headers=headers))
        await self._give(found, record, send)

    async def post(self, token: str, body: bytes, record: AccessRecord, send: Outlet) -> None:
        """Answer a POST of paths with the files.

        Raises:
            ServiceError: it is refused; nothing was sent.
            Broken: it broke in the middle.
        """
        record.action = GET_FILE
        await self._give(await self._threads.run(lambda: self._service.open_contents(token, body)), record, send)

    async def _give(self, found: Download, record: AccessRecord, send: Outlet) -> None:
        # The first piece comes before the head: what is missing in the store is still told as an error.
        holding = await send.reserve(PIECE)
        try:
            piece = await self._threads.run(lambda: next(found.content, b""))
            await send_head(send, found.status, found.headers.items())
            record.status, record.code = found.status, "ok"
            while piece:
                await send.send_held(holding, piece, more=True)
                record.sent += len(piece)
                piece = b""
                holding = await send.reserve(PIECE)
                try:
                    piece = await self._threads.run(lambda: next(found.content, b""))
                except Exception as error:
                    raise Broken(str(error)) from error
        finally:
            send.release(holding)
        await send({"type": "http.response.body", "body": b""})
        self._count(found, record)

    async def put(
        self, token: str, headers: Mapping[str, str], record: AccessRecord, receive: Receive, send: Send
    ) -> None:
        """Take the body of a PUT, and answer when it is kept.

        Raises:
            ServiceError: it is refused.
            Broken: the client went away.
        """
        record.action = PUT_FILE
        upload = await self._threads.run(lambda: self._service.open_upload(token, headers=headers))
        try:
            more = True
            while more:
                message = await in_time(receive())
                if message["type"] == "http.disconnect":
                    raise Broken("the client went away")
                piece, more = message.get("body", b""), message.get("more_body", False)
                record.received += len(piece)
                if piece:
                    await self._threads.run(partial(upload.write, piece))
            stored = await self._threads.run(upload.finish)
        finally:
            self._threads.submit(upload.close)
        await send_head(send, 200, stored.headers.items())
        await send({"type": "http.response.body", "body": b""})
        record.status, record.code = 200, "ok"
        self._metrics.moved("put", 1, stored.size)

    def _count(self, found: Download, record: AccessRecord) -> None:
        if found.status in (200, 206):
            self._metrics.moved("get", 1, record.sent)
