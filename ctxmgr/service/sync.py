"""The run of one sync: scan, plan, and carry the plan out so that a crash at any line leaves both sides whole."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from . import revisions, tasks
from .apply import apply
from .blobs import BlobReader, BlobStore, PackWriter, unstored
from .catalog import Catalog
from .chunkindex import CatalogChunkIndex
from .datafolder import DataFolder
from .entries import DIRECTORY, Entry, Manifest
from .faults import WorkspaceChanged
from .locks import held
from .monitor import Monitor
from .mounts import workspace_directory
from .plan import Plan, plan
from .scan import Scan, scan, store_files
from .sessions import Binding
from .state import WorkspaceState, advance, load_state, save_state
from .tasks import DOWNLOAD, UPLOAD, Outcome, Task

__all__ = ["Preview", "Syncs"]

ATTEMPTS = 5
BLOCKED = "what can't be synced is in its place in the workspace: move that away"


@dataclass(frozen=True)
class Preview:
    """What a sync would do, and what it could not."""

    plan: Plan
    skipped: list[list[str]]


class Syncs:
    """Runs syncs between workspaces below sessions' roots and contexts of one data folder."""

    def __init__(self, catalog: Catalog, folder: DataFolder) -> None:
        self._catalog = catalog
        self._folder = folder
        self._index = CatalogChunkIndex(catalog)
        self._store = BlobStore.open(folder.blobs)

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
        with self._catalog.write() as connection:
            tasks.start(connection, task.id)
        one_sync = self._upload if task.mode == UPLOAD else self._download
        for attempt in range(1, ATTEMPTS + 1):
            try:
                one_sync(task, root, monitor)
            except WorkspaceChanged:
                if attempt == ATTEMPTS:
                    raise
                monitor.check()
            else:
                return

    def preview(self, root: str, binding: Binding, mode: str) -> Preview:
        """Tell what a sync would do. Nothing is written, and a sync that runs meanwhile is not waited for."""
        directory = workspace_directory(root, binding.mount, make=False)
        file = self._folder.workspace_state(directory, binding.context_id, binding.mount)
        state = self._state(file, binding.context_id, binding.mount)
        found = scan(directory, state)
        with self._catalog.read() as connection:
            remote = revisions.manifest(connection, binding.context_id, binding.mount)
        if mode == DOWNLOAD and not found.manifest:
            state = WorkspaceState()
        planned = _planned(state, found, remote, mode, binding.policy.sync_local_file)
        return Preview(planned, _skipped(found, planned))

    def _upload(self, task: Task, root: str, monitor: Monitor) -> None:
        directory = workspace_directory(root, task.mount, make=False)
        with held(self._folder.workspace_lock(directory), monitor.check):
            file = self._folder.workspace_state(directory, task.context_id, task.mount)
            state = self._state(file, task.context_id, task.mount)
            writer = PackWriter(self._store, self._index)
            monitor.expect(0, 0)
            found = scan(directory, state, writer=writer, sweep=True, progress=monitor.step)
            writer.flush()
            planned, revision = self._commit_upload(task, directory, state, found, writer, monitor)
            # Success is in the catalog since the line before: after a crash here the next sync finds an older state,
            # and learns from the revisions what was uploaded since.
            save_state(file, advance(planned, found, {}, revision))

    def _commit_upload(
        self, task: Task, directory: str, state: WorkspaceState, found: Scan, writer: PackWriter, monitor: Monitor
    ) -> tuple[Plan, int]:
        while True:
            monitor.check()
            head, remote = self._remote(task)
            planned = _planned(state, found, remote, UPLOAD, task.delete)
            if missing := unstored(planned.put, self._index):
                store_files(directory, found, missing, writer, progress=lambda files, size: monitor.check())
                writer.flush()
            revision = head
            files, size = _volume(planned.put)
            monitor.expect(files, size)
            monitor.step(files, size)
            try:
                with self._catalog.write() as connection:
                    if planned.put or planned.drop:
                        revision = revisions.commit(
                            connection,
                            task.context_id,
                            task.mount,
                            head=head,
                            current=remote.keys(),
                            put=planned.put,
                            drop=planned.drop,
                            task_id=task.id,
                            note="upload",
                            workspace=self._folder.workspace_state(directory, task.context_id, task.mount).stem,
                        )
                    outcome = _outcome(planned, found, revision, planned.put, len(planned.drop), monitor)
                    tasks.succeed(connection, task, outcome)
            except revisions.HeadMoved:
                continue
            return planned, revision

    def _download(self, task: Task, root: str, monitor: Monitor) -> None:
        directory = workspace_directory(root, task.mount, make=True)
        with held(self._folder.workspace_lock(directory), monitor.check):
            file = self._folder.workspace_state(directory, task.context_id, task.mount)
            state = self._state(file, task.context_id, task.mount)
            found = scan(directory, state, sweep=True, progress=lambda files, size: monitor.check())
            if not found.manifest:
                # Who downloads into an empty directory wants the files, not the news that they were deleted there.
                state = WorkspaceState()
            planned, revision = self._commit_losers(task, directory, state, found, monitor)
            monitor.expect(*_volume(planned.write))
            written = apply(directory, planned, found, BlobReader(self._store, self._index), progress=monitor.step)
            # A crash before this line leaves an older state, from which the next plan finds what was written as
            # changed on both sides to the same.
            save_state(file, advance(planned, found, written, revision))
            with self._catalog.write() as connection:
                outcome = _outcome(planned, found, revision, planned.write, len(planned.remove), monitor)
                tasks.succeed(connection, task, outcome)

    def _commit_losers(
        self, task: Task, directory: str, state: WorkspaceState, found: Scan, monitor: Monitor
    ) -> tuple[Plan, int]:
        """Plan a download, and put the local versions that it replaces into the context's history before they go."""
        while True:
            monitor.check()
            head, remote = self._remote(task)
            planned = _planned(state, found, remote, DOWNLOAD, task.delete)
            if not planned.losers:
                return planned, head
            writer = PackWriter(self._store, self._index)
            store_files(directory, found, planned.losers, writer, progress=lambda files, size: monitor.check())
            writer.flush()
            try:
                with self._catalog.write() as connection:
                    for change, note in ((planned.keep, "local versions"), (planned.again, "download")):
                        head = revisions.commit(
                            connection,
                            task.context_id,
                            task.mount,
                            head=head,
                            current=remote.keys() | planned.keep.put.keys(),
                            put=change.put,
                            drop=change.drop,
                            task_id=task.id,
                            note=note,
                        )
            except revisions.HeadMoved:
                continue
            return planned, head

    def _state(self, file: Path, context_id: str, mount: str) -> WorkspaceState:
        """Load what the workspace had at its last sync, also when that ended between its commit and this file."""
        state = load_state(file)
        if not state.revision:
            # Nothing is known, which may be on purpose: the directory was made anew, and is not what uploaded once.
            return state
        with self._catalog.read() as connection:
            uploaded = revisions.uploaded_since(
                connection, context_id, mount, workspace=file.stem, revision=state.revision
            )
        for path, entry in uploaded.items():
            if entry is None:
                state.files.pop(path, None)
            else:
                state.files[path] = (entry, None)
        return state

    def _remote(self, task: Task) -> tuple[int, dict[bytes, Entry]]:
        with self._catalog.read() as connection:
            head = revisions.head_of(connection, task.context_id)
            return head, revisions.manifest(connection, task.context_id, task.mount)


def _planned(state: WorkspaceState, found: Scan, remote: Manifest, mode: str, delete: bool) -> Plan:
    skipped = [path for path, _ in found.skipped]
    side: Literal["upload", "download"] = "upload" if mode == UPLOAD else "download"
    return plan(state.base(), found.manifest, remote, mode=side, delete=delete, skipped=skipped)


def _skipped(found: Scan, planned: Plan) -> list[list[str]]:
    """Tell what can't be synced, as [path, reason]."""
    blocked = ((path, BLOCKED) for path in planned.blocked)
    return [[os.fsdecode(path), reason] for path, reason in chain(found.skipped, blocked)]


def _volume(entries: Manifest) -> tuple[int, int]:
    """Give how many files and links there are among entries, and how many bytes they hold."""
    sizes = [entry.size for entry in entries.values() if entry.kind != DIRECTORY]
    return len(sizes), sum(sizes)


def _outcome(planned: Plan, found: Scan, revision: int, moved: Manifest, deleted: int, monitor: Monitor) -> Outcome:
    files, size = _volume(moved)
    return Outcome(
        revision=revision,
        files=files,
        deleted=deleted,
        bytes=size,
        unchanged=planned.unchanged,
        skipped=json.dumps(_skipped(found, planned)),
        nothing_to_sync=not moved and not deleted,
        progress=replace(monitor.progress),
    )
