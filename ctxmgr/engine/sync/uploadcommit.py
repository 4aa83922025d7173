"""The commit that an upload ends with."""

from __future__ import annotations

from dataclasses import replace

from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.engine.manifest.merge import Change
from ctxmgr.engine.workspace.scan import Scan
from ctxmgr.engine.workspace.uploadname import made_name

from .changeset import located
from .conflicts import Conflicts
from .outcome import outcome_of, volume_of
from .place import Place
from .plan import Reconciled
from .port import ContextStore
from .progress import Monitor
from .projection import View
from .task import Task

__all__ = ["commit_upload"]


def commit_upload(
    store: ContextStore,
    task: Task,
    place: Place,
    view: View,
    found: Scan,
    reconciled: Reconciled,
    rows: Change,
    conflicts: Conflicts,
    monitor: Monitor,
    *,
    same: int = 0,
) -> int | None:
    """Commit what an upload planned, and with it that its task succeeded.

    Args:
        store: keeps the context.
        task: what is carried out.
        place: where.
        view: what it was planned on.
        found: what the workspace has.
        reconciled: what was planned.
        rows: what that changes of what the context lists, where some of it is in archives.
        conflicts: what it met.
        monitor: knows how much was read, and is told how much is put into the context.
        same: how many files nobody has looked at, since nothing in their directories has changed.

    Returns:
        the context's head now; None if it has moved since it was viewed: then nothing is committed.

    Raises:
        ServiceError: the commit is refused.
        DataFolderError: what is about to be uploaded can't be noted.
    """
    planned = reconciled.plan
    files, size = volume_of(planned.put)
    monitor.expect(files, size)
    monitor.step(files, size)
    change = located(rows, view.origins, note="upload")
    changes = [replace(change, workspace=made_name(place.state))] if change.put or change.drop else []
    revision = view.origins.head + len(changes)
    outcome = outcome_of(reconciled, found, revision, planned.put, len(planned.drop), monitor, conflicts, same=same)
    try:
        store.commit(task, changes, head=view.origins.head, outcome=outcome)
    except HeadMoved:
        return None
    return revision
