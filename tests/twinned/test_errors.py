"""What becomes of answers that are not the protocol, and of none at all."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest

from ctxmgr import Client, ConnectionFailed, ContextManager, CtxmgrError, ProtocolError, RequestTimeout, TransportError
from tests.support.answers import listed, ok, refused
from tests.support.scripted import Answer, Dropped, Held, Raw, ScriptedServer

KEY = "akm-0123456789"
CLOUD = "http://agentbay.cn-hangzhou.aliyuncs.com"


@pytest.fixture
def impatient(server: ScriptedServer) -> Iterator[Client]:
    with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=(5, 0.05)) as client:
        yield client


@pytest.fixture
def guarded(server: ScriptedServer) -> Iterator[Client]:
    """A client that asks for TLS where there is none."""
    with Client(api_key=KEY, endpoint=server.url.replace("http://", "https://"), attempts=1) as client:
        yield client


@pytest.fixture
def cloud(server: ScriptedServer) -> Iterator[Client]:
    """A client of AgentBay's cloud, which is reached through a proxy: the server."""
    with Client(api_key=KEY, endpoint=CLOUD, proxies={"http": server.url}, attempts=1) as client:
        yield client


def test_html_is_a_protocol_error_that_quotes_it(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Raw(b"<h1>Welcome</h1>", headers={"Content-Type": "text/html"}))
    text = (
        r"^the server answered HTTP 200 with .* \(text/html\), beginning '<h1>Welcome</h1>'; is the endpoint right\?$"
    )
    with pytest.raises(ProtocolError, match=text):
        manager.info()


def test_https_to_a_server_without_tls_says_so(guarded: Client) -> None:
    with pytest.raises(ConnectionFailed, match=r"^no trusted connection to .* does not seem to speak TLS: give http"):
        guarded.contexts.list()


def test_half_a_document_is_a_protocol_error_that_quotes_it(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Raw(b'{"Success": tr'))
    with pytest.raises(ProtocolError, match=r'beginning .\{"Success": tr.;'):
        manager.info()


def test_nothing_is_a_protocol_error_that_says_so(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Raw())
    with pytest.raises(ProtocolError, match=r"^the server answered HTTP 200 with nothing in it$"):
        manager.info()


def test_a_document_that_is_no_envelope_is_a_protocol_error(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Raw(b'{"status": "ok"}'))
    with pytest.raises(ProtocolError, match=r"^the answer \(HTTP 200\) is not an envelope: Success is missing"):
        manager.info()


def test_a_redirect_is_not_followed(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Raw(status=302, headers={"Location": server.url}))
    with pytest.raises(ProtocolError, match="HTTP 302"):
        manager.info()


def test_a_connection_that_is_dropped_is_a_failed_connection(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Dropped())
    with pytest.raises(ConnectionFailed, match=r"^the connection to http://127\.0\.0\.1:\d+ broke: "):
        manager.info()


def test_a_connection_that_is_dropped_in_the_answer_is_a_failed_connection(
    server: ScriptedServer, manager: ContextManager
) -> None:
    server.script("GetContextInfo", Dropped(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
    with pytest.raises(ConnectionFailed, match=r"^the connection to http://127\.0\.0\.1:\d+ broke: "):
        manager.info()


def test_what_is_no_http_is_a_transport_error(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", Dropped(b"220 mail ready\r\n\r\n"))
    with pytest.raises(TransportError):
        manager.info()


def test_an_answer_that_takes_too_long_is_a_time_out(server: ScriptedServer, impatient: Client) -> None:
    server.script("GetContextInfo", Held())
    with pytest.raises(RequestTimeout, match=r"^http://127\.0\.0\.1:\d+ did not answer within 0\.05 s$"):
        impatient.session("s-1").context.info()


def test_a_connection_that_is_refused_says_what_to_look_for(server: ScriptedServer, manager: ContextManager) -> None:
    server.close()
    text = r"^no connection to http://127\.0\.0\.1:\d+: .*; is the service running\?$"
    with pytest.raises(ConnectionFailed, match=text):
        manager.info()


def test_a_failing_server_is_asked_again(server: ScriptedServer) -> None:
    server.script("GetContextInfo", Raw(b"<h1>Bad Gateway</h1>", 502), listed())
    with Client(api_key=KEY, endpoint=server.url, attempts=2) as client:
        result = client.session("s-1").context.info()
    assert (result.success, len(server.requests)) == (True, 2)


def test_a_failure_of_the_service_is_a_result(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", refused("InternalError", "oops", http_status=500))
    result = manager.info()
    assert (result.success, result.error_message) == (False, "[InternalError] oops")


def test_success_beside_an_http_error_is_a_failure(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", ok() | {"HttpStatusCode": 500})
    result = manager.info()
    assert not result.success


@pytest.mark.parametrize(
    "answer",
    [Dropped(), Dropped(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), Dropped(b"what?\r\n\r\n"), Raw(b"<html>")],
    ids=["nothing", "half", "no HTTP", "HTML"],
)
def test_a_failure_never_shows_the_credential_in_the_clouds_url(
    server: ScriptedServer, cloud: Client, answer: Answer
) -> None:
    server.script("GetContextInfo", listed())
    server.script("SyncContext", answer)
    with pytest.raises(CtxmgrError) as caught:
        cloud.session("s-1").context.sync()
    assert server.asked("SyncContext")[0].credential_place == "query"
    assert KEY not in "".join(traceback.format_exception(caught.value))
