"""The context through which AgentBay's SDKs send single files to a session and get them from there.

Each session has one of its own, made when it is first asked for and deleted at the session's end: what one session
transfers never meets what another one does.
"""

from __future__ import annotations

from typing import Any, Final

from ctxmgr.engine.policy.mounts import is_within
from ctxmgr.service.catalog import contexts, sessions
from ctxmgr.service.tasks.runtime import Runtime

from .bindings import bind, wanted_binding
from .parameters import Parameters
from .sessions import refuse_if_ending

__all__ = ["internal_contexts"]

KIND: Final = "file_transfer"
PATH: Final = "/tmp/file-transfer"  # noqa: S108  # a mount path, below a session's root
_BY_REQUEST_ALONE: Final = {"uploadPolicy": {"autoUpload": False}, "downloadPolicy": {"autoDownload": False}}


def internal_contexts(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetAndLoadInternalContext: of the contexts asked for there is only the one for the transfer of files.

    Where the session binds a context of its user's at that path or above it, that one is it.
    """
    session_id, kinds = parameters.required("SessionId"), parameters.texts("ContextTypes")
    with runtime.catalog.read() as connection:
        sessions.find_live(connection, account, session_id)
    if KIND not in kinds:
        return {"Data": []}
    with runtime.queueing() as queue:
        session = sessions.hold_live(queue.connection, account, session_id)
        refuse_if_ending(session)
        bound = sessions.bindings_of(queue.connection, session_id)
        context_id = next((item.context_id for item in bound if is_within(PATH, item.mount)), "")
        if not context_id:
            context_id = contexts.create_transfer(queue.connection, account, session_id)
            wanted = wanted_binding({"ContextId": context_id, "Path": PATH, "Policy": _BY_REQUEST_ALONE})
            bind(runtime, queue, session, [wanted])
    return {"Data": [{"ContextId": context_id, "ContextType": KIND, "ContextPath": PATH}]}
