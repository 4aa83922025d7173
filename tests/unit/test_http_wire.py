"""The blocking way over HTTP: what is sent, when it is sent again, and what becomes of every kind of answer."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
import requests
import responses

from ctxmgr import (
    ClosedError,
    ConnectionFailed,
    ProtocolError,
    RequestTimeout,
    TransportError,
)
from ctxmgr._io import Closing, HttpWire
from ctxmgr.config import resolve
from ctxmgr.transport import Transport
from tests.support.answers import ok, refused

KEY = "akm-0123456789"
SERVE = "http://ctxmgr.example:8700"
CLOUD = "https://agentbay.cn-hangzhou.aliyuncs.com"
ATTEMPTS = 4

Made = Callable[..., Transport]


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was paused between attempts; nobody really waits."""
    taken: list[float] = []
    monkeypatch.setattr(Closing, "pause", lambda self, seconds: taken.append(seconds))
    return taken


@pytest.fixture
def make() -> Iterator[Made]:
    made: list[Transport] = []

    def make(session: requests.Session | None = None, **given: Any) -> Transport:
        usual: dict[str, Any] = {"api_key": KEY, "endpoint": SERVE, "attempts": ATTEMPTS}
        config = resolve(**usual | given)
        made.append(Transport(HttpWire(config, session), config.attempts, Closing()))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def answers(
    wire: responses.RequestsMock, *documents: Any, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    """Answer any request with one document after the other, the last again and again."""
    for document in documents:
        body = document if isinstance(document, (bytes, Exception)) else json.dumps(document).encode()
        wire.add(responses.POST, re.compile(".*"), body=body, status=status, headers=headers)


def sent(wire: responses.RequestsMock) -> requests.PreparedRequest:
    """The one request that was sent."""
    (call,) = wire.calls
    return call.request


def form(request: requests.PreparedRequest) -> dict[str, list[str]]:
    assert isinstance(request.body, bytes)
    return parse_qs(request.body.decode())


def query(request: requests.PreparedRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url or "").query)


def kwargs(request: requests.PreparedRequest) -> dict[str, Any]:
    return request.req_kwargs  # type: ignore[attr-defined,no-any-return]  # responses puts them there


class TestRequest:
    def test_it_is_a_post_of_a_form_to_the_root(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make().call("GetContextInfo", {"SessionId": "s-1"})
        request = sent(wire)
        assert (request.method, (request.url or "").partition("?")[0]) == ("POST", f"{SERVE}/")
        assert form(request)["SessionId"] == ["s-1"]

    def test_it_has_the_protocols_headers(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make().call("GetContextInfo", {})
        headers = sent(wire).headers
        assert (headers["x-acs-action"], headers["x-acs-version"]) == ("GetContextInfo", "2025-05-06")
        assert headers["Content-Type"] == "application/x-www-form-urlencoded"

    def test_its_length_is_that_of_its_body(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make().call("GetContextInfo", {"Path": "/ü" * 100})
        request = sent(wire)
        assert request.headers["Content-Length"] == str(len(request.body or b""))

    def test_a_second_request_carries_nothing_of_the_first(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        transport = make()
        transport.call("GetContextInfo", {"SessionId": "s-1"})
        transport.call("ListContexts", {})
        second = wire.calls[1].request
        assert (second.headers["x-acs-action"], list(form(second))) == ("ListContexts", ["Authorization"])

    def test_an_endpoint_with_a_path_keeps_it(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make(endpoint="https://gateway.example/ctxmgr").call("ListContexts", {})
        assert (sent(wire).url or "").startswith("https://gateway.example/ctxmgr/?Action=ListContexts&")

    def test_it_always_has_time_outs(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make(timeout=(3, 5)).call("ListContexts", {})
        assert kwargs(sent(wire))["timeout"] == (3, 5)

    def test_one_that_is_to_park_may_take_longer(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make(timeout=(3, 5)).call("GetContextInfo", {}, timeout=10)
        assert kwargs(sent(wire))["timeout"] == (3, 15)


class TestCredential:
    @pytest.mark.parametrize(
        ("endpoint", "action", "in_query"),
        [
            (SERVE, "GetContextInfo", False),
            (SERVE, "SyncContext", False),
            (CLOUD, "GetContextInfo", False),
            (CLOUD, "SyncContext", True),
        ],
    )
    def test_it_is_in_the_form_unless_the_cloud_would_not_find_it(
        self, make: Made, wire: responses.RequestsMock, endpoint: str, action: str, in_query: bool
    ) -> None:
        answers(wire, ok())
        make(endpoint=endpoint).call(action, {"SessionId": "s-1"})
        places = query(sent(wire)), form(sent(wire))
        assert ["Authorization" in place for place in places] == [in_query, not in_query]

    @pytest.mark.parametrize("place", [query, form])
    def test_it_is_a_bearer_token(
        self,
        make: Made,
        wire: responses.RequestsMock,
        place: Callable[[requests.PreparedRequest], dict[str, list[str]]],
    ) -> None:
        answers(wire, ok())
        make(endpoint=CLOUD if place is query else SERVE).call("SyncContext", {})
        assert place(sent(wire))["Authorization"] == [f"Bearer {KEY}"]

    def test_it_is_in_no_header(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make().call("ListContexts", {})
        assert KEY not in str(sent(wire).headers)

    @pytest.mark.parametrize(
        "failure",
        [
            requests.ConnectionError(
                f"HTTPSConnectionPool: Max retries exceeded with url: /?Authorization=Bearer+{KEY}"
            ),
            requests.ReadTimeout(f"url: /?Authorization=Bearer+{KEY}"),
            requests.exceptions.InvalidSchema(f"No connection adapters for /?Authorization=Bearer+{KEY}"),
            requests.exceptions.ChunkedEncodingError(f"broken: {KEY}"),
        ],
        ids=lambda failure: type(failure).__name__,
    )
    def test_it_is_nowhere_in_what_a_failure_shows(
        self, make: Made, wire: responses.RequestsMock, failure: requests.RequestException
    ) -> None:
        answers(wire, failure)
        with pytest.raises(TransportError) as caught:
            make(endpoint=CLOUD, attempts=1).call("SyncContext", {})
        assert KEY not in "".join(traceback.format_exception(caught.value))

    def test_it_is_nowhere_in_the_chain_behind_a_failure(self, make: Made, wire: responses.RequestsMock) -> None:
        key = "akm/1+2="
        answers(
            wire, requests.ConnectionError(f"Max retries exceeded with url: /?Authorization=Bearer+{quote_plus(key)}")
        )
        with pytest.raises(TransportError) as caught:
            make(endpoint=CLOUD, attempts=1, api_key=key).call("SyncContext", {})
        link: BaseException | None = caught.value
        while link is not None:
            assert "akm" not in f"{link!s} {link!r}"
            link = link.__cause__ or link.__context__


class TestSettings:
    def test_certificates_are_checked(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make(endpoint=CLOUD).call("ListContexts", {})
        assert kwargs(sent(wire))["verify"] is True

    def test_a_ca_bundle_is_passed_on(self, make: Made, wire: responses.RequestsMock, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.touch()
        answers(wire, ok())
        make(endpoint=CLOUD, verify=str(bundle)).call("ListContexts", {})
        assert kwargs(sent(wire))["verify"] == str(bundle)

    def test_the_ca_bundle_that_requests_knows_is_honoured(
        self, make: Made, wire: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
        answers(wire, ok())
        make(endpoint=CLOUD).call("ListContexts", {})
        assert kwargs(sent(wire))["verify"] == str(tmp_path)

    def test_a_proxy_is_passed_on(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok())
        make(endpoint=CLOUD, proxies={"https": "http://proxy:3128"}).call("ListContexts", {})
        assert kwargs(sent(wire))["proxies"]["https"] == "http://proxy:3128"

    def test_the_proxy_of_the_environment_is_honoured(
        self, make: Made, wire: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
        answers(wire, ok())
        make(endpoint=CLOUD).call("ListContexts", {})
        assert kwargs(sent(wire))["proxies"]["https"] == "http://proxy:3128"

    def test_hosts_that_the_environment_exempts_get_no_proxy(
        self, make: Made, wire: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
        monkeypatch.setenv("NO_PROXY", ".aliyuncs.com")
        answers(wire, ok())
        make(endpoint=CLOUD).call("ListContexts", {})
        assert not kwargs(sent(wire))["proxies"]

    def test_redirects_are_not_followed(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, b"", status=302, headers={"Location": "http://elsewhere.example/"})
        with pytest.raises(ProtocolError, match="HTTP 302"):
            make().call("ListContexts", {})
        assert len(wire.calls) == 1


class TestOwnSession:
    @pytest.fixture
    def session(self) -> Iterator[requests.Session]:
        with requests.Session() as session:
            yield session

    def test_its_headers_are_sent(self, make: Made, wire: responses.RequestsMock, session: requests.Session) -> None:
        session.headers["X-Tenant"] = "blue"
        answers(wire, ok())
        make(session).call("ListContexts", {})
        assert sent(wire).headers["X-Tenant"] == "blue"

    def test_a_header_that_changes_is_sent_as_it_is_now(
        self, make: Made, wire: responses.RequestsMock, session: requests.Session
    ) -> None:
        answers(wire, ok())
        transport = make(session)
        for token in ("first", "second"):
            session.headers["X-Token"] = token
            transport.call("ListContexts", {})
        assert [call.request.headers["X-Token"] for call in wire.calls] == ["first", "second"]

    def test_its_cookies_come_back(self, make: Made, wire: responses.RequestsMock, session: requests.Session) -> None:
        answers(wire, ok(), headers={"Set-Cookie": "node=7"})
        transport = make(session)
        transport.call("ListContexts", {})
        transport.call("ListContexts", {})
        assert wire.calls[1].request.headers["Cookie"] == "node=7"

    def test_its_auth_is_used(self, make: Made, wire: responses.RequestsMock, session: requests.Session) -> None:
        session.auth = ("user", "password")
        answers(wire, ok())
        make(session).call("ListContexts", {"MaxResults": "7"})
        assert sent(wire).headers["Authorization"].startswith("Basic ")
        assert form(sent(wire))["MaxResults"] == ["7"]

    def test_its_hooks_are_called(self, make: Made, wire: responses.RequestsMock, session: requests.Session) -> None:
        seen: list[int] = []
        session.hooks["response"].append(lambda response, **kwargs: seen.append(response.status_code))
        answers(wire, ok())
        make(session).call("ListContexts", {})
        assert seen == [200]

    def test_its_certificates_are_used(
        self, make: Made, wire: responses.RequestsMock, session: requests.Session, tmp_path: Path
    ) -> None:
        session.verify = str(tmp_path)
        answers(wire, ok())
        make(session, endpoint=CLOUD).call("ListContexts", {})
        assert kwargs(sent(wire))["verify"] == str(tmp_path)

    def test_it_has_the_clients_time_outs(
        self, make: Made, wire: responses.RequestsMock, session: requests.Session
    ) -> None:
        answers(wire, ok())
        make(session, timeout=(3, 5)).call("ListContexts", {})
        assert kwargs(sent(wire))["timeout"] == (3, 5)

    def test_it_is_left_open(self, make: Made, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        closed: list[bool] = []
        monkeypatch.setattr(session, "close", lambda: closed.append(True))
        make(session).close()
        assert closed == []

    def test_its_adapters_are_left_alone(self, make: Made, session: requests.Session) -> None:
        adapters = dict(session.adapters)
        make(session)
        assert session.adapters == adapters


@pytest.mark.usefixtures("pauses")
class TestAnswers:
    def test_a_success_is_given_back(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, ok({"a": 1}))
        assert make().call("ListContexts", {}).data == {"a": 1}

    @pytest.mark.parametrize("status", [200, 404])
    def test_a_refusal_is_given_back_and_not_raised(
        self, make: Made, wire: responses.RequestsMock, status: int
    ) -> None:
        answers(wire, refused("InvalidContext.NotFound", "no such context"), status=status)
        assert make().call("GetContext", {}).error_message == "[InvalidContext.NotFound] no such context"

    @pytest.mark.parametrize("body", [b"<html>Welcome</html>", b'{"Success": tr', b"", b"[]", b"\xff\xfe"])
    def test_what_is_not_the_protocol_is_raised(self, make: Made, wire: responses.RequestsMock, body: bytes) -> None:
        answers(wire, body)
        with pytest.raises(ProtocolError):
            make().call("ListContexts", {})

    def test_what_is_not_the_protocol_is_not_asked_for_again(self, make: Made, wire: responses.RequestsMock) -> None:
        answers(wire, b"<html>Welcome</html>")
        with pytest.raises(ProtocolError):
            make().call("ListContexts", {})
        assert len(wire.calls) == 1

    @pytest.mark.parametrize(
        ("failure", "kind", "text"),
        [
            (
                requests.ConnectTimeout(),
                RequestTimeout,
                f"no connection to {SERVE} within 3 s; is the service up and reachable?",
            ),
            (requests.ReadTimeout(), RequestTimeout, f"{SERVE} did not answer within 5 s"),
            (
                requests.exceptions.SSLError("bad certificate"),
                ConnectionFailed,
                f"no trusted connection to {SERVE}: bad certificate; if its certificate is your own, name the CA "
                "bundle with verify= or CTXMGR_CA_BUNDLE",
            ),
            (
                requests.exceptions.ProxyError("gone"),
                ConnectionFailed,
                f"no connection to {SERVE} through the proxy: gone",
            ),
            (requests.ConnectionError("reset"), ConnectionFailed, f"the connection to {SERVE} broke: reset"),
            (
                requests.exceptions.InvalidSchema("what?"),
                TransportError,
                f"the request to {SERVE} failed: InvalidSchema",
            ),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    def test_a_failure_is_told_in_our_own_words(
        self,
        make: Made,
        wire: responses.RequestsMock,
        failure: requests.RequestException,
        kind: type[TransportError],
        text: str,
    ) -> None:
        answers(wire, failure)
        with pytest.raises(TransportError) as caught:
            make(timeout=(3, 5), attempts=1).call("ListContexts", {})
        assert (type(caught.value), str(caught.value)) == (kind, text)


class TestAgain:
    BROKEN = requests.ConnectionError("reset")

    def test_a_connection_that_broke_is_tried_again(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, self.BROKEN, self.BROKEN, ok({"a": 1}))
        assert make().call("ListContexts", {}).data == {"a": 1}

    def test_it_is_given_up_after_all_attempts(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, self.BROKEN)
        with pytest.raises(ConnectionFailed):
            make().call("ListContexts", {})
        assert (len(wire.calls), len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)

    def test_a_call_may_have_attempts_of_its_own(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, self.BROKEN)
        with pytest.raises(ConnectionFailed):
            make().call("ListContexts", {}, attempts=1)
        assert (len(wire.calls), pauses) == (1, [])

    def test_the_pauses_grow(self, make: Made, wire: responses.RequestsMock, pauses: list[float]) -> None:
        answers(wire, self.BROKEN)
        with pytest.raises(ConnectionFailed):
            make().call("ListContexts", {})
        assert [0.1 <= pauses[0] <= 0.2, 0.2 <= pauses[1] <= 0.4, 0.4 <= pauses[2] <= 0.8] == [True] * 3

    def test_the_same_request_is_sent_each_time(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, self.BROKEN, ok())
        make().call("GetContextInfo", {"SessionId": "s-1"})
        assert [form(call.request)["SessionId"] for call in wire.calls] == [["s-1"]] * 2

    @pytest.mark.parametrize("body", [refused("InternalError"), b"<html>Bad Gateway</html>"])
    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_a_failing_server_is_asked_again(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float], status: int, body: object
    ) -> None:
        answers(wire, body, status=status)
        answers(wire, ok({"a": 1}))
        assert make().call("ListContexts", {}).data == {"a": 1}

    def test_a_server_that_goes_on_failing_is_believed_in_the_end(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, refused("InternalError", "oops"), status=500)
        assert make().call("ListContexts", {}).error_message == "[InternalError] oops"
        assert len(wire.calls) == ATTEMPTS

    @pytest.mark.parametrize("body", [refused("Throttling"), b"<html>Slow down</html>"])
    @pytest.mark.parametrize("idempotent", [True, False])
    def test_a_throttling_server_says_when_to_come_back(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float], idempotent: bool, body: object
    ) -> None:
        answers(wire, body, status=429, headers={"Retry-After": "7"})
        answers(wire, ok())
        make().call("SyncContext", {}, idempotent=idempotent)
        assert pauses == [7]

    @pytest.mark.parametrize("failure", [BROKEN, requests.ReadTimeout()], ids=["broken", "too slow"])
    def test_what_has_an_effect_is_sent_once(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float], failure: Exception
    ) -> None:
        answers(wire, failure)
        with pytest.raises(TransportError):
            make().call("SyncContext", {}, idempotent=False)
        assert len(wire.calls) == 1

    def test_what_has_an_effect_is_sent_once_to_a_failing_server(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, refused("InternalError", "oops"), status=500)
        assert make().call("SyncContext", {}, idempotent=False).error_message == "[InternalError] oops"
        assert len(wire.calls) == 1

    def test_what_has_an_effect_is_sent_again_if_no_connection_could_be_made_in_time(
        self, make: Made, wire: responses.RequestsMock, pauses: list[float]
    ) -> None:
        answers(wire, requests.ConnectTimeout(), ok())
        assert make().call("SyncContext", {}, idempotent=False).success


class TestClosing:
    def test_nothing_is_sent_any_more(self, wire: responses.RequestsMock) -> None:
        closing = Closing()
        transport = Transport(HttpWire(resolve(api_key=KEY, endpoint=SERVE)), ATTEMPTS, closing)
        closing.set()
        with pytest.raises(ClosedError, match=r"^ListContexts was not sent: the client is closed$"):
            transport.call("ListContexts", {})
        assert len(wire.calls) == 0

    def test_a_pause_between_attempts_ends_at_once(self, wire: responses.RequestsMock) -> None:
        closing = Closing()
        transport = Transport(HttpWire(resolve(api_key=KEY, endpoint=SERVE)), ATTEMPTS, closing)

        def fail(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            closing.set()
            return 429, {"Retry-After": "30"}, json.dumps(refused("Throttling"))

        wire.add_callback(responses.POST, re.compile(".*"), fail)
        with pytest.raises(ClosedError, match=r"^the client was closed while it waited$"):
            transport.call("ListContexts", {})

    def test_a_request_that_closing_broke_says_so(self, wire: responses.RequestsMock) -> None:
        closing = Closing()
        transport = Transport(HttpWire(resolve(api_key=KEY, endpoint=SERVE)), ATTEMPTS, closing)

        def fail(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            closing.set()
            raise requests.ConnectionError("reset")

        wire.add_callback(responses.POST, re.compile(".*"), fail)
        with pytest.raises(ClosedError, match=r"^the client was closed during ListContexts$"):
            transport.call("ListContexts", {})
