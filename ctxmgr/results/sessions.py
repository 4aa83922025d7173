"""Sessions, and what is bound in them."""

from __future__ import annotations

import attrs

from .response import ListResult, OperationResult, Result
from .tasks import Conflict

__all__ = ["BindResult", "ContextBinding", "ContextBindingsResult", "LabelsResult", "SessionInfo", "SessionListResult"]


@attrs.define(kw_only=True)
class BindResult(OperationResult):
    """How a bind ended, or with ``wait=False``, that it was accepted.

    Attributes:
        conflicts: the local versions that the downloads replaced.
    """

    conflicts: list[Conflict] = attrs.Factory(list)


@attrs.frozen(kw_only=True)
class ContextBinding:
    """A context bound at a path of a session."""

    context_id: str = ""
    context_name: str = ""
    path: str = ""
    policy: str = ""
    bind_time: str = ""


@attrs.define(kw_only=True)
class ContextBindingsResult(Result):
    """The bindings of a session."""

    bindings: list[ContextBinding] = attrs.Factory(list)


@attrs.define(kw_only=True)
class LabelsResult(Result):
    """The labels of a session."""

    labels: dict[str, str] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class SessionInfo:
    """A session as a list shows it."""

    session_id: str = ""
    status: str = ""


@attrs.define(kw_only=True)
class SessionListResult(ListResult):
    """One page of sessions."""

    sessions: list[SessionInfo] = attrs.Factory(list)
    total_count: int = 0
