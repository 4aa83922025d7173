"""What a node sends to a presigned URL, and what it tells of that: never the URL."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from functools import partial

import pytest

from ctxmgr._io._door import DoorWire
from ctxmgr.config import resolve
from ctxmgr.errors import TransportError
from tests.support.scripted import Dropped, Raw, ScriptedServer

KEY = "akm-0123456789"
SECRET = "X-Amz-Signature=0123456789abcdef"


@pytest.fixture
def wire() -> Iterator[DoorWire]:
    made = DoorWire(resolve(endpoint="http://ctxmgr.example", api_key=KEY))
    yield made
    made.close()


def url(server: ScriptedServer) -> str:
    return f"{server.url}/bucket/packs/a?{SECRET}"


def failed(wire: DoorWire, url: str, *, get: bool = False) -> TransportError:
    """Return how a transfer failed, which tells nobody the URL or the key."""
    transfer = partial(wire.get, url, 0, 7) if get else partial(wire.put, url, b"content")
    with pytest.raises(TransportError) as caught:
        transfer()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "Signature=" not in told
    assert KEY not in told
    return caught.value


def test_a_pack_is_sent_as_it_is(wire: DoorWire, server: ScriptedServer) -> None:
    server.script("PUT", Raw())
    wire.put(url(server), b"content")
    (sent,) = server.requests
    assert (sent.body, sent.target) == (b"content", f"/bucket/packs/a?{SECRET}")
    assert not sent.headers.keys() & {"Authorization", "Content-Type", "Transfer-Encoding", "Cookie"}


def test_a_range_is_read(wire: DoorWire, server: ScriptedServer) -> None:
    server.script("GET", Raw(b"content", 206))
    assert wire.get(url(server), 3, 10) == b"content"
    (asked,) = server.requests
    assert asked.headers["Range"] == "bytes=3-9"
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    "answer",
    [
        Raw(b"<Error><Code>SignatureDoesNotMatch</Code></Error>", 403),
        Raw(status=307, headers={"Location": f"http://127.0.0.1/?{SECRET}"}),
        Raw(b"content", 200),
        Raw(b"conten", 206),
        Raw(bytes(1 << 20), 206),
        Dropped(),
        Dropped(b"HTTP/1.1 206 Partial\r\nContent-Length: 7\r\n\r\ncon"),
        Dropped(b"no HTTP\r\n\r\n"),
    ],
    ids=repr,
)
def test_another_answer_than_the_range_is_a_failure(
    wire: DoorWire, server: ScriptedServer, answer: Raw | Dropped
) -> None:
    server.script("GET", answer)
    failed(wire, url(server), get=True)


def test_a_refusal_is_told_by_its_code(wire: DoorWire, server: ScriptedServer) -> None:
    server.script("PUT", Raw(f"<Error><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>".encode(), 403))
    assert f"{server.url} answers HTTP 403 (AccessDenied)" in str(failed(wire, url(server)))


@pytest.mark.parametrize(
    "wrong", ["", "store/path", "http://[store", "http://store:port/", "ftp://store/", "http:///path"]
)
def test_a_url_that_is_none_is_not_shown(wire: DoorWire, wrong: str) -> None:
    failed(wire, f"{wrong}?{SECRET}")


def test_a_service_with_tls_has_no_store_without(server: ScriptedServer) -> None:
    wire = DoorWire(resolve(endpoint="https://ctxmgr.example", api_key=KEY))
    assert "without TLS" in str(failed(wire, url(server)))
    assert server.requests == []
    wire.close()
