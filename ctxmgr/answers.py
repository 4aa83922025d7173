"""How an answer of the service becomes a result: the one place where a failure keeps its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .completion import Verdict
from .protocol import Answer
from .results import ContextSyncResult, ListResult, Result
from .structuring import structure_list

__all__ = ["page_of", "result_of", "result_of_verdict"]

_Result = TypeVar("_Result", bound=Result)
_Page = TypeVar("_Page", bound=ListResult)
_Synced = TypeVar("_Synced", bound=ContextSyncResult)


def result_of(answer: Answer | Result, kind: type[_Result], fields: Callable[[], Mapping[str, Any]] = dict) -> _Result:
    """Return an answer, or the result of a step before it, as a result of another kind.

    Args:
        fields: what a success shows. A failure is not asked for it: its ``Data`` may be anything.

    Raises:
        ProtocolError: the fields don't fit the protocol.
    """
    shown = fields() if answer.success else {}
    return kind(request_id=answer.request_id, success=answer.success, error_message=answer.error_message, **shown)


def page_of(answer: Answer, kind: type[_Page], name: str, item: type[Any], count: str = "") -> _Page:
    """Return the answer to a request for a list as one page of it.

    Args:
        name: the result's field for the items.
        item: what the items are made into.
        count: the answer's field that counts all of them, if it has one.

    Raises:
        ProtocolError: an item does not fit the protocol.
    """

    def fields() -> dict[str, Any]:
        found = {name: structure_list(answer.data, item), "next_token": answer.document.get("NextToken") or ""}
        return found | ({"total_count": answer.document.get(count) or 0} if count else {})

    return result_of(answer, kind, fields)


def result_of_verdict(request_id: str, verdict: Verdict, kind: type[_Synced]) -> _Synced:
    """Return how a wait ended as the result of what was waited for."""
    return kind(
        request_id=request_id,
        success=verdict.success,
        error_message=verdict.error_message,
        nothing_to_sync=verdict.nothing_to_sync,
        tasks=verdict.tasks,
        note=verdict.note,
    )
