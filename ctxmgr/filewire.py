"""What the answer to a PUT or a GET of a file's URL says, whoever gave it: our service, or an object store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from .config import Config
from .errors import ArgumentError, ConnectionFailed, ProtocolError
from .protocol import OK, Answer, Reply, read_answer

__all__ = ["MAX_REFUSAL", "checked_url", "refused", "transferred", "whence"]

MAX_REFUSAL = 64 << 10
"""Bytes of a refusal that are read: more would be no text for people."""

_DAMAGED = ("InvalidContent.Checksum", "BadDigest")
_XML_CODE = re.compile(r"<Code>([\w.]{1,80})</Code>")
_XML_MESSAGE = re.compile(r"<Message>([^<]{1,500})</Message>")


def checked_url(url: str) -> str:
    """Return a URL back if it can be used.

    Raises:
        ArgumentError: it is not http or https.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ArgumentError("the URL of a file must begin with http:// or https://")
    return url


def whence(config: Config, url: str) -> Config:
    """Return a configuration with the place of a URL as its endpoint, for error texts: the URL is a secret."""
    parts = urlsplit(url)
    return attrs.evolve(config, endpoint=f"{parts.scheme}://{parts.hostname}:{parts.port or parts.scheme}")


def transferred(status: int, headers: Mapping[str, str], size: int, *, verified: bool) -> Answer:
    """Return the answer to a transfer that succeeded.

    Args:
        size: bytes that were sent or came.
        verified: whether a digest proves that they are those that were sent.
    """
    revision = headers.get("x-ctxmgr-revision", "")
    data = {
        "Size": size,
        "Verified": verified,
        "Digest": headers.get("x-ctxmgr-blake3", ""),
        "Revision": int(revision) if revision.isdecimal() else 0,
    }
    return Answer(_request_id(headers), success=True, code=OK, message="", http_status=status, data=data, document={})


def refused(reply: Reply) -> Answer:
    """Return the answer to a transfer that was refused, from an envelope or an object store's XML.

    Raises:
        ConnectionFailed: what came there was damaged on its way, and was not kept.
    """
    answer = _refusal(reply)
    if answer.code in _DAMAGED:
        raise ConnectionFailed(f"the file was damaged on its way, and not kept: {answer.error_message}")
    return answer


def _refusal(reply: Reply) -> Answer:
    try:
        return read_answer(reply)
    except ProtocolError:
        text = reply.body.decode("utf-8", "replace")
    code, message = _XML_CODE.search(text), _XML_MESSAGE.search(text)
    return Answer(
        _request_id(reply.headers),
        success=False,
        code=code[1] if code else f"Http.{reply.status}",
        message=message[1] if message else f"the server answered HTTP {reply.status} to the transfer of a file",
        http_status=reply.status,
        data=None,
        document={},
        retry_after=reply.headers.get("Retry-After", ""),
    )


def _request_id(headers: Mapping[str, str]) -> str:
    return headers.get("x-request-id") or headers.get("x-oss-request-id") or ""
