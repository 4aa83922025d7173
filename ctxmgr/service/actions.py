"""The actions of the protocol, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import (
    contextactions,
    fileactions,
    filetransfer,
    historyactions,
    labelactions,
    rootproof,
    sessionactions,
    syncactions,
    urlactions,
)
from .engine import Engine
from .parameters import Parameters

__all__ = ["ACTIONS", "Action"]

Action = Callable[[Engine, str, Parameters], dict[str, Any]]
"""Takes the engine, the account and the request's parameters; gives ``Data`` and what stands beside it."""

ACTIONS: Mapping[str, Action] = {
    "BindContexts": sessionactions.bind_contexts,
    "ClearContext": historyactions.clear_context,
    "CreateMcpSession": sessionactions.create_session,
    "DeleteContext": contextactions.delete_context,
    "DeleteContextFile": fileactions.delete_context_file,
    "DeleteSessionAsync": sessionactions.delete_session,
    "DescribeContextFile": fileactions.describe_context_file,
    "DescribeContextFiles": fileactions.describe_context_files,
    "DescribeSessionContexts": sessionactions.describe_session_contexts,
    "GetAndLoadInternalContext": filetransfer.internal_contexts,
    "GetContext": contextactions.get_context,
    "GetContextFileDownloadUrl": urlactions.download_url,
    "GetContextFileUploadUrl": urlactions.upload_url,
    "GetContextInfo": syncactions.get_context_info,
    "GetLabel": labelactions.get_label,
    "GetSession": sessionactions.get_session,
    "GetSessionDetail": sessionactions.get_session_detail,
    "ListContexts": contextactions.list_contexts,
    "ListRevisions": historyactions.list_revisions,
    "ListSession": sessionactions.list_sessions,
    "ModifyContext": contextactions.modify_context,
    "PlanSync": syncactions.plan_sync,
    "ProveRoot": rootproof.prove_root,
    "RefreshSessionIdleTime": sessionactions.refresh_session,
    "ReleaseMcpSession": sessionactions.delete_session,
    "RestoreContext": historyactions.restore_context,
    "SetLabel": labelactions.set_label,
    "SyncContext": syncactions.sync_context,
    "UnbindContexts": sessionactions.unbind_contexts,
}
