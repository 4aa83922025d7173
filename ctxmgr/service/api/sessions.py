"""Actions on sessions and their bindings."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from ctxmgr.engine.policy.mounts import joined, normalised
from ctxmgr.engine.sync.task import UPLOAD
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contexts, sessions
from ctxmgr.service.catalog.clock import timestamp
from ctxmgr.service.catalog.sessions import SessionRow
from ctxmgr.service.tasks.runtime import Runtime

from .bindings import bind, wanted_bindings
from .labels import read_labels
from .parameters import Parameters
from .sessionparameters import not_applied, refuse_unsupported
from .sessionplaces import placed, process_of

__all__ = [
    "bind_contexts",
    "create_session",
    "delete_session",
    "describe_session_contexts",
    "get_session",
    "get_session_detail",
    "list_sessions",
    "refresh_session",
    "refuse_if_ending",
    "unbind_contexts",
]

MAX_PAGE = 1000


def create_session(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer CreateMcpSession: a session with its bindings, and the downloads that these ask for."""
    refuse_unsupported(parameters)
    ignored = not_applied(parameters)
    wanted = wanted_bindings(parameters)
    labels = read_labels(parameters)
    image_id = parameters.text("ImageId")
    session = placed(runtime, account, parameters)
    session = replace(session, labels=labels, image_id=image_id)
    if session.owns_root:
        os.mkdir(session.root, 0o700)
    try:
        with runtime.queueing() as queue:
            sessions.create(queue.connection, session)
            if session.node_id:
                runtime.leases.record(queue.connection, account, session.node_id, *process_of(parameters))
            downloads = bind(runtime, queue, session, wanted)
    except BaseException:
        if session.owns_root:
            _discard(session.root)
        raise
    told = {"Success": True, "ErrMsg": "", "TaskIds": downloads, "NotApplied": ignored}
    return {"Data": {**_described(session, parameters), **told}}


def bind_contexts(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer BindContexts: more bindings for a session that runs."""
    session_id = parameters.required("SessionId")
    wanted = wanted_bindings(parameters)
    if not wanted:
        raise ServiceError(
            "InvalidParameter.Missing", "the parameter PersistenceDataList has no bindings: send at least one"
        )
    with runtime.queueing() as queue:
        session = sessions.hold_live(queue.connection, account, session_id)
        refuse_if_ending(session)
        downloads = bind(runtime, queue, session, wanted)
    return {"Data": {"TaskIds": downloads}}


def describe_session_contexts(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DescribeSessionContexts: a session's bindings."""
    session_id = parameters.required("SessionId")
    with runtime.catalog.read() as connection:
        sessions.find_live(connection, account, session_id)
        bound = sessions.bound(connection, session_id)
    return {
        "Data": [
            {
                "ContextId": binding.context_id,
                "ContextName": name,
                "Path": binding.path,
                "Policy": binding.policy_text,
                "BindTime": timestamp(binding.bound_ms),
            }
            for binding, name in bound
            if not contexts.is_transfer(binding.context_id)
        ]
    }


def get_session(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetSession: a session that has not ended."""
    session_id = parameters.required("SessionId")
    with runtime.catalog.read() as connection:
        session = sessions.find_live(connection, account, session_id)
        bound = sessions.bound(connection, session_id)
    names = {binding.context_id: name for binding, name in bound if not contexts.is_transfer(binding.context_id)}
    described = _described(session, parameters)
    described["contexts"] = [{"id": context_id, "name": name} for context_id, name in names.items()]
    return {"Data": {**described, "Status": session.status, "Success": True}}


def get_session_detail(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetSessionDetail: also of a session that ended, with why it did or did not."""
    runtime.end_lost_tasks()
    with runtime.catalog.read() as connection:
        session = sessions.find(connection, account, parameters.required("SessionId"))
    return {
        "Data": {
            "Id": _number(session.id),
            "SessionId": session.id,
            "Status": session.status,
            "EndReason": session.end_reason,
            "ImageId": session.image_id,
            "Labels": json.dumps(session.labels),
            "Root": session.shown_root,
            "Node": session.node_id,
        }
    }


def list_sessions(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ListSession: the account's sessions that have the given labels, newest first."""
    size = parameters.number("MaxResults", 10, least=1, most=MAX_PAGE)
    with runtime.catalog.read() as connection:
        page = sessions.listed(
            connection,
            account,
            status=parameters.text("Status"),
            image_id=parameters.text("ImageId"),
            labels=read_labels(parameters),
            token=parameters.text("NextToken"),
            size=size,
        )
        listed = [sessions.session_of(connection, row) for row in page.rows]
    return {
        "Data": [
            {
                "SessionId": session.id,
                "SessionStatus": session.status,
                "ImageId": session.image_id,
                "Labels": json.dumps(session.labels),
            }
            for session in listed
        ],
        "NextToken": page.next_token,
        "MaxResults": size,
        "TotalCount": page.total,
    }


def delete_session(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DeleteSessionAsync: upload what the policies ask for, and end the session if that went well.

    With ``Force`` (ext) the session ends also if that goes wrong, and what was not uploaded is lost with a directory
    that the service made.
    """
    session_id, force = parameters.required("SessionId"), parameters.flag("Force")
    with runtime.queueing() as queue:
        session = sessions.hold_live(queue.connection, account, session_id)
        if session.status == sessions.DELETING:
            if force:
                sessions.force_ending(queue.connection, session_id)
            return {}
        uploads = [
            queue.add(session, binding, UPLOAD)
            for binding in sessions.bindings_of(queue.connection, session_id)
            if binding.policy.auto_upload and _may_have_files(runtime, session, binding.mount)
        ]
        sessions.mark_ending(queue.connection, session_id, uploads)
        if force:
            sessions.force_ending(queue.connection, session_id)
        sessions.settle(queue.connection, session_id)
    runtime.clean_up()
    return {}


def unbind_contexts(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer UnbindContexts (ext): end a session's bindings of a context, at one path or at all. Files stay.

    Nothing is uploaded first: who wants that syncs before.
    """
    session_id, context_id = parameters.required("SessionId"), parameters.required("ContextId")
    path = parameters.text("Path")
    mount = normalised(path) if path else ""
    with runtime.catalog.write() as connection:
        refuse_if_ending(sessions.hold_live(connection, account, session_id))
        sessions.unbind(connection, session_id, context_id, mount)
    return {}


def refresh_session(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer RefreshSessionIdleTime: a session here has no idle time that could run out."""
    with runtime.catalog.read() as connection:
        sessions.find_live(connection, account, parameters.required("SessionId"))
    return {}


def refuse_if_ending(session: SessionRow) -> None:
    """Refuse to change or sync a session that is being deleted.

    Raises:
        ServiceError: it is.
    """
    if session.status == sessions.DELETING:
        raise ServiceError(
            "InvalidMcpSession.Deleting", f"the session {session.id!r} is being deleted: wait for that, or use another"
        )


def _described(session: SessionRow, parameters: Parameters) -> dict[str, Any]:
    # A session here is its own instance and its own resource.
    return {
        "SessionId": session.id,
        "AppInstanceId": session.id,
        "ResourceId": session.id,
        "ResourceUrl": f"{parameters.base_url}/?resourceId={session.id}",
        "Root": session.shown_root,
        "Node": session.node_id,
    }


def _may_have_files(runtime: Runtime, session: SessionRow, mount: str) -> bool:
    """Whether a directory can have something to save; one that is gone must not keep its session alive for ever."""
    return bool(session.node_id) or session.home != runtime.home or os.path.lexists(joined(session.root, mount))


def _number(session_id: str) -> int:
    """Return a session's number, which AgentBay's SDKs read as such; JavaScript's numbers hold it exactly."""
    return int.from_bytes(blake2b(session_id.encode(), digest_size=6).digest(), "big")


def _discard(root: str) -> None:
    """Remove the directories that were made for a session that came to nothing; they are empty."""
    for folder, _, _ in os.walk(root, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
