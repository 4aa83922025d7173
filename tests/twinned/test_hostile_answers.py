"""Answers that drip, flood or expand: every call ends, in a bounded time and a bounded memory."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctxmgr import Client, ContextManager, ProtocolError, RequestTimeout, TransportError
from ctxmgr.filewire import MAX_REFUSAL
from ctxmgr.patience import MAX_ANSWER
from tests.support.answers import entry, listed, ok, refused, started
from tests.support.endless import EndlessServer
from tests.support.scripted import Held, Raw, ScriptedServer

from .called import Called

pytestmark = pytest.mark.slow

KEY = "akm-0123456789"
SOON = 0.3
OFTEN = 0.02  # each single wait is far shorter than the time-out
START = b"HTTP/1.1 200 OK\r\n"
SIZED = START + b"Content-Length: 1000000\r\n\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
TO_THE_END = START + b"Connection: close\r\n\r\n"

DRIPPED = {
    "a status line": (b"HTTP/1.1 200 O", b"K"),
    "a header": (START + b"X-A: ", b"b"),
    "headers before the headers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body with a length": (SIZED, b" "),
    "a body in chunks": (CHUNKED, b"1\r\n \r\n"),
    "the length of a chunk": (CHUNKED, b"0"),
    "a body without a length": (TO_THE_END, b" "),
}
BEFORE_A_BODY = ("a status line", "a header", "headers before the headers")


def url_granted(url: str) -> dict[str, object]:
    return ok({"Url": f"{url}/files/a", "ExpireTime": 0})


Endless = Callable[..., str]


@pytest.fixture
def endless() -> Iterator[Endless]:
    """Starts servers whose answers never end, and returns their URLs."""
    with ExitStack() as servers:
        yield lambda *sent, **more: servers.enter_context(EndlessServer(*sent, **more)).url


@pytest.mark.parametrize("name", DRIPPED)
class TestDripped:
    @pytest.fixture
    def dripping(self, endless: Endless, name: str) -> str:
        return endless(*DRIPPED[name], every=OFTEN)

    def test_a_call_ends_though_the_server_goes_on(self, dripping: str) -> None:
        with Client(api_key=KEY, endpoint=dripping, attempts=1, timeout=SOON) as client:
            contexts = client.contexts
            with pytest.raises(RequestTimeout):
                contexts.list()

    def test_a_download_ends_though_the_server_goes_on(
        self, dripping: str, server: ScriptedServer, tmp_path: Path
    ) -> None:
        server.script("GetContextFileDownloadUrl", url_granted(dripping))
        with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=SOON) as client:
            files = client.files
            with pytest.raises(RequestTimeout):
                files.download("SdkCtx-1", "/a", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []

    def test_an_upload_ends_though_the_server_goes_on(self, dripping: str, name: str, server: ScriptedServer) -> None:
        server.script("GetContextFileUploadUrl", url_granted(dripping))
        with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=SOON) as client:
            files = client.files
            if name in BEFORE_A_BODY:
                with pytest.raises(RequestTimeout):
                    files.upload("SdkCtx-1", "/a", b"text")
            else:
                # What is in the body of a success says nothing.
                result = files.upload("SdkCtx-1", "/a", b"text")
                assert result.success


class TestFlooded:
    @pytest.mark.parametrize("status", [200, 302, 500])
    def test_an_answer_without_an_end_is_given_up(self, endless: Endless, status: int) -> None:
        head = b"HTTP/1.1 %d OK\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n" % status
        with Client(api_key=KEY, endpoint=endless(head, b" " * (1 << 16)), attempts=1) as client:
            contexts = client.contexts
            with pytest.raises(ProtocolError, match="larger than 64 MiB"):
                contexts.list()

    @pytest.mark.parametrize("line", [b"X-A: b\r\n", b"X-A: " + b"b" * (1 << 16)], ids=["many", "long"])
    def test_headers_without_an_end_are_given_up(self, endless: Endless, line: bytes) -> None:
        with Client(api_key=KEY, endpoint=endless(START, line), attempts=1) as client:
            contexts = client.contexts
            with pytest.raises(TransportError):
                contexts.list()

    @pytest.mark.parametrize("chunk", [b"0" * (1 << 16), b"1;" + b"x" * (1 << 16)], ids=["length", "extension"])
    def test_the_length_of_a_chunk_without_an_end_is_given_up(self, endless: Endless, chunk: bytes) -> None:
        with Client(api_key=KEY, endpoint=endless(CHUNKED, chunk), attempts=1, timeout=SOON) as client:
            contexts = client.contexts
            with pytest.raises(TransportError):
                contexts.list()

    def test_of_a_refused_transfer_no_more_is_read_than_people_would(
        self, endless: Endless, server: ScriptedServer, client: Client, tmp_path: Path
    ) -> None:
        head = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<Code>AccessDenied</Code>"
        server.script("GetContextFileDownloadUrl", url_granted(endless(head, b" " * MAX_REFUSAL)))
        result = client.files.download("SdkCtx-1", "/a", tmp_path / "a")
        assert result.error_message.startswith("[AccessDenied]")


def bare_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def twice(content: bytes) -> bytes:
    return gzip.compress(gzip.compress(content))


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "nested": ("gzip, gzip", twice),
}


@pytest.mark.parametrize("kind", PACKED)
class TestPacked:
    def test_an_answer_is_unpacked(self, server: ScriptedServer, client: Client, kind: str) -> None:
        encoding, pack = PACKED[kind]
        document = json.dumps(ok([{"Id": "SdkCtx-1", "Name": "packed"}])).encode()
        server.script("ListContexts", Raw(pack(document), headers={"Content-Encoding": encoding}))
        page = client.contexts.list()
        assert [context.name for context in page.contexts] == ["packed"]

    def test_a_bomb_is_given_up(self, server: ScriptedServer, client: Client, kind: str) -> None:
        encoding, pack = PACKED[kind]
        bomb = pack(b" " * (MAX_ANSWER + 1))
        server.script("ListContexts", Raw(bomb, headers={"Content-Encoding": encoding}))
        with pytest.raises(ProtocolError, match="unpacks to more than 64 MiB"):
            client.contexts.list()

    def test_one_that_was_cut_short_is_no_answer(self, server: ScriptedServer, client: Client, kind: str) -> None:
        encoding, pack = PACKED[kind]
        server.script("ListContexts", Raw(pack(b"{}" * 1000)[:-9], headers={"Content-Encoding": encoding}))
        with pytest.raises(ProtocolError, match="can't be read"):
            client.contexts.list()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip, gzip"])
def test_an_encoding_that_was_not_asked_for_is_refused(server: ScriptedServer, client: Client, encoding: str) -> None:
    server.script("ListContexts", Raw(b"what?", headers={"Content-Encoding": encoding}))
    with pytest.raises(ProtocolError, match="not asked for"):
        client.contexts.list()


def test_a_file_is_taken_as_it_is_stored_whatever_its_encoding(
    endless: Endless, server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    stored = gzip.compress(b"text")
    head = START + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(stored)
    server.script("GetContextFileDownloadUrl", url_granted(endless(head + stored, b"")))
    client.files.download("SdkCtx-1", "/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == stored


def ended(manager: ContextManager, max_retries: int = 2, retry_interval: float = 10) -> str:
    """Sync, and return why that failed; on a slow machine the time may be over before the sync has begun."""
    try:
        result = manager.sync(max_retries=max_retries, retry_interval=retry_interval)
    except RequestTimeout as error:
        return str(error)
    assert not result.success
    return result.error_message


class TestBudget:
    """A sync's budget includes its requests: here they could each take a quarter of an hour."""

    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ctxmgr.completion.GRACE", 0.5)

    @pytest.fixture
    def patient(self, server: ScriptedServer) -> Iterator[Client]:
        with Client(api_key=KEY, endpoint=server.url, timeout=1000) as client:
            yield client

    @pytest.mark.parametrize("task_ids", [(), ("t-1",)], ids=["unnamed tasks", "named tasks"])
    def test_a_poll_that_is_not_answered_is_cut(
        self, server: ScriptedServer, patient: Client, task_ids: tuple[str, ...]
    ) -> None:
        server.script("GetContextInfo", listed(), Held())
        server.script("SyncContext", started(*task_ids))
        manager = patient.session("s-1").context
        assert ended(manager)

    @pytest.mark.parametrize("task_ids", [(), ("t-1",)], ids=["unnamed tasks", "named tasks"])
    def test_one_in_the_background_too(
        self, server: ScriptedServer, patient: Client, task_ids: tuple[str, ...]
    ) -> None:
        server.script("GetContextInfo", listed(), Held())
        server.script("SyncContext", started(*task_ids))
        called = Called()
        patient.session("s-1").context.sync(callback=called, max_retries=2, retry_interval=10)
        called.wait()
        assert called.calls == [False]

    def test_polls_without_a_pause_do_not_add_up(self, server: ScriptedServer, patient: Client) -> None:
        server.script("GetContextInfo", listed(), listed(entry("Running")))
        server.script("SyncContext", started())
        manager = patient.session("s-1").context
        assert ended(manager, 10**6, 1e-4)

    def test_the_question_whether_a_server_can_discard_is_cut(self, server: ScriptedServer, patient: Client) -> None:
        server.script("GetContextInfo", Held())
        manager = patient.session("s-1").context
        with pytest.raises(RequestTimeout):
            manager.sync(mode="download", discard_local=True, max_retries=2, retry_interval=10)
        assert server.asked("SyncContext") == []

    def test_a_trigger_that_is_not_answered_is_cut(self, server: ScriptedServer, patient: Client) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", Held())
        manager = patient.session("s-1").context
        assert ended(manager)

    def test_a_trigger_is_not_sent_again_when_its_time_would_be_over(
        self, server: ScriptedServer, patient: Client
    ) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", Raw(json.dumps(refused("Throttling")).encode(), 429, {"Retry-After": "30"}))
        manager = patient.session("s-1").context
        assert ended(manager)
        assert len(server.asked("SyncContext")) <= 1

    def test_a_context_that_is_waited_for_is_asked_for_no_longer(
        self, server: ScriptedServer, patient: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.changes.GRACE", 0.1)
        server.script("GetContext", Held())
        contexts = patient.contexts
        with pytest.raises(RequestTimeout):
            contexts.wait_until_available("SdkCtx-1", timeout=0.1)
