"""The actions of AgentBay that have no meaning here, each refused with a code that says so."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ctxmgr.errors import ServiceError

__all__ = ["UNSUPPORTED", "refuse", "with_tool_result"]

_NO_TOOLS = "this service keeps directories, and runs no tools in a sandbox"
_NO_NETWORK = "this service keeps directories, and has no networks, links or desktops"
_NO_SKILLS = "this service keeps directories, and has no skills"
_NO_PAUSE = "a session here is a directory, and there is nothing in it to be paused"

UNSUPPORTED = {
    "BindContextSkillAsync": _NO_SKILLS,
    "CallMcpTool": _NO_TOOLS,
    "CreateNetwork": _NO_NETWORK,
    "DescribeNetwork": _NO_NETWORK,
    "GetAdbLink": _NO_NETWORK,
    "GetCdpLink": _NO_NETWORK,
    "GetLink": _NO_NETWORK,
    "GetMcpResource": _NO_NETWORK,
    "GetSkillMetaData": _NO_SKILLS,
    "InitBrowser": _NO_TOOLS,
    "ListMcpTools": _NO_TOOLS,
    "ListSkillMetaData": _NO_SKILLS,
    "PauseSessionAsync": _NO_PAUSE,
    "ResumeSessionAsync": _NO_PAUSE,
    "UnbindContextSkillAsync": _NO_SKILLS,
}


def refuse(action: str) -> NoReturn:
    """Refuse an action.

    Raises:
        ServiceError: ``UnsupportedAction`` for one of AgentBay's, ``InvalidAction.NotFound`` for what nobody knows.
    """
    if action in UNSUPPORTED:
        raise ServiceError("UnsupportedAction", f"{action} is not supported: {UNSUPPORTED[action]}")
    from .registry import ACTIONS

    known = ", ".join(sorted(ACTIONS))
    raise ServiceError("InvalidAction.NotFound", f"there is no action {action[:100]!r} here; there are {known}")


def with_tool_result(action: str, envelope: dict[str, Any]) -> dict[str, Any]:
    """Return a refusal, of CallMcpTool also as a tool's result: AgentBay's SDKs show nothing else of its answer."""
    if action != "CallMcpTool":
        return envelope
    text = f"[{envelope['Code']}] {envelope['Message']}"
    return {**envelope, "Data": json.dumps({"content": [{"type": "text", "text": text}], "isError": True})}
