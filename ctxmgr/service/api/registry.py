"""The actions of the protocol, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ctxmgr.service.tasks.runtime import Runtime

from . import contexts, files, filetransfer, history, labels, plans, restore, sessions, store, sync, urls
from .parameters import Parameters

__all__ = ["ACTIONS", "Action"]

Action = Callable[[Runtime, str, Parameters], dict[str, Any]]
"""Takes the runtime, the account and the request's parameters; gives ``Data`` and what stands beside it."""

ACTIONS: Mapping[str, Action] = {
    "BindContexts": sessions.bind_contexts,
    "CheckStore": store.check_store,
    "ClearContext": history.clear_context,
    "CreateMcpSession": sessions.create_session,
    "DeleteContext": contexts.delete_context,
    "DeleteContextFile": files.delete_context_file,
    "DeleteSessionAsync": sessions.delete_session,
    "DescribeContextFile": files.describe_context_file,
    "DescribeContextFiles": files.describe_context_files,
    "DescribeRevision": restore.describe_revision,
    "DescribeSessionContexts": sessions.describe_session_contexts,
    "DiffRevisions": history.diff_revisions,
    "ForkContext": history.fork_context,
    "GetAndLoadInternalContext": filetransfer.internal_contexts,
    "GetContext": contexts.get_context,
    "GetContextContentsUrl": restore.contents_url,
    "GetContextFileDownloadUrl": urls.download_url,
    "GetContextFileUploadUrl": urls.upload_url,
    "GetContextInfo": sync.get_context_info,
    "GetLabel": labels.get_label,
    "GetStoreStats": store.get_store_stats,
    "GetSession": sessions.get_session,
    "GetSessionDetail": sessions.get_session_detail,
    "ListContexts": contexts.list_contexts,
    "ListRevisions": history.list_revisions,
    "ListSession": sessions.list_sessions,
    "ModifyContext": contexts.modify_context,
    "PlanSync": plans.plan_sync,
    "RefreshSessionIdleTime": sessions.refresh_session,
    "PruneContexts": store.prune_contexts,
    "ReleaseMcpSession": sessions.delete_session,
    "RestoreContext": history.restore_context,
    "SetContextRetention": store.set_context_retention,
    "SetLabel": labels.set_label,
    "SyncContext": sync.sync_context,
    "UnbindContexts": sessions.unbind_contexts,
}
