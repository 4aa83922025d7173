"""What a sync leaves out, in words and as JSON: each path with the rule that excludes it, and how many a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .output import counted, quoted, shown

if TYPE_CHECKING:
    from ctxmgr.results import ContextPlanResult, ExcludedPath

__all__ = ["exclusion_facts", "exclusion_lines"]

_SHOWN = 20


def exclusion_facts(plan: ContextPlanResult) -> dict[str, Any]:
    """Return what a sync would leave out as JSON has it."""
    return {
        "excluded": [
            {
                "path": each.path,
                "pattern": each.pattern or None,
                "source": each.source or None,
                "line": each.line or None,
            }
            for each in plan.excluded
        ],
        "excluded_total": plan.excluded_total,
        "excluded_folders": dict(_folders(plan)),
    }


def exclusion_lines(plan: ContextPlanResult, *, every: bool) -> Iterator[str]:
    """Return a line for each path that a sync would leave out, of many for the first, and one for each folder.

    Args:
        every: whether to name all.
    """
    named = plan.excluded if every else plan.excluded[:_SHOWN]
    for each in named:
        yield f"leave out {shown(each.path)}: {_reason(each)}"
    if len(named) < plan.excluded_total:
        for folder, count in sorted(_folders(plan).items()):
            yield f"left out in {shown(folder)}: {counted(count, 'path')}"
        more = plan.excluded_total - len(plan.excluded)
        yield f"left out in all: {counted(plan.excluded_total, 'path')}" + (
            f", {more} of which are not named" if more else ""
        )


def _reason(each: ExcludedPath) -> str:
    if not each.pattern:
        return "it is on no white list"
    where = f"{shown(each.source)}, line {each.line}" if each.source else "--exclude"
    return f"{quoted(each.pattern)} ({where})"


def _folders(plan: ContextPlanResult) -> Counter[str]:
    return Counter(each.path.rstrip("/").rpartition("/")[0] + "/" for each in plan.excluded)
