"""The run of one sync: scan, plan, and carry the plan out so that a crash at any line leaves both sides whole."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.content.throttle import throttled
from ctxmgr.engine.manifest.entries import Entry, Manifest
from ctxmgr.engine.manifest.errors import HeadMoved, WorkspaceChanged
from ctxmgr.engine.manifest.merge import Change, Plan
from ctxmgr.engine.workspace.apply import apply
from ctxmgr.engine.workspace.fresh import remove_unfinished
from ctxmgr.engine.workspace.locks import held
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.engine.workspace.scan import Scan, scan, store_files
from ctxmgr.engine.workspace.state import WorkspaceState, load_state, save_state
from ctxmgr.errors import ServiceError

from .changeset import back, located, repacked
from .conflicts import Conflicts, of_plan
from .excluded import excluded_of
from .guard import check_plan
from .healing import Healing
from .narrow import has_nothing_to_download, in_step, upload_narrowly
from .options import NO_OPTIONS, SyncOptions
from .outcome import Preview, outcome_of, skipped_of, volume_of
from .place import Place, place_of
from .plan import Reconciled, advance, still_there, with_unselected
from .planner import Planner
from .port import Bound, ContextStore
from .progress import Monitor
from .projection import View
from .task import DOWNLOAD, UPLOAD, Task
from .uploadcommit import commit_upload

__all__ = ["Syncs"]

ATTEMPTS = 5
CONTENT_REMOVED = "InvalidChunk.NotFound"
"""The code of the error of a commit whose content was stored, and was removed since nothing referred to it."""


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
        self._planner = Planner(store, folder, owner)

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

    def preview(
        self,
        root: str,
        binding: Bound,
        mode: str,
        path: str,
        *,
        options: SyncOptions = NO_OPTIONS,
        discard: bool = False,
    ) -> Preview:
        """Return what a sync of a binding, or of a path below its mount path, would do.

        Nothing is written, and a sync that runs meanwhile is not waited for, unless it has ended but for its state.
        """
        place = place_of(self._folder, binding.context_id, binding.mount, path, binding.policy, root, options)
        known = load_state(place.state).unpacked()
        if not known.revision and self._planner.has_uploaded(place):
            # The revision of a first upload is there a moment before its state is, and so long it holds the lock.
            with held(self._folder.workspace_lock(place.directory), lambda: None):
                known = load_state(place.state).unpacked()
        state = self._planner.state(place, known)
        found = scan(place.directory, state, selection=place.listed, ignores=place.ignores)
        state = still_there(state, found)
        view = self._planner.view(place, lambda: None)
        if mode == DOWNLOAD and not found.manifest:
            state = WorkspaceState()
        planned = self._planner.plan(place, view, state, found, mode, binding.policy.sync_local_file, discard=discard)
        plan = planned.plan
        conflicts = of_plan(plan, view, found.manifest, mode, place.options.conflict, 0)
        refusal = ""
        try:
            check_plan(place, plan, view, found, state, mode)
        except ServiceError as error:
            refusal = str(error)
        excluded = excluded_of(found, place.ignores, place.listed)
        return Preview(plan, skipped_of(found, planned), conflicts, excluded, refusal)

    def _upload(self, task: Task, root: str, monitor: Monitor) -> None:
        place = self._planner.place(task, root)
        with held(self._folder.workspace_lock(place.directory), monitor.check):
            remove_unfinished(place.directory, self._folder.workspace_journal(place.directory))
            packed = load_state(place.state)
            writer = PackWriter(throttled(self._store.content, place.options.limit, monitor.check))
            if upload_narrowly(self._store, task, place, packed, writer, monitor):
                return
            state = self._planner.state(place, packed.unpacked())
            monitor.expect(0, 0)
            found = scan(
                place.directory,
                state,
                writer=writer,
                sweep=True,
                progress=monitor.step,
                selection=place.listed,
                ignores=place.ignores,
                expect=monitor.expect,
            )
            writer.flush()
            state = still_there(state, found)
            planned, told, view, revision = self._commit_upload(task, place, state, found, writer, monitor)
            # Success is in the catalog since the line before: after a crash here the next sync finds an older state,
            # and learns from the revisions what was uploaded since.
            after = with_unselected(advance(planned, found, {}, revision, told), state, place.selection)
            save_state(place.state, in_step(after, self._store, place, view, planned, writer))

    def _commit_upload(
        self, task: Task, place: Place, state: WorkspaceState, found: Scan, writer: PackWriter, monitor: Monitor
    ) -> tuple[Plan, list[str], View, int]:
        healing = Healing(self._store, place.context_id, place.directory, found, monitor.check)
        while True:
            monitor.check()
            view = self._planner.view(place, monitor.check, healing)
            reconciled = self._planner.plan(place, view, state, found, UPLOAD, task.delete)
            planned = reconciled.plan
            conflicts = Conflicts()
            conflicts.add(of_plan(planned, view, found.manifest, UPLOAD, place.options.conflict, 0))
            self._check(replace(task, conflicts=conflicts), place, reconciled, view, found, state)
            healing.ensure(planned.put, stored=writer.added)
            rows = self._repacked(planned, view, place, writer, monitor)
            revision = commit_upload(self._store, task, place, view, found, reconciled, rows, conflicts, monitor)
            if revision is not None:
                return planned, reconciled.told, view, revision

    def _repacked(self, planned: Plan, view: View, place: Place, writer: PackWriter, monitor: Monitor) -> Change:
        def pack(members: Manifest) -> Entry:
            return self._planner.archives.pack(members, writer, monitor.check)

        change = repacked(Change(planned.put, planned.drop), view, place.policy, place.selection, pack)
        writer.flush()
        return change

    def _download(self, task: Task, root: str, monitor: Monitor) -> None:
        place = self._planner.place(task, root, make=True)
        journal = self._folder.workspace_journal(place.directory)
        with held(self._folder.workspace_lock(place.directory), monitor.check):
            remove_unfinished(place.directory, journal)
            packed = load_state(place.state)
            if has_nothing_to_download(self._store, task, place, packed, monitor):
                return
            state = self._planner.state(place, packed.unpacked())
            found = scan(
                place.directory,
                state,
                sweep=True,
                progress=lambda files, size: monitor.check(),
                selection=place.listed,
                ignores=place.ignores,
            )
            state = still_there(state, found)
            if not found.manifest:
                # Who downloads into an empty directory wants the files, not the news that they were deleted there.
                state = with_unselected(WorkspaceState(told=state.told), state, place.selection)
            reconciled, view, revision = self._commit_losers(task, place, state, found, monitor)
            planned = reconciled.plan
            monitor.expect(*volume_of(planned.write))
            reader = BlobReader(throttled(self._store.content, place.options.limit, monitor.check))
            written = apply(place.directory, planned, found, reader, progress=monitor.step, journal=journal)
            # A crash before this line leaves an older state, from which the next plan finds what was written as
            # changed on both sides to the same.
            after = with_unselected(advance(planned, found, written, revision, reconciled.told), state, place.selection)
            save_state(place.state, in_step(after, self._store, place, view, planned))
            outcome = outcome_of(
                reconciled, found, revision, planned.write, len(planned.remove), monitor, task.conflicts
            )
            self._store.commit(task, [], head=revision, outcome=outcome)

    def _commit_losers(
        self, task: Task, place: Place, state: WorkspaceState, found: Scan, monitor: Monitor
    ) -> tuple[Reconciled, View, int]:
        """Plan a download, and put the local versions that it replaces into the context's history before they go."""
        while True:
            monitor.check()
            view = self._planner.view(place, monitor.check)
            head = view.origins.head
            reconciled = self._planner.plan(place, view, state, found, DOWNLOAD, task.delete, discard=task.discard)
            planned = reconciled.plan
            conflicts = of_plan(planned, view, found.manifest, DOWNLOAD, place.options.conflict, head + 1)
            met = deepcopy(task.conflicts)
            met.add(conflicts)
            self._check(replace(task, conflicts=met), place, reconciled, view, found, state)
            if not planned.losers:
                task.conflicts.add(conflicts)
                return reconciled, view, head
            writer = PackWriter(throttled(self._store.content, place.options.limit, monitor.check))
            losers = planned.losers
            store_files(place.directory, found, losers, writer, progress=lambda files, size: monitor.check())
            writer.flush()
            keep = located(planned.keep, view.origins, note="local versions")
            again = located(back(planned.keep, view), view.origins, note="download")
            again = replace(again, current={*again.current, *keep.put})
            try:
                self._store.commit(replace(task, conflicts=met), [keep, again], head=head)
            except HeadMoved:
                continue
            task.conflicts.add(conflicts)
            return reconciled, view, head + 2

    def _check(
        self, task: Task, place: Place, planned: Reconciled, view: View, found: Scan, known: WorkspaceState
    ) -> None:
        """Refuse a plan as the options say, with its conflicts recorded in the task's row."""
        try:
            check_plan(place, planned.plan, view, found, known, task.mode)
        except ServiceError:
            self._store.commit(task, [], head=view.origins.head)
            raise
