"""What a sync did or would do, in words and as JSON: files moved, conflicts and how to get the other version."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .output import Invocation, counted, note, one_line, shown, size_of

if TYPE_CHECKING:
    from ctxmgr.arguments import SyncMode
    from ctxmgr.results import Conflict, ContextPlanResult, ContextStatusData, ContextSyncResult, PlannedChange

__all__ = ["conflict_lines", "plan_facts", "plan_lines", "sync_facts", "sync_line", "tell_skipped", "unchanged_line"]

_GOES_AWAY = ""  # the kind of what a change only removes
_SHOWN = 20


def sync_facts(result: ContextSyncResult | ContextStatusData) -> dict[str, Any]:
    """Return what a sync did as JSON has it."""
    return {
        "revision": result.revision or None,
        "files": result.files,
        "deleted": result.deleted,
        "bytes": result.bytes,
        "nothing_to_sync": result.nothing_to_sync,
        **_left_facts(result),
        "conflicts_total": result.conflicts_total,
    }


def sync_line(result: ContextSyncResult | ContextStatusData, mode: SyncMode, name: str) -> str:
    """Return what a sync with the context of that name did."""
    kept = _kept_note(result.kept_local)
    if result.nothing_to_sync:
        return unchanged_line(result.revision, name) + kept
    did = _summary(mode, files=result.files, size=result.bytes, deleted=result.deleted)
    where = f"; revision {result.revision} of {shown(name)}" if result.revision else f": {shown(name)}"
    return did + where + kept


def unchanged_line(revision: int, name: str) -> str:
    """Return that a sync with the context of that name had nothing to do."""
    where = f"{shown(name)} is at revision {revision}" if revision else shown(name)
    return f"nothing changed: {where}"


def plan_facts(plan: ContextPlanResult, *, is_new: bool) -> dict[str, Any]:
    """Return what a sync would do as JSON has it."""
    files, size, deleted = _totals(plan)
    return {
        "files": files,
        "deleted": deleted,
        "bytes": size,
        "nothing_to_sync": not plan.changes,
        **_left_facts(plan),
        "conflicts_total": len(plan.conflicts),
        "unchanged": plan.unchanged,
        "new_context": is_new,
        "changes": [
            {"path": each.path, "action": each.action, "kind": each.kind, "size": each.size} for each in plan.changes
        ],
    }


def plan_lines(plan: ContextPlanResult, mode: SyncMode, name: str, *, is_new: bool) -> Iterator[str]:
    """Return a line for each change that a sync would make, and one for all."""
    conflicts = {each.path: each for each in plan.conflicts}
    for change in plan.changes:
        yield _change_line(change, mode, conflicts.get(change.path))
    kept = _kept_note(plan.kept_local)
    changed = {change.path for change in plan.changes}
    for conflict in plan.conflicts:
        if conflict.path not in changed:
            yield f"conflict in {shown(conflict.path)}: {conflict.winner} wins, and nothing changes"
    if plan.changes:
        into = f"the new context {shown(name)}" if is_new else shown(name)
        files, size, deleted = _totals(plan)
        yield f"{_summary(mode, files=files, size=size, deleted=deleted, dry=True)}: {into}{kept}"
    else:
        nothing = f"would change nothing: {shown(name)}{kept}"
        yield f"would make the new context {shown(name)}, empty" if is_new else nothing


def tell_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Print what could not be synced, and why, to standard error."""
    for path, reason in skipped:
        note(f"skipped {shown(path)}: {one_line(reason)}")


def conflict_lines(invocation: Invocation, name: str, conflicts: Sequence[Conflict], total: int) -> Iterator[str]:
    """Return a line for each conflict; of many, for the first, and how many more there are.

    Args:
        invocation: where the contexts are, so that a command can say so.
        name: the context's.
        total: how many conflicts there are, of which the service may not tell all.
    """
    for conflict in conflicts[:_SHOWN]:
        if not conflict.winner:
            yield f"conflict in {shown(conflict.path)}: both sides have changed it"
            continue
        line = f"conflict in {shown(conflict.path)}: {conflict.winner} wins, {_other_version(conflict)}"
        if conflict.copy:
            line += f"; a copy of it is {shown(conflict.copy)}"
        if conflict.kind == "file" and conflict.revision and conflict.context_path:
            line += f"; to get it: {_command(invocation, name, conflict)}"
        yield line
    more = total - min(len(conflicts), _SHOWN)
    if more > 0:
        named = "all" if total <= len(conflicts) else f"the first {len(conflicts)}"
        yield f"and {counted(more, 'more conflict')}: --json names {named}"


def _left_facts(result: ContextSyncResult | ContextStatusData | ContextPlanResult) -> dict[str, Any]:
    """Return what a sync leaves as it is, or in the history."""
    return {
        "skipped": [{"path": path, "reason": reason} for path, reason in result.skipped],
        "kept_local": result.kept_local,
        "conflicts": [
            {
                "path": each.path,
                "winner": each.winner or None,
                "kind": each.kind or None,
                "revision": each.revision or None,
                "context_path": each.context_path or None,
                "copy": each.copy or None,
            }
            for each in result.conflicts
        ],
    }


def _totals(plan: ContextPlanResult) -> tuple[int, int, int]:
    """Return the number of files and links to move, their bytes, and the number of paths to delete."""
    moved = [change for change in plan.changes if change.kind in ("file", "link")]
    deleted = sum(1 for change in plan.changes if change.kind == _GOES_AWAY)
    return len(moved), sum(change.size for change in moved), deleted


def _summary(mode: SyncMode, *, files: int, size: int, deleted: int, dry: bool = False) -> str:
    """Report what a sync did, or would do."""
    moved = f"{counted(files, 'file')} ({size_of(size)})"
    did = f"would {mode} {moved}" if dry else f"{mode}ed {moved}"
    if files and deleted:
        return f"{did}, {'delete' if dry else 'deleted'} {deleted}"
    if deleted:
        return f"{'would delete' if dry else 'deleted'} {deleted}"
    if files:
        return did
    return "would change folders only" if dry else "changed folders only"


def _kept_note(kept_local: int) -> str:
    """Return how many local changes a download leaves, as the end of a sentence; nothing for none."""
    return f"; kept {counted(kept_local, 'local change')}, which --force would give up" if kept_local else ""


def _change_line(change: PlannedChange, mode: SyncMode, conflict: Conflict | None) -> str:
    path = shown(change.path)
    if change.kind == _GOES_AWAY:
        did = f"delete {path}"
    elif change.kind == "dir":
        did = f"{mode} {path}/"
    else:
        did = f"{mode} {path} ({size_of(change.size)})" if change.kind == "file" else f"{mode} {path} (link)"
    if conflict is None:
        return did
    where = "in the context" if mode == "upload" else "here"
    lost = f"changed {where} too; that version stays in the context's history"
    return f"{did}: conflict, {lost if conflict.kind else f'deleted {where}'}"


def _other_version(conflict: Conflict) -> str:
    """Return where the version that lost is."""
    other = "the context" if conflict.winner == "local" else "the directory"
    if not conflict.kind:
        return f"{other} had deleted it"
    what = {"dir": "a folder", "link": "a link"}.get(conflict.kind, "another version")
    if not conflict.revision:
        return f"{other} had {what}, which stays there"
    kept = f"is in revision {conflict.revision}"
    inside = "" if conflict.context_path else ", inside an archive"
    return f"{other} had {what}, which {kept}{inside}"


def _command(invocation: Invocation, name: str, conflict: Conflict) -> str:
    base = conflict.path.rpartition("/")[2]
    target = f"{'./' if base.startswith('-') else ''}{base}.revision-{conflict.revision}"
    words = ["ctxmgr", "file", "get"]
    for option, value in (("--data", invocation.data), ("--endpoint", invocation.endpoint)):
        if value is not None:
            words += [option, value]
    words += ["--revision", str(conflict.revision), "--", name, conflict.context_path, target]
    return " ".join(_word(word) for word in words)


def _word(text: str) -> str:
    """Return a word as a shell reads it; one that can't be shown as bash, ksh and zsh read it."""
    if text.isprintable():
        return shlex.quote(text)
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /._-+=:,@%"
    escaped = "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in os.fsencode(text))
    return f"$'{escaped}'"
