"""Writes answers down: envelopes as JSON, and their way out through ASGI."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from ctxmgr.errors import ServiceError
from ctxmgr.filedigests import content_digest
from ctxmgr.service.api.envelope import failure, new_request_id

__all__ = ["JSON", "Receive", "Scope", "Send", "encoded", "refusal", "send_answer", "send_head", "sized", "whole"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = "application/json"


def encoded(envelope: Mapping[str, Any]) -> bytes:
    """Return an envelope as it travels; a file name that is no UTF-8 is escaped."""
    return json.dumps(envelope, separators=(",", ":")).encode()


def refusal(error: ServiceError, status: int | None = None) -> bytes:
    """Return an error as it travels.

    Args:
        status: what ``HttpStatusCode`` says; None for what goes with the code.
    """
    envelope = failure(new_request_id(), error)
    if status is not None:
        envelope["HttpStatusCode"] = status
    return encoded(envelope)


async def send_head(send: Send, status: int, headers: Iterable[tuple[str, str]]) -> None:
    """Send the status and the headers."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


def sized(body: bytes, kind: str) -> list[tuple[str, str]]:
    """Return the headers of a body that is there as a whole, and that its reader can tell by itself to be intact."""
    return [("content-type", kind), ("content-length", str(len(body)))]


def whole(body: bytes, kind: str) -> list[tuple[str, str]]:
    """Return the headers of a body that is there as a whole."""
    return [*sized(body, kind), ("content-digest", content_digest(body))]


async def send_answer(
    send: Send, status: int, body: bytes, *, kind: str = JSON, headers: Iterable[tuple[str, str]] = ()
) -> None:
    """Send a whole answer."""
    await send_head(send, status, [*whole(body, kind), *headers])
    await send({"type": "http.response.body", "body": body})
