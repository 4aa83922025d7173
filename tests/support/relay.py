"""A real service behind a scripted server, which hands everything on and damages transfers of files on the way."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import attrs

from ctxmgr.nodewire import CALLS
from ctxmgr.service.api.registry import ACTIONS
from ctxmgr.testing import serve

from .forward import flipped, forward
from .scripted import Dropped, Raw, Recorded, ScriptedServer

__all__ = ["Relay"]

_DIGESTS = {"repr-digest", "x-ctxmgr-blake3"}


class Relay:
    """Serves a data folder for the time of a ``with`` statement.

    Attributes:
        url: where it listens.
        key: a key of the service.
        refusals: XML bodies, as object stores send them, to refuse the next transfers with.
        cut: how many of the next downloads break off in the middle.
        flip: of how many of the next transfers, in either direction, one bit is flipped on the way.
        tells: whether answers carry digests; without, it is an object store that has none.
        seen: the transfers.
    """

    def __init__(self, folder: Path) -> None:
        self.refusals: list[str] = []
        self.cut = 0
        self.flip = 0
        self.tells = True
        self.seen: list[Recorded] = []
        self._random = random.Random()
        self._open = ExitStack()
        service = self._open.enter_context(serve(folder))
        server = self._open.enter_context(ScriptedServer())
        self._behind = urlsplit(service.endpoint).netloc
        self.key = service.api_key
        self.url = server.url
        for action in (*ACTIONS, *(f"/node/{call}" for call in CALLS)):
            server.script(action, self._hand_on)
        server.script("PUT", self._upload)
        server.script("GET", self._download)
        server.script("POST", self._download)

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _hand_on(self, request: Recorded) -> Raw:
        answer = forward(self._behind, request)
        if self.tells:
            return answer
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _DIGESTS}
        return attrs.evolve(answer, headers=headers)

    def _upload(self, request: Recorded) -> Raw:
        self.seen.append(request)
        return self._refusal() or self._hand_on(attrs.evolve(request, body=self._on_the_way(request.body)))

    def _download(self, request: Recorded) -> Raw | Dropped:
        self.seen.append(request)
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        answer = self._hand_on(request)
        body = self._on_the_way(answer.body)
        if not self.cut:
            return attrs.evolve(answer, body=body)
        self.cut -= 1
        head = f"HTTP/1.1 {answer.status} Cut\r\nContent-Length: {len(body)}\r\n\r\n"
        return Dropped(head.encode() + body[: len(body) // 2])

    def _refusal(self) -> Raw | None:
        if not self.refusals:
            return None
        return Raw(self.refusals.pop(0).encode(), 403, {"Content-Type": "application/xml"})

    def _on_the_way(self, content: bytes) -> bytes:
        if not self.flip or not content:
            return content
        self.flip -= 1
        return flipped(content, self._random)
