"""Which exception a failed answer becomes, and what the exceptions are below."""

from __future__ import annotations

import pickle

import pytest

from ctxmgr import (
    ApiError,
    ArgumentError,
    ArgumentTypeError,
    ClosedError,
    ConfigError,
    ConflictError,
    ConnectionFailed,
    CtxmgrError,
    DataFolderError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    RequestTimeout,
    ServerError,
    SyncFailed,
    ThrottledError,
    TransportError,
)
from ctxmgr.errors import error_for


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidMcpSession.NotFound", NotFoundError),
        ("InvalidContext.NotFound", NotFoundError),
        ("Context.NotExist", NotFoundError),
        ("InvalidContext.Duplicate", ConflictError),
        ("Context.AlreadyExists", ConflictError),
        ("Throttling.User", ThrottledError),
        ("TooManyRequests", ThrottledError),
        ("Forbidden.RAM", ForbiddenError),
        ("InvalidApiKey.NotFound", ForbiddenError),
        ("Unauthorized", ForbiddenError),
        ("InternalError", ServerError),
        ("ServiceUnavailable.Closed", ServerError),
        ("InvalidParameter.Missing", InvalidRequestError),
        ("MissingParameter", InvalidRequestError),
        ("UnsupportedPolicy", InvalidRequestError),
        ("Sync.Timeout", SyncFailed),
        ("Sync.NotFound", SyncFailed),
        ("Unheard.Of", ApiError),
        ("", ApiError),
    ],
)
def test_the_code_decides(code: str, kind: type[ApiError]) -> None:
    assert type(error_for(code, "no")) is kind


@pytest.mark.parametrize(
    ("http_status", "kind"),
    [
        (400, InvalidRequestError),
        (401, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, InvalidRequestError),
        (429, ThrottledError),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_the_http_status_decides_where_the_code_says_nothing(http_status: int, kind: type[ApiError]) -> None:
    assert type(error_for("Unheard.Of", "no", http_status=http_status)) is kind


def test_a_code_that_says_something_outweighs_the_http_status() -> None:
    assert type(error_for("InvalidMcpSession.NotFound", "no", http_status=500)) is NotFoundError


def test_an_invalid_request_that_the_server_choked_on_may_pass() -> None:
    assert type(error_for("InvalidState", "no", http_status=503)) is ServerError


@pytest.mark.parametrize(("code", "shown"), [("Code", "[Code] what"), ("", "what")])
def test_its_text_is_as_agentbays_users_know_it(code: str, shown: str) -> None:
    assert str(error_for(code, "what")) == shown


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (ApiError, CtxmgrError),
        (ArgumentError, ValueError),
        (ArgumentTypeError, TypeError),
        (ArgumentTypeError, ArgumentError),
        (ConfigError, ArgumentError),
        (ClosedError, CtxmgrError),
        (DataFolderError, CtxmgrError),
        (TransportError, CtxmgrError),
        (ConnectionFailed, TransportError),
        (RequestTimeout, TransportError),
        (ProtocolError, TransportError),
        (SyncFailed, ApiError),
    ],
)
def test_it_can_be_caught_as_its_base(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, base)


@pytest.mark.parametrize(
    "error",
    [
        error_for("InvalidMcpSession.NotFound", "no such session", request_id="R-1"),
        ConnectionFailed("refused", received=False),
        ProtocolError("HTML", http_status=502),
    ],
)
def test_it_survives_the_way_back_from_another_process(error: CtxmgrError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
