"""What a sync has done, or would do, from its plan."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from itertools import chain

from ctxmgr.engine.manifest.entries import DIRECTORY, Manifest
from ctxmgr.engine.manifest.merge import Plan
from ctxmgr.engine.workspace.scan import Scan

from .conflicts import Conflicts, MergeConflict
from .excluded import Excluded
from .plan import Reconciled
from .progress import Monitor
from .task import Outcome

__all__ = ["Preview", "outcome_of", "skipped_of", "volume_of"]

BLOCKED = "what can't be synced is in its place in the workspace: move that away"


@dataclass(frozen=True)
class Preview:
    """What a sync would do, and what it could not.

    Attributes:
        plan, skipped, conflicts: as of a sync.
        excluded: what of the workspace it leaves out.
        refusal: why it would be refused; empty if it would not.
    """

    plan: Plan
    skipped: list[list[str]]
    conflicts: list[MergeConflict]
    excluded: list[Excluded] = field(default_factory=list)
    refusal: str = ""


def skipped_of(found: Scan, planned: Reconciled) -> list[list[str]]:
    """Return what can't be synced, as [path, reason]."""
    blocked = ((path, BLOCKED) for path in planned.plan.blocked)
    return [[os.fsdecode(path), reason] for path, reason in chain(found.skipped, blocked, planned.skipped)]


def volume_of(entries: Manifest) -> tuple[int, int]:
    """Return how many files and links there are among entries, and how many bytes they hold."""
    sizes = [entry.size for entry in entries.values() if entry.kind != DIRECTORY]
    return len(sizes), sum(sizes)


def outcome_of(
    planned: Reconciled,
    found: Scan,
    revision: int,
    moved: Manifest,
    deleted: int,
    monitor: Monitor,
    conflicts: Conflicts,
    same: int = 0,
) -> Outcome:
    """Return what a task that carries out a plan has done.

    Args:
        planned: the plan.
        found: what it was made from.
        revision: the context's, when it is done.
        moved: the entries that travelled.
        deleted: how many paths are deleted.
        monitor: has counted the progress.
        conflicts: those of all attempts.
        same: files and links that were not planned, because they are as they were.
    """
    files, size = volume_of(moved)
    return Outcome(
        revision=revision,
        files=files,
        deleted=deleted,
        bytes=size,
        unchanged=planned.plan.unchanged + same,
        skipped=json.dumps(skipped_of(found, planned)),
        nothing_to_sync=not moved and not deleted,
        progress=replace(monitor.progress),
        kept_local=len(planned.plan.kept),
        conflicts=conflicts,
    )
