"""What a sync may touch: what the binding lets through, and nothing else, whatever lies around it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry, Manifest, parent, same
from ctxmgr.engine.manifest.merge import Mode
from ctxmgr.engine.policy.whitelist import Selection, SelectionRule
from ctxmgr.engine.sync.changeset import back, located
from ctxmgr.engine.sync.plan import Reconciled, reconcile, with_unselected
from ctxmgr.engine.sync.projection import Origins, View
from ctxmgr.engine.workspace.scan import Scan
from ctxmgr.engine.workspace.state import WorkspaceState
from tests.unit.engine.manifest.test_merge import (
    MODES,
    PATHS,
    Situation,
    assert_well_formed,
    carry_out,
    changes_nothing,
    equal,
    situations,
)

# Few of them, so that they meet the few paths that the trees have.
SELECTIONS = st.sampled_from(
    [
        [SelectionRule("a", ("a",))],
        [SelectionRule("a", ("b", "a/b"))],
        [SelectionRule("a/b")],
        [SelectionRule("b/a"), SelectionRule("a/a")],
        [SelectionRule("", ("a/b",))],
        [SelectionRule("", ("b",)), SelectionRule("b/a/a")],
        [SelectionRule("a", ("a",)), SelectionRule("a/a/b")],
        [SelectionRule(".*/a", ("b",), path_is_regex=True)],
        [SelectionRule("a.*", (".*a", "b/b"), path_is_regex=True, excluded_is_regex=True)],
    ]
).map(lambda lists: Selection(lists, "/"))
MANY = settings(max_examples=300, deadline=None)


def scanned(tree: Manifest, selection: Selection | None) -> Scan:
    """A workspace as a scan with the selection finds it."""
    if selection is None:
        return Scan(manifest=dict(tree))
    found = Scan()
    entered = {b""}
    for path in sorted(tree, key=lambda path: path.count(b"/")):
        if parent(path) not in entered:
            continue
        entry = tree[path]
        folder = entry.kind == DIRECTORY
        if selection.includes(path):
            found.manifest[path] = entry
            entered.add(path)
            continue
        found.outside[path] = entry if folder else None
        if folder and selection.may_hold(path):
            entered.add(path)
    return found


def viewed(rows: dict[bytes, Entry]) -> View:
    return View(Origins(1, ("/",), (rows,)), rows, rows)


def reconciled(
    situation: Situation, mode: Mode, selection: Selection | None, *, view: View | None = None, delete: bool = True
) -> Reconciled:
    base, local, remote = situation
    state = WorkspaceState(1, {path: (entry, None) for path, entry in base.items()})
    found = scanned(local, selection)
    return reconcile(view or viewed(remote), state, found, mode=mode, delete=delete, selection=selection)


def outside(tree: Manifest, selection: Selection) -> dict[bytes, Entry]:
    return {path: entry for path, entry in tree.items() if not selection.includes(path)}


@MANY
@given(situations(), MODES, SELECTIONS, st.booleans())
def test_what_is_not_selected_stays_as_it_is(
    situation: Situation, mode: Mode, selection: Selection, delete: bool
) -> None:
    _, local, remote = situation
    result = reconciled(situation, mode, selection, delete=delete)
    after_local, after_remote = carry_out(result.plan, local, remote)
    for before, after in ((local, after_local), (remote, after_remote)):
        left = outside(after, selection)
        assert all(same(left.get(path), entry) for path, entry in outside(before, selection).items())
        for path in left.keys() - before.keys():
            assert left[path].kind == DIRECTORY, "only the directories that something selected lies in are made"
            assert any(other.startswith(path + b"/") and selection.includes(other) for other in after)
        assert_well_formed(after)


@MANY
@given(situations(), MODES, SELECTIONS)
def test_what_was_synced_needs_no_second_sync(situation: Situation, mode: Mode, selection: Selection) -> None:
    base, local, remote = situation
    result = reconciled(situation, mode, selection)
    after_local, after_remote = carry_out(result.plan, local, remote)
    before = WorkspaceState(1, {path: (entry, None) for path, entry in base.items()})
    after = WorkspaceState(2, {path: (entry, None) for path, entry in result.plan.base.items()})
    known = with_unselected(after, before, selection).base()
    assert {path: known[path] for path in outside(known, selection)} == outside(base, selection)
    again = reconciled((known, after_local, after_remote), mode, selection)
    assert changes_nothing(again.plan)


@MANY
@given(situations(), SELECTIONS)
def test_no_selected_local_version_is_lost_by_a_download(situation: Situation, selection: Selection) -> None:
    base, local, remote = situation
    found = reconciled(situation, "download", selection).plan
    after, _ = carry_out(found, local, remote)
    for path, version in local.items():
        assert same(after.get(path), version) or same(base.get(path), version) or same(found.losers.get(path), version)


@given(situations(), MODES)
def test_a_selection_of_everything_changes_nothing(situation: Situation, mode: Mode) -> None:
    everything = Selection([SelectionRule("")], "/")
    assert reconciled(situation, mode, everything) == reconciled(situation, mode, None)


@st.composite
def unpacking(draw: st.DrawFn) -> tuple[Situation, View]:
    """A situation in which some of what the binding shows is in archives only, and some archives are hidden."""
    base, local, remote = draw(situations())
    tops = draw(st.sets(st.sampled_from(PATHS), min_size=1, max_size=2))
    inside = {path for path in remote if any(path == top or path.startswith(top + b"/") for top in tops)}
    rows = {path: entry for path, entry in remote.items() if path not in inside}
    archives = [path for path, entry in rows.items() if entry.kind == FILE]
    sources = draw(st.sets(st.sampled_from(archives), max_size=2)) if archives else set()
    view = View(Origins(1, ("/",), (rows,)), rows, remote, unpacked=dict.fromkeys(inside, b""), sources=sources)
    return (base, local, remote), view


@MANY
@given(unpacking(), st.none() | SELECTIONS)
def test_an_upload_never_ends_an_archive_that_the_workspace_does_not_have(
    drawn: tuple[Situation, View], selection: Selection | None
) -> None:
    situation, view = drawn
    _, local, _ = situation
    found = reconciled(situation, "upload", selection, view=view).plan
    assert not set(found.drop) & view.unpacked.keys()
    rows = {path: entry for path, entry in view.rows.items() if path not in found.drop} | found.put
    for path in view.sources:
        if path not in local:
            assert same(rows.get(path), view.rows[path])
    for path in rows:
        above = parent(path)
        while above:
            assert above not in rows or rows[above].kind == DIRECTORY
            above = parent(above)


@MANY
@given(unpacking())
def test_a_deleted_member_of_an_archive_stays_deleted(drawn: tuple[Situation, View]) -> None:
    (base, local, remote), view = drawn
    gone = {path for path in base.keys() & view.unpacked.keys() if path not in local}
    up = reconciled((base, local, remote), "upload", None, view=view).plan
    rows = {path: entry for path, entry in view.rows.items() if path not in up.drop} | up.put
    files = remote | up.put
    files = {path: entry for path, entry in files.items() if path not in up.drop}
    after = replace(view, origins=Origins(2, ("/",), (rows,)), rows=rows, files=files)
    down = reconciled((up.base, local, files), "download", None, view=after).plan
    holders = {above for path in files.keys() - gone for above in _above(path)}
    assert not {path for path in gone - holders if path not in up.put} & down.write.keys()
    assert not reconciled((up.base, local, files), "upload", None, view=after).plan.drop


def _above(path: bytes) -> set[bytes]:
    found = set()
    while path := parent(path):
        found.add(path)
    return found


@given(situations())
def test_a_change_and_its_way_back_leave_the_rows_as_they_were(situation: Situation) -> None:
    base, local, remote = situation
    view = viewed(remote)
    keep = reconciled((base, local, remote), "download", None).plan.keep
    forth, again = located(keep, view.origins), located(back(keep, view), view.origins)
    kept = {path: entry for path, entry in remote.items() if path not in forth.drop} | dict(forth.put)
    assert_well_formed(kept)
    assert equal({path: entry for path, entry in kept.items() if path not in again.drop} | dict(again.put), remote)
