"""Actions on a context's history: clear the context, list its revisions, and go back to one of them."""

from __future__ import annotations

from typing import Any

from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contexts, history
from ctxmgr.service.catalog.clock import timestamp
from ctxmgr.service.catalog.paging import read_position, token_of
from ctxmgr.service.catalog.tasks import CLEAR, RESTORE
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["clear_context", "list_revisions", "restore_context"]

PAGE = 50
MAX_PAGE = 1000
MAX_REVISION = 2**62


def clear_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ClearContext: have a context emptied. (ext) ``Data.TaskIds`` tells of the task that does it."""
    context_id = parameters.required("Id")
    with runtime.queueing() as queue:
        contexts.find(queue.connection, account, context_id)
        task_id = queue.add_change(account, context_id, CLEAR)
    return {"Data": {"TaskIds": [task_id]}}


def restore_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer RestoreContext (ext): have a context made again what it was at a revision; 0 is the empty one."""
    context_id = parameters.required("Id")
    if not parameters.text("Revision"):
        raise ServiceError(
            "InvalidParameter.Missing",
            "the parameter Revision is missing: send the number of one of the context's revisions",
        )
    revision = parameters.number("Revision", 0, least=0, most=MAX_REVISION)
    with runtime.queueing() as queue:
        contexts.find(queue.connection, account, context_id)
        history.check_revision(queue.connection, context_id, revision)
        task_id = queue.add_change(account, context_id, RESTORE, revision=revision)
    return {"Data": {"TaskIds": [task_id]}}


def list_revisions(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ListRevisions (ext): a context's revisions, latest first."""
    context_id = parameters.required("ContextId")
    size = parameters.number("MaxResults", PAGE, least=1, most=MAX_PAGE)
    token = parameters.text("NextToken")
    before = read_position(token)[0] if token else None
    with runtime.catalog.read() as connection:
        context = contexts.find(connection, account, context_id)
        rows = history.listed(connection, context_id, before=before, size=size + 1)
    following = token_of((rows[size - 1].number, "")) if len(rows) > size else ""
    return {
        "Data": [
            {
                "Revision": row.number,
                "CreateTime": timestamp(row.created_ms),
                "Note": row.note,
                "TaskId": row.task_id,
                "Current": row.number == context.head,
            }
            for row in rows[:size]
        ],
        "NextToken": following,
        "MaxResults": size,
    }
