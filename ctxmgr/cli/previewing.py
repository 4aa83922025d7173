"""``ctxmgr sync --dry-run``: tell what a sync would do, and leave everything as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from ctxmgr.arguments import SyncMode
from ctxmgr.client import Client
from ctxmgr.results import Conflict, Context, ContextPlanResult, PlannedChange

from .access import check_apart, existing_client
from .conflicts import conflict_facts
from .directories import checked_directory, checked_place
from .invocation import Invocation
from .kept import MOUNT, find_context, session_of, temporary_session
from .reach import check_reached
from .syncing import begin_facts, check_not_emptied, kept_note, skipped_facts, summary, tell_skipped, to_restore
from .wording import shown, size_of

__all__ = ["preview"]

_GOES_AWAY = ""  # the kind of what a change only removes


def preview(invocation: Invocation, path: str, name: str, mode: SyncMode, *, allow_empty: bool, force: bool) -> None:
    """Answer with what ``sync`` would do.

    Args:
        path, name, mode, allow_empty, force: as in ``sync``.
    """
    begin_facts(invocation, path, name, mode)
    invocation.facts["dry_run"] = True
    directory = checked_directory(path) if mode == "upload" else checked_place(path)
    check_apart(invocation, directory)
    with existing_client(invocation) as client:
        check_reached(invocation, client, directory)
        context = find_context(client, name) if mode == "upload" else to_restore(client, path, name)
        if client is None or context is None:
            plan, is_new = _plan_of_new(directory, name), True
        else:
            plan, is_new = _plan(client, path, directory, context, mode, allow_empty=allow_empty, force=force), False
    if not invocation.json:
        tell_skipped(plan.skipped)
    moved = [change for change in plan.changes if change.kind in ("file", "link")]
    files, size = len(moved), sum(change.size for change in moved)
    deleted = sum(1 for change in plan.changes if change.kind == _GOES_AWAY)
    conflicts = {each.path: each for each in plan.conflicts}
    lines = [_line(change, mode, conflicts.get(change.path)) for change in plan.changes]
    kept = kept_note(plan.kept_local)
    if plan.changes:
        into = f"the new context {shown(name)}" if is_new else shown(name)
        lines.append(f"{summary(mode, files=files, size=size, deleted=deleted, dry=True)}: {into}{kept}")
    else:
        nothing = f"would change nothing: {shown(name)}{kept}"
        lines.append(f"would make the new context {shown(name)}, empty" if is_new else nothing)
    invocation.answer(
        lines,
        files=files,
        deleted=deleted,
        bytes=size,
        nothing_to_sync=not plan.changes,
        skipped=skipped_facts(plan.skipped),
        kept_local=plan.kept_local,
        conflicts=conflict_facts(plan.conflicts),
        conflicts_total=len(plan.conflicts),
        unchanged=plan.unchanged,
        new_context=is_new,
        changes=[
            {"path": each.path, "action": each.action, "kind": each.kind, "size": each.size} for each in plan.changes
        ],
    )


def _plan(
    client: Client, path: str, directory: str, context: Context, mode: SyncMode, *, allow_empty: bool, force: bool
) -> ContextPlanResult:
    kept = session_of(client, directory, context)
    if kept is not None and os.path.isdir(directory):
        if mode == "upload" and not allow_empty:
            check_not_emptied(kept, path, directory, context)
        return kept.context.plan(context.id, MOUNT, mode, discard_local=force).raise_for_error()
    with _stand_in(directory) as place, temporary_session(client, place, context) as session:
        return session.context.plan(context.id, MOUNT, mode, discard_local=force).raise_for_error()


def _plan_of_new(directory: str, name: str) -> ContextPlanResult:
    """Plan an upload to a context that does not exist, in a data folder that does not outlive it."""
    with (
        TemporaryDirectory(prefix="ctxmgr-", ignore_cleanup_errors=True) as folder,
        Client.local(folder) as client,
        temporary_session(client, directory, client.contexts.create(name).context) as session,
    ):
        return session.context.plan().raise_for_error()


@contextmanager
def _stand_in(directory: str) -> Iterator[str]:
    """Return the directory itself, or where it does not exist yet, an empty one in its place."""
    if os.path.isdir(directory):
        yield directory
        return
    with TemporaryDirectory(prefix="ctxmgr-") as empty:
        yield empty


def _line(change: PlannedChange, mode: SyncMode, conflict: Conflict | None) -> str:
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
