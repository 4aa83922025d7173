"""Syncs of a workspace that was in step with its context, which has not changed since: only what differs is planned.

What they cost is a look at each path in the workspace and at each pack, and beyond that what the difference costs.
"""

from __future__ import annotations

import msgspec

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.merge import Change, Plan
from ctxmgr.engine.workspace.narrowscan import scan_differences
from ctxmgr.engine.workspace.state import PackedState, WorkspaceState, save_state

from .conflicts import Conflicts
from .guard import FEW
from .outcome import outcome_of
from .place import Place
from .plan import Reconciled, advance, reconcile
from .port import ContextStore
from .progress import Monitor
from .projection import Origins, View
from .task import Task
from .uploadcommit import commit_upload

__all__ = ["has_nothing_to_download", "in_step", "upload_narrowly"]


def upload_narrowly(
    store: ContextStore, task: Task, place: Place, known: PackedState, writer: PackWriter, monitor: Monitor
) -> bool:
    """Upload what differs from a state, and end the task.

    Returns:
        False if more has to be looked at: then nothing is committed.

    Raises:
        Exception: as an upload that looks at everything.
    """
    if not _is_in_step(store, place, known):
        return False
    monitor.expect(0, 0)
    differences = scan_differences(place.directory, known, writer=writer, progress=monitor.step, expect=monitor.expect)
    if differences is None or differences.found.root != known.root:
        return False
    writer.flush()
    state, found = differences.state, differences.found
    rows = state.base()
    view = View(Origins(known.revision, place.paths, (rows,)), rows, rows)
    reconciled = reconcile(view, state, found, mode="upload", delete=task.delete, selection=None)
    planned = reconciled.plan
    if place.options.guard and (differences.empty or len(planned.drop) > FEW):
        # More has to be known to say whether that is allowed.
        return False
    change = Change(planned.put, planned.drop)
    revision = commit_upload(
        store, task, place, view, found, reconciled, change, Conflicts(), monitor, same=differences.same
    )
    if revision is None:
        return False
    if state.files or found.manifest:
        after = advance(planned, found, {}, revision)
        key = known.key if revision == known.revision else store.key(place.context_id, revision) or ""
        packs = writer.packs() if _holds(view, planned, after) else None
        both = None if packs is None or known.packs is None else known.packs | packs
        after = msgspec.structs.replace(after, key=key, packs=both)
        save_state(place.state, known.advanced(state.files, after))
    return True


def has_nothing_to_download(
    store: ContextStore, task: Task, place: Place, known: PackedState, monitor: Monitor
) -> bool:
    """End a download into a workspace that is as it was, if that is so; return whether it is.

    Raises:
        Exception: as a download that looks at everything.
    """
    if not _is_in_step(store, place, known):
        return False
    differences = scan_differences(place.directory, known, progress=lambda files, size: monitor.check())
    if differences is None or differences or differences.empty or differences.found.root != known.root:
        return False
    monitor.expect(0, 0)
    nothing = Reconciled(Plan())
    outcome = outcome_of(
        nothing, differences.found, known.revision, {}, 0, monitor, task.conflicts, same=differences.same
    )
    store.commit(task, [], head=known.revision, outcome=outcome)
    return True


def in_step(
    after: WorkspaceState,
    store: ContextStore,
    place: Place,
    view: View,
    planned: Plan,
    writer: PackWriter | None = None,
) -> PackedState:
    """Return a state to be saved, which says whether the context holds exactly what is in it.

    Args:
        after: the state after a sync.
        store: keeps the context.
        place: where it took place.
        view: what the sync was planned on.
        planned: what it did.
        writer: what an upload stored content with.
    """
    key = store.key(place.context_id, after.revision) or ""
    packs = None
    # A download that has written something has cost enough.
    if key and place.is_plain and view.files is view.rows and not planned.write and _holds(view, planned, after):
        digests = {digest for entry, _ in after.files.values() for digest in entry.chunks}
        packs = (writer or PackWriter(store.content)).packs(digests)
    after = msgspec.structs.replace(after, key=key, packs=packs)
    return PackedState.of(after)


def _is_in_step(store: ContextStore, place: Place, known: PackedState) -> bool:
    packs = place.packs_of(known)
    if packs is None:
        return False
    return store.is_unchanged(place.context_id, place.paths, revision=known.revision, key=known.key, packs=packs)


def _holds(view: View, planned: Plan, after: WorkspaceState) -> bool:
    """Whether a context holds, after a plan was carried out, exactly the entries of a state."""
    rows = view.rows | planned.put
    for path in planned.drop:
        rows.pop(path, None)
    return rows == after.base()
