"""The steps before a sync changes anything: where it takes place, what each side has, and what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from ctxmgr.engine.archives.archives import Archives
from ctxmgr.engine.archives.cache import ArchiveCache
from ctxmgr.engine.manifest.entries import FILE, PACK, Entry
from ctxmgr.engine.manifest.merge import Mode
from ctxmgr.engine.policy.whitelist import Part
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.engine.workspace.scan import Scan
from ctxmgr.engine.workspace.state import WorkspaceState
from ctxmgr.engine.workspace.uploadname import noted_name

from .conflicts import origin_stamp
from .excluded import stays_in_context
from .healing import Healing
from .partial import check_known, told_of
from .place import Place, place_of
from .plan import Reconciled, reconcile
from .port import ContextStore
from .projection import View, view_of
from .task import UPLOAD, Task

__all__ = ["Planner"]


class Planner:
    """Finds out what syncs between workspaces and the contexts of one store have to do; see `Syncs`.

    Attributes:
        archives: those among what contexts hold.
    """

    def __init__(self, store: ContextStore, folder: NodeFolder, owner: str) -> None:
        self.archives = Archives(ArchiveCache(folder.archives), store.content, owner)
        self._store = store
        self._folder = folder

    def place(self, task: Task, root: str, *, make: bool = False) -> Place:
        """Return where a task takes place; its directory is made if need be and wanted."""
        policy = self._store.policy(task)
        return place_of(self._folder, task.context_id, task.mount, task.path, policy, root, task.options, make=make)

    def state(self, place: Place, state: WorkspaceState) -> WorkspaceState:
        """Complete what the workspace had at its last sync, if that ended between its commit and its state's file."""
        if not state.revision:
            # Nothing is known, which may be on purpose: the directory was made anew, and is not what uploaded once.
            return state
        key = self._store.key(place.context_id, state.revision)
        if key == "" or (key is not None and state.key and key != state.key):
            # The catalog was brought back from a backup: what it did not have is no change that somebody made there.
            return WorkspaceState(told=state.told)
        for uploaded in self._uploaded_since(place, state.revision):
            for path, entry in uploaded.items():
                # What went into a pack is not told from what was in it before: such files have no base then.
                if entry is None:
                    state.files.pop(path, None)
                elif not (entry.kind == FILE and entry.target == PACK):
                    state.files[path] = (entry, None)
        return state

    def has_uploaded(self, place: Place) -> bool:
        """Whether the context has what was uploaded from there and is not in its state yet."""
        return any(self._uploaded_since(place, 0))

    def view(self, place: Place, check: Callable[[], None], healing: Healing | None = None) -> View:
        """Read what the context has there, with what it lacks healed where that is wanted."""
        origins = self._store.origins(place.context_id, place.paths)
        if healing is not None:
            # Before the archives among them are read.
            healing.ensure_head(origins)
        # As a whole, also for a sync of a part: what an archive elsewhere unpacks to is there, and not deleted.
        view = view_of(origins, place.policy, place.unignored, self.archives, check)
        if healing is not None:
            unpacked = {path: entry for path, entry in view.files.items() if view.rows.get(path) is not entry}
            healing.ensure(unpacked)
        return view

    def plan(
        self,
        place: Place,
        view: View,
        state: WorkspaceState,
        found: Scan,
        mode: str,
        delete: bool,
        *,
        discard: bool = False,
    ) -> Reconciled:
        """Plan from the three sides, and tell what of that concerns the part that is synced."""
        side: Mode = "upload" if mode == UPLOAD else "download"
        selection = place.selection
        planned = reconcile(
            view,
            state,
            found,
            mode=side,
            delete=delete,
            selection=selection,
            discard=discard,
            choice=place.options.conflict,
            stamp=origin_stamp(),
        )
        stays, told = stays_in_context(view, place.ignores, state.told)
        planned = replace(planned, skipped=[*planned.skipped, *stays], told=told)
        if not place.part:
            return planned
        part = Part(place.part, place.unignored)
        if not any(
            part.includes(path)
            for path in chain(found.manifest, (path for path, _ in found.skipped), view.files, state.files)
        ):
            check_known(self._store, place.context_id, place.paths, place.part)
        return told_of(part, planned, view, mode=side)

    def _uploaded_since(self, place: Place, revision: int) -> Iterator[dict[bytes, Entry | None]]:
        name = noted_name(place.state)
        for origin in reversed(place.paths if name else ()):
            yield self._store.uploaded_since(place.context_id, origin, workspace=name, revision=revision)
