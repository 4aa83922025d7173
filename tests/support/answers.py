"""Answers of the protocol, as a server writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["REQUEST_ID", "bound", "entry", "listed", "ok", "refused", "started"]

REQUEST_ID = "5B1E2F00-0000-4000-8000-000000000001"

Document = dict[str, Any]


def ok(data: object = None, **beside: object) -> Document:
    """The envelope of a success, with what stands in ``Data`` and beside it."""
    envelope = {"RequestId": REQUEST_ID, "Success": True, "Code": "ok", "Message": "", "HttpStatusCode": 200}
    return {**envelope, "Data": data, **beside}


def refused(code: str, message: str = "the service said no", *, http_status: int = 200) -> Document:
    """The envelope of a failure."""
    return {
        "RequestId": REQUEST_ID,
        "Success": False,
        "Code": code,
        "Message": message,
        "HttpStatusCode": http_status,
    }


def started(*task_ids: str) -> Document:
    """The answer to SyncContext: of a service that names its tasks, or, without any, of one that does not."""
    return ok({"TaskIds": list(task_ids)}) if task_ids else ok()


def bound(*paths: str) -> Document:
    """The answer to DescribeSessionContexts: one context bound at these paths."""
    return ok([{"ContextId": "SdkCtx-1", "ContextName": "project", "Path": path} for path in paths])


def listed(*entries: Mapping[str, object]) -> Document:
    """The answer to GetContextInfo: its entries, encoded twice."""
    if not entries:
        return ok({"ContextStatus": ""})
    return ok({"ContextStatus": json.dumps([{"type": "data", "data": json.dumps(entries)}])})


def entry(
    status: str = "Success",
    *,
    path: str = "/data",
    context_id: str = "SdkCtx-1",
    task_type: str = "upload",
    start: int = 200,
    task_id: str = "",
    error: str = "",
    **more: object,
) -> Document:
    """One entry of a ContextStatus."""
    return {
        "contextId": context_id,
        "path": path,
        "status": status,
        "errorMessage": error,
        "startTime": start,
        "finishTime": start + 5 if status in ("Success", "Failed") else 0,
        "taskType": task_type,
        **({"taskId": task_id} if task_id else {}),
        **more,
    }
