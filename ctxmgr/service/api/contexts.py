"""Actions on contexts: list, get or create, rename, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contexts, sessions
from ctxmgr.service.catalog.clock import timestamp
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["delete_context", "get_context", "list_contexts", "modify_context"]

MAX_PAGE = 1000


def list_contexts(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ListContexts: the account's contexts, or those bound in one session, newest first.

    The only ``ContextType`` here is ``file_transfer``: those for the transfer of files, told only when asked for.
    """
    size = parameters.number("MaxResults", 10, least=1, most=MAX_PAGE)
    kind = parameters.text("ContextType")
    if kind not in ("", "file_transfer"):
        return {"Data": [], "NextToken": "", "MaxResults": size, "TotalCount": 0}
    runtime.end_lost_tasks()
    session_id = parameters.text("SessionId")
    with runtime.catalog.read() as connection:
        if session_id:
            sessions.find_live(connection, account, session_id)
        page = contexts.listed(
            connection,
            account,
            session_id=session_id,
            token=parameters.text("NextToken"),
            size=size,
            transfer=bool(kind),
        )
    return {
        "Data": [_described(row) for row in page.rows],
        "NextToken": page.next_token,
        "MaxResults": size,
        "TotalCount": page.total,
    }


def get_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetContext: the context of an id or a name, made where AllowCreate says so."""
    name, context_id = parameters.text("Name"), parameters.text("ContextId")
    if not name and not context_id:
        raise ServiceError("InvalidParameter.Missing", "the parameters Name and ContextId are missing: send one")
    create = parameters.flag("AllowCreate")
    runtime.end_lost_tasks()
    with runtime.catalog.read() as connection:
        if context_id:
            return {"Data": _described(contexts.find(connection, account, context_id))}
        row = contexts.find_named(connection, account, name)
    if row is None and create:
        with runtime.catalog.write(contexts.names_of(account)) as connection:
            # Another request may have made it since.
            row = contexts.find_named(connection, account, name) or contexts.create(connection, account, name)
    if row is None:
        raise ServiceError(
            "InvalidContext.NotFound",
            f"there is no context named {name!r}: create it, or list the contexts to see what there is",
        )
    return {"Data": _described(row)}


def modify_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ModifyContext: give a context another name."""
    context_id, name = parameters.required("Id"), parameters.required("Name")
    with runtime.catalog.write(contexts.names_of(account)) as connection:
        contexts.rename(connection, account, context_id, name)
    return {}


def delete_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DeleteContext: the context goes with its history and its bindings."""
    context_id = parameters.required("Id")
    with runtime.catalog.write() as connection:
        contexts.remove(connection, account, context_id)
    return {}


def _described(row: Row[Any]) -> dict[str, Any]:
    return {
        "Id": row.id,
        "Name": row.name,
        "State": row.state,
        "OsType": "linux",
        "CreateTime": timestamp(row.created_ms),
        "LastUsedTime": timestamp(row.used_ms),
        "Revision": row.head,
    }
