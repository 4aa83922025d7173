"""The envelope that every answer comes in."""

from __future__ import annotations

import uuid
from typing import Any

from ctxmgr.errors import ServiceError

__all__ = ["failure", "http_status", "new_request_id", "success"]

_STATUS = (
    (".NotFound", 404),
    (".Duplicate", 409),
    (".Conflict", 409),
    (".Moved", 409),
    (".Interrupted", 409),
    (".PreconditionFailed", 412),
    (".TooLarge", 413),
    (".NotSatisfiable", 416),
)


def new_request_id() -> str:
    """Return the id under which a request is answered and logged."""
    return uuid.uuid4().hex.upper()


def success(request_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Wrap what an action answers: ``Data`` and what stands beside it."""
    return {"RequestId": request_id, "Success": True, "Code": "ok", "Message": "", "HttpStatusCode": 200, **answer}


def failure(request_id: str, error: ServiceError) -> dict[str, Any]:
    """Wrap an error."""
    return {
        "RequestId": request_id,
        "Success": False,
        "Code": error.code,
        "Message": error.message,
        "HttpStatusCode": http_status(error.code),
    }


def http_status(code: str) -> int:
    """Return the HTTP status that an error code goes with."""
    if code.startswith("Forbidden"):
        return 403
    if code.startswith("Internal"):
        return 500
    if code.startswith("ServiceUnavailable"):
        return 503
    if code == "InsufficientStorage":
        return 507
    return next((status for suffix, status in _STATUS if code.endswith(suffix)), 400)
