"""The actions of the protocol, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import contextactions, fileactions, sessionactions, syncactions
from .engine import Engine
from .parameters import Parameters

__all__ = ["ACTIONS", "Action"]

Action = Callable[[Engine, str, Parameters], dict[str, Any]]
"""Takes the engine, the account and the request's parameters; gives ``Data`` and what stands beside it."""

ACTIONS: Mapping[str, Action] = {
    "BindContexts": sessionactions.bind_contexts,
    "CreateMcpSession": sessionactions.create_session,
    "DeleteContext": contextactions.delete_context,
    "DeleteSessionAsync": sessionactions.delete_session,
    "DescribeContextFiles": fileactions.describe_context_files,
    "DescribeSessionContexts": sessionactions.describe_session_contexts,
    "GetContext": contextactions.get_context,
    "GetContextInfo": syncactions.get_context_info,
    "GetSession": sessionactions.get_session,
    "GetSessionDetail": sessionactions.get_session_detail,
    "ListContexts": contextactions.list_contexts,
    "ListSession": sessionactions.list_sessions,
    "ModifyContext": contextactions.modify_context,
    "PlanSync": syncactions.plan_sync,
    "ReleaseMcpSession": sessionactions.delete_session,
    "SyncContext": syncactions.sync_context,
}
