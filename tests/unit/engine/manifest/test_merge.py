"""What a sync decides to change."""

from __future__ import annotations

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, Manifest, parent, same
from ctxmgr.engine.manifest.merge import Change, Choice, Mode, Plan, plan

ROOT_OF_NAMES = [b"a", b"b", b"a-"]
PATHS = [
    *ROOT_OF_NAMES,
    *(one + b"/" + two for one in ROOT_OF_NAMES for two in ROOT_OF_NAMES),
    *(one + b"/" + two + b"/" + three for one in (b"a", b"b") for two in (b"a", b"b") for three in (b"a", b"b")),
]


def file(text: str, *, mode: int = 0o644, mtime: int = 1) -> Entry:
    digest = blake3(text.encode()).digest()
    return Entry(FILE, mode, mtime, len(text), digest, (digest,))


def link(target: str) -> Entry:
    return Entry(LINK, 0o777, 1, target=target.encode())


FOLDER = Entry(DIRECTORY, 0o755)
Situation = tuple[dict[bytes, Entry], dict[bytes, Entry], dict[bytes, Entry]]
"""A base, a workspace and a context."""

VERSIONS = st.sampled_from(
    [FOLDER, FOLDER, Entry(DIRECTORY, 0o700), file("x"), file("y"), file("x", mode=0o600), link("t")]
)


@st.composite
def trees(draw: st.DrawFn) -> dict[bytes, Entry]:
    tree: dict[bytes, Entry] = {}
    for path in PATHS:
        above = parent(path)
        if (not above or (above in tree and tree[above].kind == DIRECTORY)) and draw(st.booleans()):
            tree[path] = draw(VERSIONS)
    return tree


@st.composite
def edited(draw: st.DrawFn, tree: Manifest) -> dict[bytes, Entry]:
    """A tree a few edits away from another one: most paths the same, as in life."""
    fresh = draw(trees())
    touched = draw(st.sets(st.sampled_from(PATHS), max_size=4))
    mixed: dict[bytes, Entry] = {}
    for path in PATHS:
        entry = fresh.get(path) if path in touched else tree.get(path)
        above = parent(path)
        if entry is not None and (not above or (above in mixed and mixed[above].kind == DIRECTORY)):
            mixed[path] = entry
    return mixed


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    base = draw(trees())
    side = st.one_of(edited(base), edited(base), trees())
    local, remote = draw(side), draw(side)
    return draw(st.sampled_from([base, {}])), local, remote


def carry_out(found: Plan, local: Manifest, remote: Manifest) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    for path in found.remove:
        below = [other for other in local if other.startswith(path + b"/")]
        assert all(other in found.remove[: found.remove.index(path)] for other in below)
    after_local = {path: entry for path, entry in local.items() if path not in found.remove} | found.write
    return after_local, revise(remote, Change(found.put, found.drop))


def revise(remote: Manifest, change: Change) -> dict[bytes, Entry]:
    assert not change.put.keys() & set(change.drop)
    assert set(change.drop) <= remote.keys()
    return {path: entry for path, entry in remote.items() if path not in change.drop} | change.put


def assert_well_formed(tree: Manifest) -> None:
    for path in tree:
        above = parent(path)
        assert not above or (above in tree and tree[above].kind == DIRECTORY), path


def changes_nothing(found: Plan) -> bool:
    return not (found.put or found.drop or found.write or found.remove)


def equal(one: Manifest, other: Manifest) -> bool:
    return one.keys() == other.keys() and all(same(one[path], other[path]) for path in one)


MODES: st.SearchStrategy[Mode] = st.sampled_from(["upload", "download"])


@given(situations(), MODES, st.booleans())
def test_both_sides_stay_well_formed_trees(situation: Situation, mode: Mode, delete: bool) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, delete=delete)
    after_local, after_remote = carry_out(found, local, remote)
    assert_well_formed(after_local)
    assert_well_formed(after_remote)


@given(situations(), MODES, st.booleans())
def test_a_sync_changes_only_the_side_it_goes_to(situation: Situation, mode: Mode, delete: bool) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, delete=delete)
    changes = [found.write, found.remove, found.losers, found.keep.put] if mode == "upload" else [found.put, found.drop]
    assert not any(changes)


@given(situations())
def test_no_local_version_is_lost_by_a_download(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download")
    after, _ = carry_out(found, local, remote)
    for path, version in local.items():
        assert same(after.get(path), version) or same(base.get(path), version) or same(found.losers.get(path), version)


@given(situations())
def test_the_losers_pass_through_history(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download")
    kept = revise(remote, found.keep)
    assert_well_formed(kept)
    assert all(same(kept[path], entry) for path, entry in found.losers.items())


@given(situations(), MODES, st.booleans())
def test_a_plan_carried_out_leaves_nothing_to_plan(situation: Situation, mode: Mode, delete: bool) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, delete=delete)
    after_local, after_remote = carry_out(found, local, remote)
    again = plan(found.base, after_local, after_remote, mode=mode, delete=delete)
    assert changes_nothing(again)
    assert again.base == found.base
    assert not again.conflicts


@given(situations())
def test_download_after_upload_after_download_makes_both_sides_equal(situation: Situation) -> None:
    base, local, remote = situation
    for mode in ("download", "upload"):
        found = plan(base, local, remote, mode=mode)
        local, remote = carry_out(found, local, remote)
        base = found.base
    assert equal(local, remote)


@given(situations())
def test_upload_after_download_after_upload_makes_both_sides_equal(situation: Situation) -> None:
    base, local, remote = situation
    for mode in ("upload", "download", "upload"):
        found = plan(base, local, remote, mode=mode)
        local, remote = carry_out(found, local, remote)
        base = found.base
    assert equal(local, remote)


@given(situations())
def test_another_workspace_downloads_exactly_what_the_context_has(situation: Situation) -> None:
    base, local, remote = situation
    _, remote = carry_out(plan(base, local, remote, mode="upload"), local, remote)
    elsewhere, _ = carry_out(plan({}, {}, remote, mode="download"), {}, remote)
    assert equal(elsewhere, remote)


@given(situations())
def test_an_upload_puts_every_local_change(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="upload")
    _, after = carry_out(found, local, remote)
    for path, version in local.items():
        if not same(version, base.get(path)) and version.kind != DIRECTORY:
            assert same(after[path], version)


@given(situations())
def test_an_upload_that_may_not_delete_drops_only_what_lies_below_a_local_file(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="upload", delete=False)
    for path in found.drop:
        assert any(path.startswith(top + b"/") for top in found.conflicts)


@given(situations())
def test_a_workspace_without_a_past_deletes_nothing_but_what_lies_below_a_local_file(situation: Situation) -> None:
    _, local, remote = situation
    found = plan({}, local, remote, mode="upload")
    for path in found.drop:
        assert any(path.startswith(top + b"/") for top in found.conflicts)


@st.composite
def with_skipped(draw: st.DrawFn) -> tuple[Situation, list[bytes]]:
    base, local, remote = draw(situations())
    places = [
        path
        for path in PATHS
        if path not in local and (not parent(path) or (parent(path) in local and local[parent(path)].kind == DIRECTORY))
    ]
    return (base, local, remote), draw(st.lists(st.sampled_from(places), max_size=2, unique=True)) if places else []


@given(with_skipped(), MODES, st.booleans())
def test_what_is_skipped_is_left_alone_and_everything_stays_well_formed(
    case: tuple[Situation, list[bytes]], mode: Mode, delete: bool
) -> None:
    (base, local, remote), skipped = case
    found = plan(base, local, remote, mode=mode, delete=delete, skipped=skipped)
    after_local, after_remote = carry_out(found, local, remote)
    assert_well_formed(after_local)
    assert_well_formed(after_remote)
    for path in skipped:
        assert not any(one == path or one.startswith(path + b"/") for one in after_local)
        assert not parent(path) or after_local[parent(path)].kind == DIRECTORY
        assert same(after_remote.get(path), remote.get(path))
        if mode == "download" and path in remote:
            assert path in found.blocked
    again = plan(found.base, after_local, after_remote, mode=mode, delete=delete, skipped=skipped)
    assert changes_nothing(again)
    assert again.blocked == found.blocked


def test_a_change_on_one_side_is_taken_from_there() -> None:
    base = {b"mine": file("1"), b"theirs": file("1"), b"still": file("1")}
    local = {**base, b"mine": file("2"), b"new": file("n")}
    remote = {**base, b"theirs": file("2")}
    up = plan(base, local, remote, mode="upload")
    assert (up.put, up.drop) == ({b"mine": file("2"), b"new": file("n")}, [])
    assert up.base == {**base, b"mine": file("2"), b"new": file("n")}
    down = plan(base, local, remote, mode="download")
    assert (down.write, down.remove, down.losers) == ({b"theirs": file("2")}, [], {})
    assert down.base == {**base, b"theirs": file("2")}
    assert up.unchanged == down.unchanged == 1


def test_a_deletion_travels_in_both_directions() -> None:
    base = {b"d": FOLDER, b"d/gone": file("1"), b"d/dropped": file("2")}
    local = {b"d": FOLDER, b"d/dropped": file("2")}
    remote = {b"d": FOLDER, b"d/gone": file("1")}
    assert plan(base, local, remote, mode="upload").drop == [b"d/gone"]
    assert plan(base, local, remote, mode="download").remove == [b"d/dropped"]


def test_a_local_deletion_stays_local_where_the_policy_says_so() -> None:
    base = {b"x": file("1")}
    found = plan(base, {}, base, mode="upload", delete=False)
    assert changes_nothing(found)
    assert found.base == base


def test_a_conflict_is_won_by_the_workspace_in_an_upload() -> None:
    found = plan({b"x": file("0")}, {b"x": file("mine")}, {b"x": file("theirs")}, mode="upload")
    assert found.put == {b"x": file("mine")}
    assert found.conflicts == [b"x"]


def test_a_conflict_is_won_by_the_context_in_a_download_and_the_local_version_is_kept() -> None:
    found = plan({b"x": file("0")}, {b"x": file("mine")}, {b"x": file("theirs")}, mode="download")
    assert found.write == {b"x": file("theirs")}
    assert found.losers == {b"x": file("mine")}
    assert found.keep == Change({b"x": file("mine")}, [])
    assert found.conflicts == [b"x"]


def test_a_local_edit_of_what_the_context_deleted_goes_into_history() -> None:
    found = plan({b"x": file("0")}, {b"x": file("mine")}, {}, mode="download")
    assert found.remove == [b"x"]
    assert found.keep == Change({b"x": file("mine")}, [])


def test_the_same_change_on_both_sides_is_no_conflict() -> None:
    for mode in ("upload", "download"):
        found = plan({b"x": file("0")}, {b"x": file("1")}, {b"x": file("1")}, mode=mode)
        assert changes_nothing(found)
        assert found.base == {b"x": file("1")}
        assert not found.conflicts


def test_a_new_workspace_takes_and_gives_without_deleting() -> None:
    local, remote = {b"mine": file("1")}, {b"theirs": file("2")}
    assert plan({}, local, remote, mode="upload").put == local
    assert plan({}, local, remote, mode="upload").drop == []
    assert plan({}, local, remote, mode="download").write == remote
    assert plan({}, local, remote, mode="download").remove == []


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_removed_directory_stays_for_what_the_other_side_keeps_in_it(mode: Mode) -> None:
    base = {b"d": FOLDER, b"d/old": file("1")}
    grown = {**base, b"d/new": file("2")}
    local, remote = ({}, grown) if mode == "upload" else (grown, {})
    found = plan(base, local, remote, mode=mode)
    assert (found.drop or found.remove) == [b"d/old"]


def test_a_file_against_a_directory_is_decided_for_the_whole_subtree() -> None:
    base = {b"p": FOLDER, b"p/a": file("a")}
    local = {b"p": file("now a file")}
    remote = {**base, b"p/b": file("b")}
    up = plan(base, local, remote, mode="upload")
    assert (up.put, up.drop) == (local, [b"p/a", b"p/b"])
    down = plan(base, local, remote, mode="download")
    assert (down.write, down.losers) == (remote, local)
    assert down.keep == Change(local, [b"p/a", b"p/b"])
    assert (up.conflicts, down.conflicts) == ([b"p", b"p/b"], [b"p"])


def test_a_change_of_time_or_mode_alone_is_a_change() -> None:
    base = {b"x": file("1"), b"d": FOLDER}
    local = {b"x": file("1", mtime=2), b"d": Entry(DIRECTORY, 0o700)}
    assert plan(base, local, base, mode="upload").put == local


def test_how_content_is_cut_is_no_change_and_the_stored_cut_is_kept() -> None:
    stored = file("1")
    recut = msgspec.structs.replace(stored, chunks=(b"other",))
    found = plan({}, {b"x": recut}, {b"x": stored}, mode="upload")
    assert changes_nothing(found)
    assert found.base[b"x"] is stored


def test_a_temporary_name_in_the_context_is_never_written_nor_deleted() -> None:
    remote = {b"d": FOLDER, b"d/.ctxmgr-tmp-0123456789abcdef": file("1")}
    assert plan({}, {}, remote, mode="download").write == {b"d": FOLDER}
    assert changes_nothing(plan(remote, {b"d": FOLDER}, remote, mode="upload"))


def test_a_file_whose_directory_is_not_listed_gets_one() -> None:
    assert plan({}, {}, {b"d/x": file("1")}, mode="download").write == {b"d/x": file("1"), b"d": FOLDER}


def test_a_download_keeps_a_directory_for_the_socket_in_it() -> None:
    base = {b"d": FOLDER, b"d/x": file("1")}
    found = plan(base, base, {}, mode="download", skipped=[b"d/socket"])
    assert found.remove == [b"d/x"]
    replaced = plan(base, base, {b"d": file("2")}, mode="download", skipped=[b"d/socket"])
    assert changes_nothing(replaced)
    assert replaced.blocked == [b"d"]


def test_versions_that_differ_in_their_time_alone_are_no_conflict() -> None:
    local, remote = {b"x": file("same", mtime=2)}, {b"x": file("same", mtime=3)}
    for mode in ("upload", "download"):
        assert plan({}, local, remote, mode=mode).conflicts == []


@given(situations())
def test_every_local_version_that_a_download_takes_away_is_a_conflict_unless_the_context_had_it(
    situation: Situation,
) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download")
    untold = found.losers.keys() - found.conflicts
    assert all(
        path in remote
        and same(found.losers[path], msgspec.structs.replace(remote[path], mtime_ns=local[path].mtime_ns))
        for path in untold
    )


@given(situations())
def test_every_version_that_the_context_changed_and_an_upload_replaces_is_a_conflict(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="upload")
    changed = {path for path in remote if not same(remote[path], base.get(path))}
    lost = {path for path in changed if path in found.put or path in found.drop}
    assert all(
        path in local and same(local[path], msgspec.structs.replace(remote[path], mtime_ns=local[path].mtime_ns))
        for path in lost - set(found.conflicts)
    )


@given(situations())
def test_a_download_tells_every_path_that_stays_other_than_the_context_has_it(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download")
    after, _ = carry_out(found, local, remote)
    assert set(found.kept) == {
        path for path in after.keys() | remote.keys() if not same(after.get(path), remote.get(path))
    }


@given(situations())
def test_a_download_that_discards_makes_the_workspace_what_the_context_is(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download", discard=True)
    after, _ = carry_out(found, local, remote)
    assert equal(after, remote)
    assert found.kept == []
    assert {path for path in local if not same(local[path], remote.get(path))} - found.losers.keys() <= {
        path for path in local if same(local[path], base.get(path))
    }


def test_a_download_that_discards_leaves_what_is_skipped_alone() -> None:
    local, remote = {b"d": FOLDER, b"d/new": file("new")}, {b"x": file("x")}
    found = plan({}, local, remote, mode="download", discard=True, skipped=[b"d/socket"])
    assert (found.write, found.remove) == (remote, [b"d/new"])


CHOICES: st.SearchStrategy[Choice] = st.sampled_from(["", "newest", "ours", "theirs", "keep-both", "fail"])
STAMP = "host-20261125T0102"


@given(situations(), MODES, CHOICES)
def test_whoever_wins_both_sides_stay_trees_and_only_one_side_changes(
    situation: Situation, mode: Mode, choice: Choice
) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, choice=choice, stamp=STAMP)
    after_local, after_remote = carry_out(found, local, remote)
    assert_well_formed(after_local)
    assert_well_formed(after_remote)
    assert equal(after_local, local) if mode == "upload" else equal(after_remote, remote)


@given(situations(), MODES, CHOICES)
def test_whoever_wins_a_plan_carried_out_leaves_nothing_to_plan(
    situation: Situation, mode: Mode, choice: Choice
) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, choice=choice, stamp=STAMP)
    after_local, after_remote = carry_out(found, local, remote)
    again = plan(found.base, after_local, after_remote, mode=mode, choice=choice, stamp=STAMP)
    assert changes_nothing(again)
    assert set(again.conflicts) == again.upheld


@given(situations(), CHOICES)
def test_whoever_wins_no_local_version_is_lost_by_a_download(situation: Situation, choice: Choice) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download", choice=choice, stamp=STAMP)
    after, _ = carry_out(found, local, remote)
    for path, version in local.items():
        assert same(after.get(path), version) or same(base.get(path), version) or same(found.losers.get(path), version)


@given(situations(), st.sampled_from(["", "fail"]), MODES)
def test_a_choice_that_decides_nothing_plans_what_no_choice_plans(
    situation: Situation, choice: Choice, mode: Mode
) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, choice=choice, stamp=STAMP)
    assert found == plan(base, local, remote, mode=mode)
    assert not found.upheld
    assert not found.copies


@given(situations())
def test_ours_lets_no_download_change_what_the_workspace_changed(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="download", choice="ours")
    after, _ = carry_out(found, local, remote)
    for path, version in local.items():
        if not same(version, base.get(path)) and version.kind != DIRECTORY:
            assert same(after.get(path), version)
    assert not any(entry.kind != DIRECTORY for entry in found.losers.values())


@given(situations())
def test_theirs_lets_no_upload_change_what_the_context_changed(situation: Situation) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode="upload", choice="theirs")
    _, after = carry_out(found, local, remote)
    for path, version in remote.items():
        if not same(version, base.get(path)) and version.kind != DIRECTORY:
            assert same(after.get(path), version)


def is_directory(tree: Manifest, path: bytes) -> bool:
    return path in tree and tree[path].kind == DIRECTORY


@given(situations(), MODES)
def test_every_version_that_loses_its_name_has_a_copy_where_both_are_kept(situation: Situation, mode: Mode) -> None:
    base, local, remote = situation
    found = plan(base, local, remote, mode=mode, choice="keep-both", stamp=STAMP)
    after = carry_out(found, local, remote)[0 if mode == "download" else 1]
    changing = local if mode == "download" else remote
    for path in set(found.conflicts) - found.upheld:
        loser, above = changing.get(path), parent(path)
        if loser is not None and loser.kind != DIRECTORY and (not above or is_directory(after, above)):
            assert same(after[found.copies[path]], loser)
    assert not set(found.copies.values()) & (local.keys() | remote.keys())


@given(situations(), MODES)
def test_a_conflict_of_two_files_is_won_by_the_later_where_that_is_chosen(situation: Situation, mode: Mode) -> None:
    base, local, remote = situation
    aged = {path: msgspec.structs.replace(entry, mtime_ns=2) for path, entry in local.items() if entry.kind == FILE}
    found = plan(base, {**local, **aged}, remote, mode=mode, choice="newest")
    after = carry_out(found, {**local, **aged}, remote)[0 if mode == "download" else 1]
    for path in found.conflicts:
        there = remote.get(path)
        if path in aged and there is not None and there.kind == FILE:
            assert same(after[path], aged[path])


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_change_is_kept_against_a_deletion_by_the_newest_and_by_both(mode: Mode) -> None:
    base = {b"x": file("0")}
    for choice in ("newest", "keep-both"):
        for local, remote in (({}, {b"x": file("1")}), ({b"x": file("1")}, {})):
            found = plan(base, local, remote, mode=mode, choice=choice, stamp=STAMP)
            after = carry_out(found, local, remote)[0 if mode == "download" else 1]
            assert after == {b"x": file("1")}
            assert (found.conflicts, found.copies) == ([b"x"], {})


def test_a_copy_sorts_beside_its_original_and_keeps_the_suffix() -> None:
    base = {b"d": FOLDER, b"d/report.txt": file("0"), b".profile": file("0")}
    local = {**base, b"d/report.txt": file("mine"), b".profile": file("mine")}
    remote = {**base, b"d/report.txt": file("theirs"), b".profile": file("theirs")}
    found = plan(base, local, remote, mode="download", choice="keep-both", stamp=STAMP)
    assert found.copies == {
        b"d/report.txt": b"d/report.conflict-host-20261125T0102.txt",
        b".profile": b".profile.conflict-host-20261125T0102",
    }
    assert found.write[b"d/report.conflict-host-20261125T0102.txt"] == file("mine")
    assert found.losers.keys() == {b"d/report.txt", b".profile"}
    up = plan(base, local, remote, mode="upload", choice="keep-both", stamp=STAMP)
    assert up.put[b"d/report.conflict-host-20261125T0102.txt"] == file("theirs")


def test_a_second_copy_of_the_same_minute_has_a_number_and_there_are_ten_at_most() -> None:
    local, remote = {b"x.c": file("mine")}, {b"x.c": file("theirs")}
    for number in range(2, 14):
        found = plan({}, local, remote, mode="download", choice="keep-both", stamp=STAMP)
        for copy in found.copies.values():
            local[copy] = file(f"mine {number}")
    copies = sorted(local.keys() - {b"x.c"})
    assert len(copies) == 10
    assert copies[:2] == [b"x.conflict-host-20261125T0102-10.c", b"x.conflict-host-20261125T0102-2.c"]
    assert found.losers == {b"x.c": file("mine")}


def test_a_copy_is_never_copied_and_neither_is_what_may_not_be_nor_a_name_that_grew_too_long() -> None:
    copy, plain, long = b"x.conflict-host-20261125T0102.c", b"packed", b"n" * 250
    local, remote = dict.fromkeys((copy, plain, long), file("mine")), dict.fromkeys((copy, plain, long), file("theirs"))
    found = plan({}, local, remote, mode="upload", choice="keep-both", stamp=STAMP, uncopied={plain})
    assert found.copies == {}
    assert set(found.conflicts) == {copy, plain, long}


def test_the_version_that_stays_is_named_as_the_winner_of_a_conflict() -> None:
    base, local, remote = {b"x": file("0")}, {b"x": file("mine")}, {b"x": file("theirs")}
    up = plan(base, local, remote, mode="upload", choice="theirs")
    assert (up.put, up.conflicts, up.upheld, up.base) == ({}, [b"x"], frozenset({b"x"}), base)
    down = plan(base, local, remote, mode="download", choice="ours")
    assert (down.write, down.losers, down.conflicts, down.upheld) == ({}, {}, [b"x"], frozenset({b"x"}))
