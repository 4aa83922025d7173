"""The conflicts that a sync decided: which side won, and where the other version is to be had."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from ctxmgr.engine.manifest.entries import Manifest
from ctxmgr.engine.manifest.merge import Plan

from .changeset import place_of
from .projection import View

__all__ = ["Conflicts", "MergeConflict", "of_download", "of_upload", "read"]

#: How many conflicts a task tells in full, and characters of their paths. The rest is counted: answers have a limit.
TOLD: Final = 10_000
TOLD_CHARACTERS: Final = 2 << 20


@dataclass(frozen=True)
class MergeConflict:
    """One path that both sides had changed, as a task's row holds it.

    Attributes:
        path: relative to the mount path.
        winner: ``local`` or ``context``: whose version both sides have now.
        kind: what the other version is: ``file``, ``dir`` or ``link``; empty where that side had deleted the path.
        revision: the context's revision that holds the other version; 0 where there is none.
        context_path: where the context has it at that revision; empty where only an archive of the context holds it.
    """

    path: str
    winner: str
    kind: str = ""
    revision: int = 0
    context_path: str = ""


class Conflicts:
    """The conflicts of one task over all its attempts: what an earlier attempt has overwritten, no later one sees."""

    def __init__(self, told: str = "[]", total: int = 0) -> None:
        """Go on from what a task's row tells."""
        self._found = {each.path: each for each in read(told)}
        self._least = total

    def add(self, conflicts: Iterable[MergeConflict]) -> None:
        """Take in what an attempt decides."""
        self._found |= {each.path: each for each in conflicts}

    def values(self) -> dict[str, Any]:
        """Return the values of the columns that a task's row has for them."""
        told: list[dict[str, Any]] = []
        characters = 0
        for each in islice(self._found.values(), TOLD):
            characters += len(each.path) + len(each.context_path)
            if characters > TOLD_CHARACTERS:
                break
            told.append(asdict(each))
        return {"conflicts": json.dumps(told), "conflicts_total": max(len(self._found), self._least)}


def read(told: str) -> list[MergeConflict]:
    """Return the conflicts that a task's row tells."""
    return [MergeConflict(**each) for each in json.loads(told)]


def of_upload(plan: Plan, view: View) -> list[MergeConflict]:
    """Return the conflicts of an upload: the context's versions stay in the revision that it was planned on."""
    return _conflicts(plan, view, "local", view.files, dict.fromkeys(plan.conflicts, view.origins.head))


def of_download(plan: Plan, view: View, local: Manifest, revision: int) -> list[MergeConflict]:
    """Return the conflicts of a download.

    Args:
        local: what the workspace has.
        revision: the one that takes the local versions into the context's history; 0 while there is none.
    """
    return _conflicts(plan, view, "context", local, dict.fromkeys(plan.keep.put, revision))


def _conflicts(
    plan: Plan, view: View, winner: str, other: Manifest, revisions: Mapping[bytes, int]
) -> list[MergeConflict]:
    found = []
    for path in plan.conflicts:
        entry = other.get(path)
        conflict = MergeConflict(os.fsdecode(path), winner)
        if entry is not None:
            inside = winner == "local" and (path in view.packed or path in view.unpacked)
            place = "" if inside else os.fsdecode(place_of(path, view.origins))
            conflict = MergeConflict(conflict.path, winner, entry.kind, revisions.get(path, 0), place)
        found.append(conflict)
    return found
