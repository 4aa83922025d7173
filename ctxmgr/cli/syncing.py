"""``ctxmgr sync``: bring a directory and a context to the same state, and say truthfully whether that is done."""

from __future__ import annotations

import os
from typing import Any

from ctxmgr.arguments import SyncMode
from ctxmgr.client import Client
from ctxmgr.results import Context, ContextSyncResult
from ctxmgr.sessions import Session

from .access import check_apart, existing_client, is_server, open_client
from .conflicts import conflict_facts, conflict_lines
from .directories import checked_directory, checked_place, is_empty, made_directory
from .invocation import Failure, Invocation, note
from .kept import MOUNT, find_context, kept_session
from .reach import check_reached
from .signals import Interrupted
from .watching import run_sync
from .wording import counted, one_line, quoted, shown, size_of

__all__ = [
    "begin_facts",
    "check_not_emptied",
    "kept_note",
    "skipped_facts",
    "summary",
    "sync",
    "tell_skipped",
    "to_restore",
]


def sync(invocation: Invocation, path: str, name: str, mode: SyncMode, *, allow_empty: bool, force: bool) -> None:
    """Sync, and answer with what was done.

    Args:
        path: the directory, as the user named it.
        name: the context's name; an upload makes the context if there is none.
        allow_empty: upload also a directory that was emptied.
        force: download also over what only the directory has changed.
    """
    begin_facts(invocation, path, name, mode)
    if mode == "upload":
        directory = checked_directory(path)
        check_apart(invocation, directory)
        with open_client(invocation) as client:
            check_reached(invocation, client, directory)
            context = find_context(client, name) or client.contexts.create(name).context
            session = kept_session(client, directory, context)
            if not allow_empty:
                check_not_emptied(session, path, directory, context)
            result = _run(invocation, client, session, context, mode, force=False)
    else:
        # Looked for before anything is made: neither a data folder nor the directory appear for nothing.
        with existing_client(invocation) as looking:
            context = to_restore(looking, path, name)
            assert looking is not None, "a context was found, so there is where it was found"
            check_apart(invocation, os.path.realpath(path))
            check_reached(invocation, looking, checked_place(path))
            directory = made_directory(path)
            result = _run(invocation, looking, kept_session(looking, directory, context), context, mode, force=force)
    invocation.facts |= _facts(result)
    conflicts = list(conflict_lines(invocation, name, result.conflicts, result.conflicts_total))
    if not result.success and not invocation.json:
        # What a download kept before it failed may be gone from the directory.
        for line in conflicts:
            note(line)
    _raise_for(result, mode)
    if not invocation.json:
        tell_skipped(result.skipped)
    invocation.answer([_told(result, mode, name), *conflicts])


def begin_facts(invocation: Invocation, path: str, name: str, mode: SyncMode) -> None:
    """Note what is known of a sync before it begins, so that a failure shows every key too."""
    invocation.facts |= {
        "mode": mode,
        "context": name,
        "directory": os.path.realpath(path),
        "revision": None,
        "files": 0,
        "deleted": 0,
        "bytes": 0,
        "nothing_to_sync": False,
        "skipped": [],
        "kept_local": 0,
        "conflicts": [],
        "conflicts_total": 0,
    }


def to_restore(client: Client | None, path: str, name: str) -> Context:
    """Return the context that is to be downloaded.

    Raises:
        Failure: there is none, so that there is nothing to restore.
    """
    context = find_context(client, name)
    if context is None:
        raise Failure(
            f"there is no context {quoted(name)} to restore {shown(path)} from: "
            "'ctxmgr context list' shows those there are, and an upload makes a new one"
        )
    return context


def check_not_emptied(session: Session, path: str, directory: str, context: Context) -> None:
    """Refuse to upload a directory that has lost everything: it is more often unmounted than emptied on purpose.

    Raises:
        Failure: uploading it would delete everything in the context.
    """
    if not is_empty(directory):
        return
    plan = session.context.plan(context.id, MOUNT, "upload").raise_for_error()
    if plan.changes:
        raise Failure(
            f"{shown(path)} is empty, and uploading that would delete everything in {quoted(context.name)} "
            f"({counted(len(plan.changes), 'path')}): give --allow-empty if that is meant, "
            "or --mode download to bring the files back"
        )


def summary(mode: SyncMode, *, files: int, size: int, deleted: int, dry: bool = False) -> str:
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


def tell_skipped(skipped: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> None:
    """Print what could not be synced, and why, to standard error."""
    for path, reason in skipped:
        note(f"skipped {shown(path)}: {one_line(reason)}")


def skipped_facts(skipped: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the same as JSON has it."""
    return [{"path": path, "reason": reason} for path, reason in skipped]


def _run(
    invocation: Invocation, client: Client, session: Session, context: Context, mode: SyncMode, *, force: bool
) -> ContextSyncResult:
    remote = is_server(invocation)
    try:
        return run_sync(client, session, context, mode, force=force, remote=remote, quiet=invocation.json)
    except Interrupted:
        # Told before the client is closed, which may take a moment.
        rest = "the server may still finish it" if remote else "run it again to go on where it stopped"
        invocation.fail(f"interrupted before the {mode} was proven done; {rest}")
        raise


def _facts(result: ContextSyncResult) -> dict[str, Any]:
    return {
        "revision": result.revision or None,
        "files": result.files,
        "deleted": result.deleted,
        "bytes": result.bytes,
        "nothing_to_sync": result.nothing_to_sync,
        "skipped": skipped_facts(result.skipped),
        "kept_local": result.kept_local,
        "conflicts": conflict_facts(result.conflicts),
        "conflicts_total": result.conflicts_total,
    }


def kept_note(kept_local: int) -> str:
    """Return how many local changes a download leaves, as the end of a sentence; nothing for none."""
    return f"; kept {counted(kept_local, 'local change')}, which --force would give up" if kept_local else ""


def _told(result: ContextSyncResult, mode: SyncMode, name: str) -> str:
    kept = kept_note(result.kept_local)
    if result.nothing_to_sync:
        where = f"{shown(name)} is at revision {result.revision}" if result.revision else shown(name)
        return f"nothing changed: {where}{kept}"
    did = summary(mode, files=result.files, size=result.bytes, deleted=result.deleted)
    where = f"; revision {result.revision} of {shown(name)}" if result.revision else f": {shown(name)}"
    return did + where + kept


def _raise_for(result: ContextSyncResult, mode: SyncMode) -> None:
    """Raise what a sync that is not a proven success failed with: the tasks' own reasons, where there are any."""
    reasons = [task.error_message for task in result.tasks if task.status == "Failed" and task.error_message]
    if not result.success and reasons:
        raise Failure(f"the {mode} failed: {'; '.join(reasons)}")
    result.raise_for_error()
