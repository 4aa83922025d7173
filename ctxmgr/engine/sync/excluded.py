"""What a sync leaves out, and why: of the workspace for who asks, of the context once for every rule."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from ctxmgr.engine.manifest.entries import DIRECTORY
from ctxmgr.engine.policy.ignore import Ignores
from ctxmgr.engine.policy.whitelist import Selection
from ctxmgr.engine.workspace.scan import Scan

from .projection import View

__all__ = ["Excluded", "excluded_of", "stays_in_context"]


@dataclass(frozen=True)
class Excluded:
    """A path of the workspace that is not synced, and all below it.

    Attributes:
        path: relative to the mount path, with a slash at its end if it is a directory's.
        pattern: the ignore pattern that excludes it; empty where the white lists do.
        source: the file in which that stands, relative to the mount path; empty for one of the policy or the request.
        line: its line there; 0 for the others.
    """

    path: str
    pattern: str = ""
    source: str = ""
    line: int = 0


def excluded_of(found: Scan, ignores: Ignores, selection: Selection | None) -> list[Excluded]:
    """Return what a scan left out; a directory stands for all that is in it."""
    told = []
    for path, entry in sorted(found.outside.items()):
        shown = os.fsdecode(path) + ("" if entry is None else "/")
        rule = ignores.rule(path, entry is not None)
        if rule is not None:
            told.append(Excluded(shown, rule.pattern, rule.source, rule.line))
        elif entry is None or (selection is not None and not selection.may_hold(path)):
            told.append(Excluded(shown))
    return told


def stays_in_context(view: View, ignores: Ignores, told: Collection[str]) -> tuple[list[tuple[bytes, str]], list[str]]:
    """Return what the context holds though it is excluded now, one path for each rule that was not told of before.

    Returns:
        these paths, each with the reason; and all the rules that hold something back.
    """
    if not ignores:
        return [], []
    held: dict[str, list[bytes]] = {}
    for path, entry in view.files.items():
        if entry.kind != DIRECTORY and (rule := ignores.rule(path, False)) is not None:
            held.setdefault(str(rule), []).append(path)
    skipped = []
    for rule_text, paths in held.items():
        if rule_text not in told:
            more = f", with {len(paths) - 1} more" if len(paths) > 1 else ""
            skipped.append((min(paths), f"is excluded by {rule_text} and stays in the context as it is{more}"))
    return skipped, list(held)
