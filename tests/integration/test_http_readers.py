"""Clients that read slowly or not at all: what their answers cost is bounded in total, and is given back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import trustme

from ctxmgr import Client
from ctxmgr.service import ContextService
from ctxmgr.service.api.filecontent import PIECE
from ctxmgr.service.http import HttpServer
from ctxmgr.service.http.outflow import WAY, Broken, Outflow, Outlet, Way
from ctxmgr.service.http.writing import send_answer
from ctxmgr.testing import Service

from .asking import Asker, connect, until

KEY = "akm-0123456789"
PATIENCE = 30
READERS = 8
MOST = 2 * PIECE


class Watched(Outflow):
    """An outflow that remembers how much it held at most."""

    made: list[Watched]

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.made.append(self)

    def _hold(self, size: int, way: Way):  # type: ignore[no-untyped-def]
        holding = super()._hold(size, way)
        self.most = max(self.most, self.held)
        return holding


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxmgr.service.http.outflow.MAX_HELD", MOST)
    monkeypatch.setattr("ctxmgr.service.http.outflow.SECONDS_STALLED", 1.0)


class TestDownloads:
    @pytest.fixture(autouse=True)
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
        Watched.made = []
        monkeypatch.setattr("ctxmgr.service.http.app.Outflow", Watched)
        return Watched.made

    @pytest.fixture
    def path(self, made: list[Watched], asker: Asker, content: bytes) -> str:
        context = asker.context()
        put = str(asker.data("GetContextFileUploadUrl", ContextId=context, FilePath="/big")["Url"])
        requests.put(put, data=content, timeout=PATIENCE)
        return urlsplit(str(asker.data("GetContextFileDownloadUrl", ContextId=context, FilePath="/big")["Url"])).path

    @pytest.fixture
    def content(self) -> bytes:
        return os.urandom(24 << 20)

    @pytest.fixture
    def lazy(self, ctxmgr_service: Service, path: str) -> Iterator[list[socket.socket]]:
        """Clients that ask for a large file and never read."""
        with ExitStack() as connections:
            made = [connections.enter_context(connect(ctxmgr_service.endpoint)) for _ in range(READERS)]
            for connection in made:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            yield made

    def test_many_who_never_read_cost_no_more_than_the_bound(
        self, ctxmgr_service: Service, made: list[Watched], lazy: list[socket.socket], path: str, content: bytes
    ) -> None:
        until(lambda: made[0].most > MOST - PIECE)
        # Who does read is served among them.
        assert requests.get(ctxmgr_service.endpoint + path, timeout=PATIENCE).content == content
        assert made[0].most <= MOST

    def test_what_they_cost_is_given_back(self, made: list[Watched], lazy: list[socket.socket]) -> None:
        until(lambda: made[0].most > 0)
        for connection in lazy:
            connection.close()
        until(lambda: made[0].held == 0)

    def test_they_are_given_up_if_nobody_needs_the_room(
        self, made: list[Watched], lazy: list[socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.http.outflow.SECONDS_FOR_A_PIECE", 0.2)
        until(lambda: made[0].most > 0 and made[0].held == 0)


def test_over_tls_each_byte_comes_too(tmp_path: Path) -> None:
    authority, content = trustme.CA(), os.urandom(5 << 20)
    issued = authority.issue_cert("127.0.0.1")
    bundle, key, chain = (tmp_path / name for name in ("ca.pem", "key.pem", "chain.pem"))
    authority.cert_pem.write_to_path(str(bundle))
    issued.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    with (
        closing(ContextService.open(tmp_path / "data")) as service,
        HttpServer(service, tls=(chain, key), own_key=KEY) as server,
        Client(api_key=KEY, endpoint=server.address, verify=str(bundle), attempts=1) as client,
    ):
        context = client.contexts.get("project", create=True).context
        assert client.files.upload(context, "/a", content).verified
        assert client.files.download(context, "/a", tmp_path / "a").verified
    assert (tmp_path / "a").read_bytes() == content


class Pipe:
    """A connection whose client reads only when it is told to."""

    def __init__(self) -> None:
        self.waiting = 0
        self.aborted = False
        self.full = asyncio.Event()
        self._read = asyncio.Event()

    async def send(self, message: dict[str, object]) -> None:
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        if body and not self.aborted:
            self.waiting += len(body)
            self.full.set()
            self._read.clear()

    def read(self) -> None:
        self.waiting = 0
        self._read.set()

    def is_closing(self) -> bool:
        return self.aborted

    def is_full(self) -> bool:
        return self.waiting > 0 and not self.aborted

    async def drain(self) -> None:
        await self._read.wait()

    def abort(self) -> None:
        self.aborted = True
        self.read()

    def outlet(self, outflow: Outflow) -> Outlet:
        return Outlet(outflow, {"extensions": {WAY: self}}, self.send)  # type: ignore[arg-type]  # messages are dicts


class TestAnswers:
    async def test_of_an_answer_only_a_step_is_handed_over_before_the_client_reads(self) -> None:
        pipe, outflow = Pipe(), Outflow()
        sending = asyncio.ensure_future(send_answer(pipe.outlet(outflow), 200, bytes(1 << 20)))
        await pipe.full.wait()
        assert pipe.waiting <= 1 << 16
        while not sending.done():
            pipe.read()
            await asyncio.sleep(0)
        await sending
        assert outflow.held == 0

    async def test_too_many_that_nobody_reads_make_the_oldest_give_way(self) -> None:
        outflow = Outflow()
        pipes = [Pipe() for _ in range(4)]
        sending = []
        for pipe in pipes:
            sending.append(asyncio.ensure_future(send_answer(pipe.outlet(outflow), 200, bytes(PIECE))))
            await pipe.full.wait()
            assert outflow.held <= MOST
        assert [pipe.aborted for pipe in pipes] == [True] * 2 + [False] * 2
        for pipe in pipes:
            pipe.abort()
        ended = await asyncio.gather(*sending, return_exceptions=True)
        assert [type(each) for each in ended[:2]] == [Broken] * 2
        assert outflow.held == 0

    async def test_a_small_one_that_nobody_reads_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ctxmgr.service.http.outflow.SECONDS_FOR_A_PIECE", 0.05)
        pipe, outflow = Pipe(), Outflow()
        with pytest.raises(Broken, match="nothing moved"):
            await send_answer(pipe.outlet(outflow), 200, b"{}")
        assert outflow.held == 0
