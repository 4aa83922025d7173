"""The blocking way over real sockets: connections that are kept, cut, refused, distrusted and broken."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
import requests
import trustme
import urllib3

from ctxmgr import Client, ClosedError, ConnectionFailed, ContextSyncResult, CtxmgrError, ProtocolError, RequestTimeout
from ctxmgr._io import Closing, HttpWire
from ctxmgr.config import resolve
from ctxmgr.protocol import Request
from tests.support.answers import bound, entry, listed, ok, started
from tests.support.endless import EndlessServer
from tests.support.scripted import PATIENCE, Dropped, Held, Raw, ScriptedServer

KEY = "akm-0123456789"
SOON = 0.5
OFTEN = 0.02  # seconds; each single wait is far shorter than the time-out

T = TypeVar("T")


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(api_key=KEY, endpoint=server.url) as client:
        yield client


@pytest.fixture
def cloud(server: ScriptedServer) -> Iterator[Client]:
    """A client of AgentBay's cloud, which is reached through a proxy: the server."""
    endpoint = "http://agentbay.cn-hangzhou.aliyuncs.com"
    with Client(api_key=KEY, endpoint=endpoint, proxies={"http": server.url}, attempts=1) as client:
        yield client


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server:
        yield server


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def aside() -> Iterator[Callable[[Callable[[], T]], Future[T]]]:
    """Runs a call in another thread."""
    threads = ThreadPoolExecutor()
    yield threads.submit
    threads.shutdown(wait=False)


@pytest.fixture
def unreachable() -> str:
    """An endpoint where nobody listens any more."""
    with ScriptedServer() as server:
        return server.url


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was paused between attempts; nobody really waits."""
    taken: list[float] = []
    monkeypatch.setattr(Closing, "pause", lambda self, seconds: taken.append(seconds))
    return taken


def sync(client: Client) -> ContextSyncResult:
    return client.session("s-1").context.sync()


def parked_at(server: ScriptedServer, action: str) -> Held:
    """Have a sync park at one of its requests."""
    held = Held()
    server.script("GetContextInfo", listed())
    server.script("SyncContext", started("t-1"))
    if action == "SyncContext":
        server.script("SyncContext", held)
    else:
        server.script("GetContextInfo", listed(), held)
    return held


class TestConnections:
    def test_one_after_the_other_share_a_connection(self, server: ScriptedServer, client: Client) -> None:
        server.script("ListContexts", ok([]))
        for _ in range(5):
            client.contexts.list()
        assert len({request.connection for request in server.requests}) == 1

    def test_a_request_is_sent_at_once(
        self, server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[bytes] = []
        sendall = socket.socket.sendall

        def noted(self: socket.socket, data: bytes) -> None:
            if urlsplit(server.url).port == self.getpeername()[1]:
                sent.append(bytes(data))
            sendall(self, data)

        monkeypatch.setattr(socket.socket, "sendall", noted)
        server.script("GetContextInfo", listed())
        for session in ("s-1", "s-2"):
            client.session(session).context.info()
        first, second = sent
        assert first.startswith(b"POST /?Action=GetContextInfo")
        assert b"SessionId=s-1" in first.partition(b"\r\n\r\n")[2]
        assert b"SessionId=s-2" in second.partition(b"\r\n\r\n")[2]

    def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
        self, server: ScriptedServer, client: Client, pauses: list[float]
    ) -> None:
        server.script("ListContexts", ok([]), Dropped(), ok([]))
        client.contexts.list()
        assert client.contexts.list().success

    def test_many_threads_may_share_a_client(self, server: ScriptedServer, client: Client) -> None:
        server.script("GetContext", lambda request: ok({"Id": request.parameters["Name"]}))
        names = [f"context-{number}" for number in range(200)]
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda name: client.contexts.get(name).context.id, names))
        assert found == names

    def test_no_more_connections_are_kept_than_threads_used_them(self, server: ScriptedServer, client: Client) -> None:
        server.script("ListContexts", ok([]))
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: client.contexts.list(), range(200)))
        assert len({request.connection for request in server.requests}) <= 8


class TestFailures:
    def test_a_connection_that_is_refused_says_so(self, unreachable: str, pauses: list[float]) -> None:
        text = rf"^no connection to {unreachable}: .*refused.*; is the service running\?$"
        with Client(api_key=KEY, endpoint=unreachable) as client, pytest.raises(ConnectionFailed, match=text):
            client.contexts.list()

    def test_a_sync_that_was_not_sent_is_sent_again(
        self, unreachable: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Client(api_key=KEY, endpoint=unreachable, attempts=3) as client:
            client._core.transport.tells_task_ids = True
            with pytest.raises(ConnectionFailed):
                sync(client)
        assert len(pauses) == 2

    def test_a_sync_that_may_have_been_received_is_not_sent_again(
        self, server: ScriptedServer, client: Client, pauses: list[float]
    ) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", Dropped())
        with pytest.raises(ConnectionFailed, match=r"^the connection to http://127\.0\.0\.1:\d+ broke: "):
            sync(client)
        assert len(server.asked("SyncContext")) == 1

    def test_a_failure_is_caused_by_what_happened_on_the_socket(self, unreachable: str, pauses: list[float]) -> None:
        with Client(api_key=KEY, endpoint=unreachable) as client, pytest.raises(ConnectionFailed) as caught:
            client.contexts.list()
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    @pytest.mark.parametrize(
        "after",
        [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"],
        ids=["before the answer", "in the answer"],
    )
    def test_a_connection_that_breaks_is_a_failed_connection(self, server: ScriptedServer, after: bytes) -> None:
        server.script("ListContexts", Dropped(after))
        with Client(api_key=KEY, endpoint=server.url, attempts=1) as client, pytest.raises(ConnectionFailed):
            client.contexts.list()

    def test_an_answer_that_takes_too_long_is_not_waited_for(self, server: ScriptedServer) -> None:
        server.script("ListContexts", Held())
        with (
            Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=(5, 0.05)) as client,
            pytest.raises(RequestTimeout, match=r"did not answer within 0\.05 s$"),
        ):
            client.contexts.list()


class TestTls:
    def test_a_certificate_of_ones_own_authority_is_trusted(self, secure: ScriptedServer, bundle: str) -> None:
        secure.script("ListContexts", ok([]))
        with Client(api_key=KEY, endpoint=secure.url, verify=bundle) as client:
            assert client.contexts.list().success

    def test_a_certificate_of_an_unknown_authority_is_refused_with_advice(self, secure: ScriptedServer) -> None:
        with (
            Client(api_key=KEY, endpoint=secure.url, attempts=1) as client,
            pytest.raises(ConnectionFailed, match=r"^no trusted connection to .*verify failed.* with verify= or"),
        ):
            client.contexts.list()

    def test_a_certificate_of_another_host_is_refused(self, secure: ScriptedServer, bundle: str) -> None:
        elsewhere = secure.url.replace("127.0.0.1", "localhost")
        with (
            Client(api_key=KEY, endpoint=elsewhere, verify=bundle, attempts=1) as client,
            pytest.raises(ConnectionFailed, match=r"^no trusted connection to .*[Hh]ostname mismatch"),
        ):
            client.contexts.list()

    def test_nothing_was_sent_to_who_is_not_trusted(self, secure: ScriptedServer) -> None:
        with Client(api_key=KEY, endpoint=secure.url, attempts=1) as client, pytest.raises(ConnectionFailed) as caught:
            client.contexts.list()
        assert (caught.value.received, secure.requests) == (False, [])


class TestDripped:
    """What drips behind TLS and proxies ends as it does elsewhere, and so does a proxy that drips itself."""

    @pytest.fixture
    def tls(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
    def test_an_answer_over_tls_ends(self, tls: ssl.SSLContext, bundle: str, head: bytes) -> None:
        with (
            EndlessServer(head, b" ", every=OFTEN, tls=tls) as server,
            Client(api_key=KEY, endpoint=server.url, verify=bundle, attempts=1, timeout=SOON) as client,
            pytest.raises(RequestTimeout),
        ):
            client.contexts.list()

    def test_an_answer_over_tls_through_a_proxy_ends(self, tls: ssl.SSLContext, bundle: str) -> None:
        with (
            EndlessServer(b"HTTP/1.1 200 OK\r\nX-A: ", b" ", every=OFTEN, tls=tls, accepts=True) as proxy,
            Client(
                api_key=KEY,
                endpoint="https://127.0.0.1:9",
                proxies={"https": f"http://127.0.0.1:{proxy.port}"},
                verify=bundle,
                attempts=1,
                timeout=SOON,
            ) as client,
            pytest.raises(RequestTimeout),
        ):
            client.contexts.list()

    def test_a_proxys_own_answer_ends(self) -> None:
        with (
            EndlessServer(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", every=OFTEN) as proxy,
            Client(
                api_key=KEY, endpoint="https://127.0.0.1:9", proxies={"https": proxy.url}, attempts=1, timeout=SOON
            ) as client,
            pytest.raises((RequestTimeout, ConnectionFailed)),
        ):
            client.contexts.list()

    def test_the_size_of_an_answer_is_bounded_on_a_session_of_ones_own_too(self) -> None:
        with (
            EndlessServer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * (1 << 16)) as server,
            requests.Session() as session,
            Client(api_key=KEY, endpoint=server.url, session=session, attempts=1) as client,
            pytest.raises(ProtocolError, match="larger than 64 MiB"),
        ):
            client.contexts.list()


class TestClose:
    def assert_prompt(self, client: Client, outcome: Future[T]) -> None:
        """Close a client; what it waited for in another thread comes back, though no server answers."""
        client.close()
        outcome.exception(PATIENCE)

    def test_a_sync_that_waits_ends_promptly(
        self, server: ScriptedServer, client: Client, aside: Callable[..., Future[ContextSyncResult]]
    ) -> None:
        held = parked_at(server, "GetContextInfo")
        outcome = aside(sync, client)
        held.wait()
        self.assert_prompt(client, outcome)

    def test_a_sync_that_waits_says_that_it_was_closed(
        self, server: ScriptedServer, client: Client, aside: Callable[..., Future[ContextSyncResult]]
    ) -> None:
        held = parked_at(server, "GetContextInfo")
        outcome = aside(sync, client)
        held.wait()
        client.close()
        result = outcome.result(PATIENCE)
        assert (result.success, result.error_message) == (
            False,
            "[Client.Closed] the client was closed during GetContextInfo",
        )

    def test_a_sync_between_two_polls_ends_promptly(
        self, server: ScriptedServer, client: Client, aside: Callable[..., Future[ContextSyncResult]]
    ) -> None:
        polled = threading.Event()

        def running(request: object) -> dict[str, object]:
            polled.set()
            return listed(entry("Running"))

        server.script("GetContextInfo", listed(), running)
        server.script("SyncContext", started())
        outcome = aside(sync, client)
        assert polled.wait(PATIENCE)
        client.close()
        assert outcome.result(PATIENCE).error_message.startswith("[Client.Closed] the client was closed ")

    def test_a_sync_that_is_being_triggered_raises(
        self, server: ScriptedServer, client: Client, aside: Callable[..., Future[ContextSyncResult]]
    ) -> None:
        held = parked_at(server, "SyncContext")
        outcome = aside(sync, client)
        held.wait()
        client.close()
        with pytest.raises(ClosedError, match=r"^the client was closed during SyncContext$"):
            outcome.result(PATIENCE)

    def test_a_sync_through_a_proxy_ends_promptly(
        self, server: ScriptedServer, cloud: Client, aside: Callable[..., Future[ContextSyncResult]]
    ) -> None:
        held = parked_at(server, "GetContextInfo")
        outcome = aside(sync, cloud)
        held.wait()
        self.assert_prompt(cloud, outcome)

    def test_a_sync_over_tls_ends_promptly(
        self, secure: ScriptedServer, bundle: str, aside: Callable[..., Future[ContextSyncResult]]
    ) -> None:
        held = parked_at(secure, "GetContextInfo")
        with Client(api_key=KEY, endpoint=secure.url, verify=bundle) as client:
            outcome = aside(sync, client)
            held.wait()
            self.assert_prompt(client, outcome)

    def test_a_request_that_slips_through_is_cut_too(self, server: ScriptedServer) -> None:
        server.script("ListContexts", Held())
        wire = HttpWire(resolve(api_key=KEY, endpoint=server.url))
        wire.close()
        with pytest.raises(ConnectionFailed):
            wire.send(Request("ListContexts", {}))

    def test_it_may_be_repeated(self, client: Client) -> None:
        client.close()
        client.close()

    def test_nothing_is_sent_afterwards(self, server: ScriptedServer, client: Client) -> None:
        client.close()
        with pytest.raises(ClosedError, match=r"^ListContexts was not sent: the client is closed$"):
            client.contexts.list()
        assert server.requests == []

    def test_an_own_session_can_still_be_used(self, server: ScriptedServer) -> None:
        server.script("ListContexts", ok([]))
        with requests.Session() as session:
            with Client(api_key=KEY, endpoint=server.url, session=session) as client:
                client.contexts.list()
            assert session.post(f"{server.url}/?Action=ListContexts", timeout=PATIENCE).ok


class TestSecrets:
    """The cloud's SyncContext carries the credential in its URL; nothing that quotes URLs may show it."""

    @pytest.fixture(autouse=True)
    def _triggered(self, server: ScriptedServer) -> None:
        server.script("DescribeSessionContexts", bound("/data"))
        server.script("GetContextInfo", listed(), listed(entry()))
        server.script("SyncContext", started())

    def test_the_credential_is_in_the_url(self, server: ScriptedServer, cloud: Client) -> None:
        assert sync(cloud).success
        assert server.asked("SyncContext")[0].credential_place == "query"

    def test_it_is_in_no_log(self, cloud: Client, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        assert sync(cloud).success
        assert "Authorization=…" in caplog.text
        assert KEY not in caplog.text

    def test_it_is_in_no_log_of_retries(self, server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        server.script("SyncContext", Dropped(), started())
        endpoint = "http://agentbay.cn-hangzhou.aliyuncs.com"
        again = urllib3.Retry(3, allowed_methods=None)
        with requests.Session() as session:
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=again))
            with Client(api_key=KEY, endpoint=endpoint, proxies={"http": server.url}, session=session) as client:
                assert sync(client).success
        assert "Incremented Retry" in caplog.text
        assert KEY not in caplog.text

    def test_the_rest_of_the_log_is_left_alone(self, cloud: Client, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        assert sync(cloud).success
        (line,) = (line for line in caplog.messages if "Action=SyncContext" in line)
        assert re.search(r'&Authorization=… HTTP/1\.1" 200 \d+$', line)

    @pytest.mark.parametrize(
        "answer",
        [
            Dropped(),
            Dropped(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
            Dropped(b"what?\r\n\r\n"),
            Raw(b"<html>"),
        ],
        ids=["nothing", "half", "no HTTP", "HTML"],
    )
    def test_it_is_nowhere_in_a_failure(self, server: ScriptedServer, cloud: Client, answer: Dropped | Raw) -> None:
        server.script("SyncContext", answer)
        with pytest.raises(CtxmgrError) as caught:
            sync(cloud)
        assert KEY not in "".join(traceback.format_exception(caught.value))

    def test_a_page_that_quotes_the_request_does_not_show_it(self, server: ScriptedServer, cloud: Client) -> None:
        server.script("SyncContext", lambda request: Raw(f"<html>No such page: {request.target}".encode(), 404))
        with pytest.raises(CtxmgrError) as caught:
            sync(cloud)
        assert KEY not in str(caught.value)
