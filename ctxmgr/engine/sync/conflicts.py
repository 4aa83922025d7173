"""The conflicts that a sync decided: which side won, and where the other version is to be had."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Final

from ctxmgr.engine.manifest.entries import Entry, Manifest
from ctxmgr.engine.manifest.merge import Choice, Plan

from .changeset import place_of
from .projection import View

__all__ = ["Conflicts", "MergeConflict", "of_plan", "origin_stamp", "read"]

#: How many conflicts a task tells in full, and characters of their paths. The rest is counted: answers have a limit.
TOLD: Final = 10_000
TOLD_CHARACTERS: Final = 2 << 20


@dataclass(frozen=True)
class MergeConflict:
    """One path that both sides had changed, as a task's row holds it.

    Attributes:
        path: relative to the mount path.
        winner: ``local`` or ``context``: whose version has the name now; empty where the sync was refused for it.
        kind: what the other version is: ``file``, ``dir`` or ``link``; empty where that side had deleted the path.
        revision: the context's revision that holds the other version; 0 where there is none.
        context_path: where the context has it at that revision; empty where only an archive of the context, or the
            workspace, holds it.
        copy: where, relative to the mount path, a copy of the other version lies; empty where there is none.
    """

    path: str
    winner: str
    kind: str = ""
    revision: int = 0
    context_path: str = ""
    copy: str = ""


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


def of_plan(plan: Plan, view: View, local: Manifest, mode: str, choice: Choice, revision: int) -> list[MergeConflict]:
    """Return the conflicts of a plan.

    Args:
        view: what the context has: versions of it that lose stay in the revision that the plan was made on.
        local: what the workspace has.
        mode: ``upload`` or ``download``.
        choice: who wins; with ``fail`` nobody does.
        revision: the one with which a download takes local versions into the context's history; 0 while there is none.
    """
    found = []
    for path in plan.conflicts:
        copy = os.fsdecode(plan.copies.get(path, b""))
        if (mode == "upload") != (path in plan.upheld):
            inside = path in view.packed or path in view.unpacked
            place = b"" if inside else place_of(path, view.origins)
            conflict = _conflict(path, "local", view.files.get(path), view.origins.head, place, copy)
        else:
            kept = path in plan.keep.put
            place = place_of(path, view.origins) if mode == "download" else b""
            conflict = _conflict(path, "context", local.get(path), revision if kept else 0, place, copy)
        found.append(replace(conflict, winner="") if choice == "fail" else conflict)
    return found


def origin_stamp() -> str:
    """Return what the names of copies say of their origin: this host's name and the minute, UTC."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename.partition(".")[0])[:32]
    return f"{host}-{time.strftime('%Y%m%dT%H%M', time.gmtime())}"


def _conflict(path: bytes, winner: str, loser: Entry | None, revision: int, place: bytes, copy: str) -> MergeConflict:
    if loser is None:
        return MergeConflict(os.fsdecode(path), winner)
    return MergeConflict(os.fsdecode(path), winner, loser.kind, revision, os.fsdecode(place), copy)
