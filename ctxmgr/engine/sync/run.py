"""The run of one sync: scan, plan, and carry the plan out so that a crash at any line leaves both sides whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from ctxmgr.engine.archives.archives import Archives
from ctxmgr.engine.archives.cache import ArchiveCache
from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, PACK, Entry, Manifest
from ctxmgr.engine.manifest.errors import HeadMoved, WorkspaceChanged
from ctxmgr.engine.manifest.merge import Change, Plan
from ctxmgr.engine.policy.mounts import part_of, workspace_directory
from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.policy.whitelist import Part, Selection
from ctxmgr.engine.workspace.apply import apply
from ctxmgr.engine.workspace.fresh import remove_unfinished
from ctxmgr.engine.workspace.locks import held
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.engine.workspace.scan import Scan, scan, store_files
from ctxmgr.engine.workspace.state import WorkspaceState, load_state, save_state
from ctxmgr.errors import ServiceError

from .changeset import back, located, repacked
from .conflicts import Conflicts, MergeConflict, of_download, of_upload
from .healing import Healing
from .partial import check_known, told_of
from .plan import Reconciled, advance, reconcile, with_unselected
from .port import Bound, ContextStore
from .progress import Monitor
from .projection import View, view_of
from .task import DOWNLOAD, UPLOAD, Outcome, Task

__all__ = ["Preview", "Syncs"]

ATTEMPTS = 5
CONTENT_REMOVED = "InvalidChunk.NotFound"
"""The code of the error of a commit whose content was stored, and was removed since nothing referred to it."""
BLOCKED = "what can't be synced is in its place in the workspace: move that away"


@dataclass(frozen=True)
class Preview:
    """What a sync would do, and what it could not."""

    plan: Plan
    skipped: list[list[str]]
    conflicts: list[MergeConflict]


@dataclass(frozen=True)
class _Place:
    """Where one sync takes place.

    Attributes:
        context_id, mount, policy: the binding's.
        directory: the workspace's real path.
        state: the file of what the workspace had at its last sync.
        part: what alone is synced, relative to the mount path; empty for all of it.
        white_listed: what the policy's white lists select.
        selection: that as far as it lies in the part.
    """

    context_id: str
    mount: str
    policy: BindingPolicy
    directory: str
    state: Path
    part: bytes
    white_listed: Selection | None

    @property
    def selection(self) -> Selection | None:
        return Part(self.part, self.white_listed) if self.part else self.white_listed


class Syncs:
    """Runs syncs between workspaces below sessions' roots and the contexts of one store."""

    def __init__(self, store: ContextStore, folder: NodeFolder, owner: str) -> None:
        """Sync with the contexts of a store.

        Args:
            store: keeps the contexts and their content.
            folder: where is kept what is known of workspaces and archives; may be shared with other stores.
            owner: names whose contexts those are, among all that the folder is shared with.
        """
        self._store = store
        self._folder = folder
        self._archives = Archives(ArchiveCache(folder.archives), store.content, owner)

    def run(self, task: Task, root: str, monitor: Monitor) -> None:
        """Carry a task out, from its start to its success.

        Args:
            task: it is waiting, and its row says Success when this returns.
            root: the real path of its session's root.
            monitor: is told how far it has come.

        Raises:
            Interrupted: the task was ended by someone else, or asked to stop.
            Exception: whatever it failed with; the caller says so in the task's row.
        """
        self._store.start(task)
        one_sync = self._upload if task.mode == UPLOAD else self._download
        for attempt in range(1, ATTEMPTS + 1):
            try:
                one_sync(task, root, monitor)
            except (WorkspaceChanged, ServiceError) as error:
                again = isinstance(error, WorkspaceChanged) or error.code == CONTENT_REMOVED
                if attempt == ATTEMPTS or not again:
                    raise
                monitor.check()
            else:
                return

    def preview(self, root: str, binding: Bound, mode: str, path: str, *, discard: bool = False) -> Preview:
        """Return what a sync of a binding, or of a path below its mount path, would do.

        Nothing is written, and a sync that runs meanwhile is not waited for.
        """
        place = self._placed(binding.context_id, binding.mount, path, binding.policy, root)
        state = self._state(place)
        found = scan(place.directory, state, selection=place.selection)
        view = self._view(place, lambda: None)
        if mode == DOWNLOAD and not found.manifest:
            state = WorkspaceState()
        planned = self._planned(place, view, state, found, mode, binding.policy.sync_local_file, discard=discard)
        plan = planned.plan
        conflicts = of_upload(plan, view) if mode == UPLOAD else of_download(plan, view, found.manifest, 0)
        return Preview(plan, _skipped(found, planned), conflicts)

    def _upload(self, task: Task, root: str, monitor: Monitor) -> None:
        place = self._place(task, root)
        with held(self._folder.workspace_lock(place.directory), monitor.check):
            remove_unfinished(place.directory, self._folder.workspace_journal(place.directory))
            state = self._state(place)
            writer = PackWriter(self._store.content)
            monitor.expect(0, 0)
            found = scan(
                place.directory, state, writer=writer, sweep=True, progress=monitor.step, selection=place.selection
            )
            writer.flush()
            planned, revision = self._commit_upload(task, place, state, found, writer, monitor)
            # Success is in the catalog since the line before: after a crash here the next sync finds an older state,
            # and learns from the revisions what was uploaded since.
            after = advance(planned, found, {}, revision)
            save_state(place.state, with_unselected(after, state, place.selection))

    def _commit_upload(
        self, task: Task, place: _Place, state: WorkspaceState, found: Scan, writer: PackWriter, monitor: Monitor
    ) -> tuple[Plan, int]:
        healing = Healing(self._store, place.context_id, place.directory, found, monitor.check)
        while True:
            monitor.check()
            view = self._view(place, monitor.check, healing)
            reconciled = self._planned(place, view, state, found, UPLOAD, task.delete)
            planned = reconciled.plan
            healing.ensure(planned.put, stored=writer.added)
            files, size = _volume(planned.put)
            monitor.expect(files, size)
            monitor.step(files, size)
            rows = self._repacked(planned, view, place, writer, monitor)
            change = located(rows, view.origins, note="upload", workspace=place.state.stem)
            changes = [change] if change.put or change.drop else []
            revision = view.origins.head + len(changes)
            conflicts = Conflicts()
            conflicts.add(of_upload(planned, view))
            outcome = _outcome(reconciled, found, revision, planned.put, len(planned.drop), monitor, conflicts)
            try:
                self._store.commit(task, changes, head=view.origins.head, outcome=outcome)
            except HeadMoved:
                continue
            return planned, revision

    def _repacked(self, planned: Plan, view: View, place: _Place, writer: PackWriter, monitor: Monitor) -> Change:
        def pack(members: Manifest) -> Entry:
            return self._archives.pack(members, writer, monitor.check)

        change = repacked(Change(planned.put, planned.drop), view, place.policy, place.selection, pack)
        writer.flush()
        return change

    def _download(self, task: Task, root: str, monitor: Monitor) -> None:
        place = self._place(task, root, make=True)
        journal = self._folder.workspace_journal(place.directory)
        with held(self._folder.workspace_lock(place.directory), monitor.check):
            remove_unfinished(place.directory, journal)
            state = self._state(place)
            found = scan(
                place.directory,
                state,
                sweep=True,
                progress=lambda files, size: monitor.check(),
                selection=place.selection,
            )
            if not found.manifest:
                # Who downloads into an empty directory wants the files, not the news that they were deleted there.
                state = with_unselected(WorkspaceState(), state, place.selection)
            reconciled, revision = self._commit_losers(task, place, state, found, monitor)
            planned = reconciled.plan
            monitor.expect(*_volume(planned.write))
            reader = BlobReader(self._store.content)
            written = apply(place.directory, planned, found, reader, progress=monitor.step, journal=journal)
            # A crash before this line leaves an older state, from which the next plan finds what was written as
            # changed on both sides to the same.
            after = advance(planned, found, written, revision)
            save_state(place.state, with_unselected(after, state, place.selection))
            outcome = _outcome(reconciled, found, revision, planned.write, len(planned.remove), monitor, task.conflicts)
            self._store.commit(task, [], head=revision, outcome=outcome)

    def _commit_losers(
        self, task: Task, place: _Place, state: WorkspaceState, found: Scan, monitor: Monitor
    ) -> tuple[Reconciled, int]:
        """Plan a download, and put the local versions that it replaces into the context's history before they go."""
        while True:
            monitor.check()
            view = self._view(place, monitor.check)
            head = view.origins.head
            reconciled = self._planned(place, view, state, found, DOWNLOAD, task.delete, discard=task.discard)
            planned = reconciled.plan
            conflicts = of_download(planned, view, found.manifest, head + 1)
            if not planned.losers:
                task.conflicts.add(conflicts)
                return reconciled, head
            writer = PackWriter(self._store.content)
            losers = planned.losers
            store_files(place.directory, found, losers, writer, progress=lambda files, size: monitor.check())
            writer.flush()
            keep = located(planned.keep, view.origins, note="local versions")
            again = located(back(planned.keep, view), view.origins, note="download")
            again = replace(again, current={*again.current, *keep.put})
            met = deepcopy(task.conflicts)
            met.add(conflicts)
            try:
                self._store.commit(replace(task, conflicts=met), [keep, again], head=head)
            except HeadMoved:
                continue
            task.conflicts.add(conflicts)
            return reconciled, head + 2

    def _place(self, task: Task, root: str, *, make: bool = False) -> _Place:
        return self._placed(task.context_id, task.mount, task.path, self._store.policy(task), root, make=make)

    def _placed(
        self, context_id: str, mount: str, path: str, policy: BindingPolicy, root: str, *, make: bool = False
    ) -> _Place:
        directory = workspace_directory(root, mount, make=make)
        state = self._folder.workspace_state(directory, context_id, mount, policy.variant())
        part = os.fsencode(part_of(mount, path))
        return _Place(context_id, mount, policy, directory, state, part, Selection.of(policy.white_lists, mount))

    def _state(self, place: _Place) -> WorkspaceState:
        """Load what the workspace had at its last sync, also when that ended between its commit and this file."""
        state = load_state(place.state)
        if not state.revision:
            # Nothing is known, which may be on purpose: the directory was made anew, and is not what uploaded once.
            return state
        for origin in reversed(place.policy.origins or (place.mount,)):
            uploaded = self._store.uploaded_since(
                place.context_id, origin, workspace=place.state.stem, revision=state.revision
            )
            for path, entry in uploaded.items():
                # What went into a pack is not told from what was in it before: such files have no base then.
                if entry is None:
                    state.files.pop(path, None)
                elif not (entry.kind == FILE and entry.target == PACK):
                    state.files[path] = (entry, None)
        return state

    def _view(self, place: _Place, check: Callable[[], None], healing: Healing | None = None) -> View:
        origins = self._store.origins(place.context_id, place.policy.origins or (place.mount,))
        if healing is not None:
            # Before the archives among them are read.
            healing.ensure_head(origins)
        # As a whole, also for a sync of a part: what an archive elsewhere unpacks to is there, and not deleted.
        view = view_of(origins, place.policy, place.white_listed, self._archives, check)
        if healing is not None:
            unpacked = {path: entry for path, entry in view.files.items() if view.rows.get(path) is not entry}
            healing.ensure(unpacked)
        return view

    def _planned(
        self,
        place: _Place,
        view: View,
        state: WorkspaceState,
        found: Scan,
        mode: str,
        delete: bool,
        *,
        discard: bool = False,
    ) -> Reconciled:
        side: Literal["upload", "download"] = "upload" if mode == UPLOAD else "download"
        selection = place.selection
        planned = reconcile(view, state, found, mode=side, delete=delete, selection=selection, discard=discard)
        if not place.part:
            return planned
        part = Part(place.part, place.white_listed)
        if not any(
            map(part.includes, chain(found.manifest, (path for path, _ in found.skipped), view.files, state.files))
        ):
            check_known(self._store, place.context_id, place.policy.origins or (place.mount,), place.part)
        return told_of(part, planned, view, mode=side)


def _skipped(found: Scan, planned: Reconciled) -> list[list[str]]:
    """Return what can't be synced, as [path, reason]."""
    blocked = ((path, BLOCKED) for path in planned.plan.blocked)
    return [[os.fsdecode(path), reason] for path, reason in chain(found.skipped, blocked, planned.skipped)]


def _volume(entries: Manifest) -> tuple[int, int]:
    """Return how many files and links there are among entries, and how many bytes they hold."""
    sizes = [entry.size for entry in entries.values() if entry.kind != DIRECTORY]
    return len(sizes), sum(sizes)


def _outcome(
    planned: Reconciled,
    found: Scan,
    revision: int,
    moved: Manifest,
    deleted: int,
    monitor: Monitor,
    conflicts: Conflicts,
) -> Outcome:
    files, size = _volume(moved)
    return Outcome(
        revision=revision,
        files=files,
        deleted=deleted,
        bytes=size,
        unchanged=planned.plan.unchanged,
        skipped=json.dumps(_skipped(found, planned)),
        nothing_to_sync=not moved and not deleted,
        progress=replace(monitor.progress),
        kept_local=len(planned.plan.kept),
        conflicts=conflicts,
    )
