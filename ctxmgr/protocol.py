"""AgentBay's wire: how a request is written and an answer is read, without sending either."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import attrs

from .argumentnames import naming_arguments
from .errors import ApiError, ConnectionFailed, ProtocolError, error_for
from .filedigests import content_digest, is_intact
from .patience import MAX_ANSWER, unpacked
from .results import ContextStatusData
from .structuring import kind_of, structure_list

__all__ = [
    "OK",
    "VERSION",
    "Answer",
    "EncodedRequest",
    "Reply",
    "Request",
    "answer_from_document",
    "context_status",
    "encode",
    "error_of",
    "read_answer",
    "redacted",
    "task_ids",
    "too_large",
    "unless_understood",
]

VERSION = "2025-05-06"
OK = "ok"
_SNIPPET = 80
_HEADERS = {
    "x-acs-version": VERSION,
    "content-type": "application/x-www-form-urlencoded",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
}


@attrs.frozen
class Request:
    """One call of the protocol.

    Attributes:
        action: such as ``GetContextInfo``.
        parameters: what the action takes, as text.
        timeout: seconds the server may take beyond the usual, where it is asked to park.
        within: seconds it may take in all, where that is less.
    """

    action: str
    parameters: Mapping[str, str]
    timeout: float = 0.0
    within: float = math.inf


@attrs.frozen
class EncodedRequest:
    """A request as HTTP carries it, always a POST. Neither part is shown: both may hold the credential."""

    query: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class Reply:
    """What came back over HTTP, not yet read: a body as its ``Content-Encoding`` says."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class Answer:
    """The envelope that every answer comes in (protocol: "Envelope of every answer").

    Attributes:
        data: the answer's ``Data``, whatever the action puts there.
        document: the whole answer, for what stands beside ``Data``.
        retry_after: the ``Retry-After`` header, if any.
    """

    request_id: str
    success: bool
    code: str
    message: str
    http_status: int
    data: Any = attrs.field(repr=False)
    document: Mapping[str, Any] = attrs.field(repr=False)
    retry_after: str = ""

    @property
    def error_message(self) -> str:
        """``[Code] Message``, as AgentBay's users know it; empty on success."""
        return "" if self.success else f"[{self.code}] {self.message}"


def encode(request: Request, api_key: str, *, for_cloud: bool = False) -> EncodedRequest:
    """Write a request down.

    Args:
        for_cloud: put the credential where AgentBay's cloud looks for it in SyncContext, and no header that the cloud
            does not know. Elsewhere the credential belongs in the body, which no access log keeps.
    """
    timestamp = time.strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ", time.gmtime())
    query = (
        f"Action={quote(request.action)}&Format=json&Version={VERSION}"
        f"&Timestamp={timestamp}&SignatureNonce={os.urandom(16).hex()}"
    )
    credential = {"Authorization": f"Bearer {api_key}"}
    form = dict(request.parameters)
    if for_cloud and request.action == "SyncContext":
        query += "&" + urlencode(credential)
    else:
        form |= credential
    body = urlencode(form, errors="surrogateescape").encode("ascii")
    headers = {**_HEADERS, "x-acs-action": request.action}
    if not for_cloud:
        headers["content-digest"] = content_digest(body)
    return EncodedRequest(query, headers, body)


def too_large(status: int) -> ProtocolError:
    """Return the error of an answer that does not end where any answer does."""
    return ProtocolError(f"the answer (HTTP {status}) is larger than {MAX_ANSWER >> 20} MiB", http_status=status)


def read_answer(reply: Reply, *, secret: str = "") -> Answer:
    """Read the envelope out of an HTTP answer.

    Args:
        secret: taken out of what an error quotes.

    Raises:
        ProtocolError: the answer is not an envelope; the text says what came instead.
        ConnectionFailed: it was damaged on its way.
    """
    retry_after = reply.headers.get("Retry-After", "")
    if encodings := reply.headers.get("Content-Encoding"):
        try:
            reply = attrs.evolve(reply, body=unpacked(reply.body, encodings))
        except ValueError as error:
            text = f"the answer (HTTP {reply.status}) can't be read: {error}"
            raise ProtocolError(text, http_status=reply.status, retry_after=retry_after) from None
    # Compared as it was before anything on the way packed it.
    if not is_intact(reply.body, reply.headers.get("Content-Digest", "")):
        raise ConnectionFailed("the answer was damaged on its way")
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        text = _not_an_envelope(reply, secret)
        raise ProtocolError(text, http_status=reply.status, retry_after=retry_after) from None
    return answer_from_document(document, reply.status, retry_after)


def answer_from_document(document: Any, http_status: int = 200, retry_after: str = "") -> Answer:
    """Read the envelope out of a decoded document.

    Raises:
        ProtocolError: the document is not an envelope; the text says what is wrong where.
    """
    if not isinstance(document, dict):
        raise ProtocolError(
            f"the answer (HTTP {http_status}) is {kind_of(document)}, not an envelope", http_status=http_status
        )
    success = document.get("Success")
    if not isinstance(success, bool):
        raise ProtocolError(
            f"the answer (HTTP {http_status}) is not an envelope: Success is {kind_of(success)}, not a boolean",
            http_status=http_status,
        )
    request_id, code, message = (_text(document, key, http_status) for key in ("RequestId", "Code", "Message"))
    if success and http_status != 200:  # half a body and a redirect can hold an envelope, and prove nothing
        success, code = False, ""
    return Answer(
        request_id=request_id,
        success=success,
        code=code or (OK if success else f"Http.{http_status}"),
        message=naming_arguments(message) or ("" if success else "the service gave no reason"),
        http_status=http_status,
        data=document.get("Data"),
        document=document,
        retry_after=retry_after,
    )


def _text(document: Mapping[str, Any], key: str, http_status: int) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"{key} is {kind_of(value)}, not a string", http_status=http_status)
    return value


def _not_an_envelope(reply: Reply, secret: str) -> str:
    if not reply.body:
        return f"the server answered HTTP {reply.status} with nothing in it"
    content_type = reply.headers.get("Content-Type", "no content type")
    body = redacted(reply.body.decode("utf-8", "replace"), secret)
    snippet = " ".join(body[: 2 * _SNIPPET].split())[:_SNIPPET]
    return (
        f"the server answered HTTP {reply.status} with something that is not a JSON document ({content_type}), "
        f"beginning {snippet!r}; is the endpoint right?"
    )


def redacted(text: str, secret: str) -> str:
    """Return a text without a secret, neither as it is nor as a URL spells it."""
    for spelled in {secret, quote_plus(secret)} - {""}:
        text = text.replace(spelled, "…")
    return text


def error_of(answer: Answer) -> ApiError:
    """Return a failed answer as the typed exception."""
    return error_for(answer.code, answer.message, request_id=answer.request_id, http_status=answer.http_status)


def task_ids(answer: Answer) -> tuple[str, ...] | None:
    """Return the ids of the tasks an action started; ``None`` on a server that does not tell (ext of ctxmgr's service).

    Raises:
        ProtocolError: ``Data.TaskIds`` is there and is not a list of strings.
    """
    ids = answer.data.get("TaskIds") if isinstance(answer.data, dict) else None
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(isinstance(task_id, str) and task_id for task_id in ids):
        raise ProtocolError("Data.TaskIds is not a list of non-empty strings")
    return tuple(ids)


_CAPABILITIES = {
    "DiscardLocal": "discard local changes",
    "Exclude": "leave out what patterns exclude",
    "Conflict": "let a conflict be decided otherwise",
    "LimitRate": "limit its rate",
    "Policy.exclude": "honour patterns that a policy excludes",
    "Policy.conflict": "honour a policy's choice for conflicts",
}


def unless_understood(answer: Answer, needed: Collection[str]) -> Answer | None:
    """Return a failure unless a service says that it understands parameters of ours (ext of ctxmgr's service).

    Args:
        answer: to GetContextInfo with ``Extensions``.
        needed: the names of the parameters.
    """
    if not answer.success and answer.code.startswith(("InvalidMcpSession.", "InvalidContext.", "Forbidden")):
        return answer
    told = answer.data.get("Extensions") if isinstance(answer.data, dict) else None
    unknown = [name for name in needed if not isinstance(told, list) or name not in told]
    if not unknown:
        return None
    problem = (
        f"this server does not say that it can {', '.join(_CAPABILITIES[name] for name in unknown)}, and might ignore "
        "the wish; nothing was begun: use ctxmgr's own service, or leave it out"
    )
    return attrs.evolve(answer, success=False, code="Sync.Unsupported", message=problem)


def context_status(answer: Answer) -> list[ContextStatusData]:
    """Read GetContextInfo's doubly encoded ``ContextStatus`` (protocol: "ContextStatus").

    Raises:
        ProtocolError: something in it can't be read; the text names its path in the document.
    """
    data = answer.data
    if data is None:
        return []
    if not isinstance(data, dict):
        raise ProtocolError(f"Data is {kind_of(data)}, not an object")
    encoded = data.get("ContextStatus")
    if encoded is None or encoded == "":
        return []
    found: list[ContextStatusData] = []
    for index, item in enumerate(_decoded_list(encoded, "Data.ContextStatus")):
        where = f"Data.ContextStatus[{index}]"
        if not isinstance(item, dict):
            raise ProtocolError(f"{where} is {kind_of(item)}, not an object")
        if item.get("type") == "data" and item.get("data"):
            path = f"{where}.data"
            found += structure_list(_decoded_list(item["data"], path), ContextStatusData, path)
    return found


def _decoded_list(text: Any, path: str) -> list[Any]:
    if not isinstance(text, str):
        raise ProtocolError(f"{path} is {kind_of(text)}, not a JSON string")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, list):
        raise ProtocolError(f"{path} decodes to {kind_of(value)}, not a list")
    return value
