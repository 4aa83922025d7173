"""Plans a sync of what a binding lets through; whatever it doesn't is left alone on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ctxmgr.engine.manifest.entries import DIRECTORY, Entry, Fingerprint, parent, same
from ctxmgr.engine.manifest.merge import Choice, Mode, Plan, plan
from ctxmgr.engine.policy.whitelist import Selection
from ctxmgr.engine.workspace.dirfd import UNKNOWN
from ctxmgr.engine.workspace.scan import Scan
from ctxmgr.engine.workspace.state import WorkspaceState

from .projection import View

__all__ = ["Reconciled", "advance", "reconcile", "still_there", "with_unselected"]

_OUTSIDE_LOCAL = "is in the way of what is synced, and is not synced itself: move it away"
_OUTSIDE_REMOTE = "is in the way: the context holds something of that name, or below it, that this binding doesn't sync"


@dataclass(frozen=True)
class Reconciled:
    """A plan, and what of the binding's files it can't touch.

    Attributes:
        told: the ignore rules of which it says that the context holds something they exclude.
    """

    plan: Plan
    skipped: list[tuple[bytes, str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def reconcile(
    view: View,
    state: WorkspaceState,
    found: Scan,
    *,
    mode: Mode,
    delete: bool,
    selection: Selection | None,
    discard: bool = False,
    choice: Choice = "",
    stamp: str = "",
) -> Reconciled:
    """Plan a sync, as `merge.plan`.

    Args:
        view: the context, as the binding shows it.
        state: what the workspace had at its last sync.
        found: what it has now, scanned with the same selection.
        mode: which side changes.
        delete: whether an upload deletes.
        selection: what the white lists select; None is everything.
        discard: whether a download gives up what only the workspace changed.
        choice: who wins a conflict.
        stamp: what the names of copies say of their origin.
    """
    uncopied = {*view.packed, *view.unpacked} if choice == "keep-both" and mode == "upload" else ()
    decide = partial(plan, mode=mode, delete=delete, discard=discard, choice=choice, stamp=stamp, uncopied=uncopied)
    skipped = [path for path, _ in found.skipped]
    if selection is None and not view.sources and not view.unpacked:
        planned = decide(state.base(), found.manifest, view.files, skipped=skipped)
        return Reconciled(planned, view.skipped)
    sides = _Sides(view, state, found, mode, selection, discard=discard)
    planned = decide(sides.base, sides.local, sides.remote, skipped=[*skipped, *sides.blocked, *sides.kept])
    planned = replace(
        planned,
        blocked=[path for path in planned.blocked if path not in sides.blocked],
        kept=[path for path in planned.kept if path not in sides.carried],
    )
    if mode == "upload" and view.unpacked:
        planned = _without_unpacked(planned, view)
    return Reconciled(planned, [*view.skipped, *sides.blocked.items()])


def with_unselected(after: WorkspaceState, before: WorkspaceState, selection: Selection | None) -> WorkspaceState:
    """Carry over, into the state after a sync, what was known of the paths that it did not sync."""
    if selection is None:
        return after

    def included(path: bytes, known: tuple[Entry, Fingerprint | None]) -> bool:
        return selection.includes(path, known[0].kind == DIRECTORY)

    files = {path: known for path, known in after.files.items() if included(path, known)}
    files |= {path: known for path, known in before.files.items() if not included(path, known)}
    return WorkspaceState(after.revision, files, after.told, root=after.root)


def still_there(known: WorkspaceState, found: Scan) -> WorkspaceState:
    """Return what is known of a directory: without what it lacks if it was made anew, which so was never deleted.

    An empty one is more often one that is not mounted, or was emptied; what that means is decided elsewhere.
    """
    if found.root == known.root or UNKNOWN in (found.root, known.root) or not found.manifest:
        return known
    there = {path: item for path, item in known.files.items() if path in found.manifest}
    return WorkspaceState(known.revision, there, known.told)


class _Sides:
    """Both sides reduced to what is synced, and arranged so that no plan can touch anything else.

    Attributes:
        base, local, remote: what the plan is made of.
        carried: the directories that are made where something below them is synced, and otherwise never touched.
        blocked: paths at which one side holds a file that is not synced, and the other needs a directory.
        kept: for a download, what is not synced and lies in a directory that is.
    """

    def __init__(
        self,
        view: View,
        state: WorkspaceState,
        found: Scan,
        mode: Mode,
        selection: Selection | None,
        *,
        discard: bool,
    ) -> None:
        self._upload = mode == "upload"
        self._discard = discard
        self._includes: Callable[[bytes, bool], bool] = (
            (lambda path, directory: True) if selection is None else selection.includes
        )
        self.local = dict(found.manifest)
        self.remote: dict[bytes, Entry] = {}
        self._outside_local = found.outside
        self._outside_remote: dict[bytes, Entry | None] = {}
        self.blocked: dict[bytes, str] = {}
        for path, entry in view.files.items():
            # A source that the workspace has again is a new version of the archive, to be uploaded like any file.
            hidden = path in view.sources and not (self._upload and path in self.local)
            if hidden or not self._includes(path, entry.kind == DIRECTORY):
                self._outside_remote[path] = entry if entry.kind == DIRECTORY else None
            else:
                self.remote[path] = entry
            if path not in view.sources and (path in self.local) != (path in self.remote):
                # An ignore rule that is about directories alone tells a directory from a file of the same name.
                if path in self._outside_local:
                    self.blocked[path] = _OUTSIDE_LOCAL
                elif path in self._outside_remote and path in self.local:
                    self.blocked[path] = _OUTSIDE_REMOTE
        self.base = {
            path: entry for path, entry in state.base().items() if self._includes(path, entry.kind == DIRECTORY)
        }
        self.carried = {above for above in _above((*self.local, *self.remote)) if not self._includes(above, True)}
        for path in sorted(self.carried):
            self._carry(path)
        self.kept = [
            path
            for path in self._outside_local
            if path not in self.carried and parent(path) in self.local and not self._upload
        ]
        if self._upload:
            for path in sorted(_above(self._outside_remote)):
                self._hold(path)

    def _carry(self, path: bytes) -> None:
        """Have a directory made where something below it is synced, and otherwise never touched."""
        here = self._outside_local.get(path, _NOTHING)
        there = self._outside_remote.get(path, _NOTHING)
        if here is None or there is None:
            self.blocked[path] = _OUTSIDE_LOCAL if here is None else _OUTSIDE_REMOTE
        if self._discard and here is not None and here is not _NOTHING:
            there = here
        for side, entry in ((self.local, here), (self.remote, there)):
            if entry is not None and entry is not _NOTHING:
                side[path] = entry
        # The side that is not changed counts as unchanged, so the other keeps its own.
        source = here if self._upload else there
        if source is None or source is _NOTHING:
            self.base.pop(path, None)
        else:
            self.base[path] = source

    def _hold(self, path: bytes) -> None:
        """Keep a directory of the context that holds something an upload doesn't see."""
        if path not in self.remote or not self._includes(path, True):
            return
        here = self.local.get(path)
        if here is None:
            self.base.pop(path, None)
        elif here.kind != DIRECTORY:
            self.blocked[path] = _OUTSIDE_REMOTE


_NOTHING = Entry("", 0)


def _above(paths: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for path in paths:
        above = parent(path)
        while above and above not in found:
            found.add(above)
            above = parent(above)
    return found


def _without_unpacked(planned: Plan, view: View) -> Plan:
    """Delete nothing that only an archive holds, but remember that the workspace does without it."""
    gone = [path for path in planned.drop if path in view.unpacked]
    if not gone:
        return planned
    base = planned.base | {path: view.files[path] for path in gone}
    return replace(planned, drop=[path for path in planned.drop if path not in view.unpacked], base=base)


def advance(
    plan: Plan, scan: Scan, written: Mapping[bytes, Fingerprint | None], revision: int, told: Sequence[str] = ()
) -> WorkspaceState:
    """Return the state after a plan was carried out.

    Args:
        plan: what was carried out.
        scan: what it was planned from.
        written: what `apply` returned; empty for an upload.
        revision: the context's head revision now.
        told: as in the state.
    """
    files: dict[bytes, tuple[Entry, Fingerprint | None]] = {}
    for path, entry in plan.base.items():
        if path in written:
            seen = written[path]
        elif path not in scan.racy and same(scan.manifest.get(path), entry):
            seen = scan.fingerprints.get(path)
        else:
            seen = None
        files[path] = (entry, seen)
    return WorkspaceState(revision, files, list(told), root=scan.root)
