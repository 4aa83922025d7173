"""Refuses what a sync was asked not to do: to delete most of what a side has, or to decide a conflict."""

from __future__ import annotations

from typing import Final

from ctxmgr.engine.manifest.entries import DIRECTORY, Manifest, show
from ctxmgr.engine.manifest.merge import Plan
from ctxmgr.engine.workspace.scan import Scan
from ctxmgr.engine.workspace.state import WorkspaceState
from ctxmgr.errors import ServiceError

from .place import Place
from .projection import View

__all__ = ["FEW", "check_plan"]

FEW: Final = 10
"""Deletions that no guard stops, however little there is."""


def check_plan(place: Place, plan: Plan, view: View, found: Scan, state: WorkspaceState, mode: str) -> None:
    """Refuse a plan that decides a conflict, or deletes most of what a side has, where the options don't allow it.

    Args:
        place: where, and with which options.
        plan: what is to be carried out.
        view: the context.
        found: what the workspace has.
        state: what it had at its last sync.
        mode: ``upload`` or ``download``.

    Raises:
        ServiceError: ``Sync.Conflict`` or ``Sync.MassDelete``.
    """
    if place.options.conflict == "fail" and plan.conflicts:
        raise _conflicting(plan)
    if place.options.guard:
        _check_deletions(place, plan, view, found, state, mode)


def _check_deletions(place: Place, plan: Plan, view: View, found: Scan, state: WorkspaceState, mode: str) -> None:
    if mode == "upload":
        deleted, there = _deletions(plan, view, found), _files(view.files)
        if deleted and not place.part and not found.manifest and not found.outside:
            raise _refused("the directory is empty, and the upload", deleted, there, "in the context")
        if deleted > FEW and deleted * 2 > there:
            raise _refused("the upload", deleted, there, "in the context")
    elif len(plan.remove) > FEW:
        deleted, there = _deletions(plan, view, found), max(_files(found.manifest), _files(state.base()))
        if deleted > FEW and deleted * 2 > there:
            raise _refused("the download", deleted, there, "in the directory")


def _deletions(plan: Plan, view: View, found: Scan) -> int:
    """Return how many files and links a plan deletes, those aside of which a download takes a version to history."""
    dropped = sum(1 for path in plan.drop if view.files[path].kind != DIRECTORY)
    return dropped + sum(
        1 for path in plan.remove if path not in plan.losers and found.manifest[path].kind != DIRECTORY
    )


def _conflicting(plan: Plan) -> ServiceError:
    """Return the failure of a sync that is to decide no conflict, and has some."""
    count = len(plan.conflicts)
    rest = f" and {count - 1} more" if count > 1 else ""
    return ServiceError(
        "Sync.Conflict",
        f"the directory and the context have both changed {show(plan.conflicts[0])}{rest}, and nothing was changed: "
        "make them the same, or sync with another choice for conflicts: newest, ours, theirs or keep-both",
    )


def _files(manifest: Manifest) -> int:
    return sum(1 for entry in manifest.values() if entry.kind != DIRECTORY)


def _refused(what: str, deleted: int, there: int, where: str) -> ServiceError:
    return ServiceError(
        "Sync.MassDelete",
        f"{what} would delete {deleted} of the {there} files {where}; nothing was changed: sync again with "
        "allow_mass_delete=True if that is meant",
    )
