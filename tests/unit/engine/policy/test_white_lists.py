"""White lists: what they select is synced, and everything else is left alone on both sides."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr.engine.policy.whitelist import Selection, SelectionRule, check_white_lists
from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, binding, fill, tree


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


def listing(*items: dict[str, object]) -> dict[str, object]:
    return {"whiteLists": list(items)}


def bound(door: Door, context_id: str, root: Path, *items: dict[str, object], **policy: object) -> str:
    root.mkdir(exist_ok=True)
    return door.session(binding(context_id, "/", bwList=listing(*items), **policy), Root=str(root))


SRC: dict[str, object] = {"path": "/src", "excludePaths": ["/node_modules"]}
PROJECT = {
    "readme": "r",
    "src/a": "a",
    "src/deep/b": "b",
    "src/node_modules/x": "x",
    "srcs/c": "c",
    "src.txt": "t",
}


def test_an_upload_brings_only_what_is_on_the_list(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT)
    session = bound(door, context, tmp_path / "w", SRC)
    (done,) = door.sync(session)
    assert (done["status"], done["files"]) == ("Success", 2)
    assert door.files(context) == ["/src", "/src/a", "/src/deep", "/src/deep/b"]
    assert door.sync(session)[0]["nothingToSync"]


def test_a_download_brings_only_what_is_on_the_list(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "all", PROJECT)
    door.sync(door.session(binding(context), Root=str(tmp_path / "all")))
    bound(door, context, tmp_path / "some", SRC)
    assert tree(tmp_path / "some") == {"src/a": "a", "src/deep/b": "b"}


def test_what_is_outside_is_neither_deleted_from_the_context_nor_removed_locally(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "all", PROJECT)
    everything = door.session(binding(context), Root=str(tmp_path / "all"))
    door.sync(everything)
    fill(tmp_path / "some", {"mine": "m", "src/node_modules/own": "o"})
    some = bound(door, context, tmp_path / "some", SRC)
    (tmp_path / "some/src/a").unlink()
    (tmp_path / "some/src/deep/b").unlink()
    (tmp_path / "some/src/deep").rmdir()
    door.sync(some)
    assert set(door.files(context)) == {
        "/readme", "/src", "/src/node_modules", "/src/node_modules/x", "/srcs", "/srcs/c", "/src.txt"
    }  # fmt: skip
    (tmp_path / "all/readme").unlink()
    (tmp_path / "all/src/node_modules/x").unlink()
    (tmp_path / "all/src/node_modules").rmdir()
    door.sync(everything)
    door.sync(some, "download")
    assert tree(tmp_path / "some") == {"mine": "m", "src/node_modules/own": "o"}


def test_a_directory_that_holds_what_is_excluded_stays_though_all_else_in_it_went(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "all", {"src/a": "a", "src/node_modules/x": "x"})
    everything = door.session(binding(context), Root=str(tmp_path / "all"))
    (tmp_path / "all/src").chmod(0o750)
    door.sync(everything)
    some = bound(door, context, tmp_path / "some", SRC)
    (tmp_path / "some/src/a").unlink()
    (tmp_path / "some/src").rmdir()
    (done,) = door.sync(some)
    assert done["status"] == "Success"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    door.session(binding(context), Root=str(fresh))
    assert tree(fresh) == {"src/node_modules/x": "x"}
    assert stat.S_IMODE((fresh / "src").stat().st_mode) == 0o750
    assert door.sync(some)[0]["nothingToSync"]


def test_a_download_that_empties_a_directory_leaves_what_is_excluded_in_it(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "all", {"src/a": "a"})
    everything = door.session(binding(context), Root=str(tmp_path / "all"))
    door.sync(everything)
    some = bound(door, context, tmp_path / "some", SRC)
    fill(tmp_path / "some", {"src/a": "a", "src/node_modules/mine": "m"})
    (tmp_path / "all/src/a").unlink()
    (tmp_path / "all/src").rmdir()
    door.sync(everything)
    (done,) = door.sync(some, "download")
    assert done["status"] == "Success", done
    assert tree(tmp_path / "some") == {"src/node_modules/mine": "m"}


def test_a_file_that_is_not_on_the_list_and_in_the_way_is_left_alone_and_told(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "all", {"a/src/x": "x", "b": "b"})
    everything = door.session(binding(context), Root=str(tmp_path / "all"))
    door.sync(everything)
    fill(tmp_path / "some", {"a": "in the way", "b/src/y": "y"})
    some = bound(door, context, tmp_path / "some", {"path": "a/src"}, {"path": "b/src"})
    assert tree(tmp_path / "some") == {"a": "in the way", "b/src/y": "y"}
    assert [path for path, _ in door.info(some)[0]["skipped"]] == ["a", "b"]
    (done,) = door.sync(some)
    assert (done["status"], [path for path, _ in done["skipped"]]) == ("Success", ["a", "b"])
    assert door.files(context) == ["/a", "/a/src", "/a/src/x", "/b"]


def test_directories_above_the_list_are_made_and_otherwise_left_alone(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "one", {"deep/er/src/x": "x"})
    (tmp_path / "one/deep").chmod(0o700)
    one = bound(door, context, tmp_path / "one", {"path": "deep/er/src"})
    door.sync(one)
    two = bound(door, context, tmp_path / "two", {"path": "deep/er/src"})
    assert tree(tmp_path / "two") == {"deep/er/src/x": "x"}
    (tmp_path / "two/deep").chmod(0o755)
    assert door.sync(two)[0]["nothingToSync"]
    assert door.sync(one, "download")[0]["nothingToSync"]
    assert stat.S_IMODE((tmp_path / "one/deep").stat().st_mode) == 0o700


def test_a_path_that_can_not_be_read_does_no_harm_outside_the_list(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", {"src/a": "a", "secret/s": "s"})
    (tmp_path / "w/secret").chmod(0)
    try:
        (done,) = door.sync(bound(door, context, tmp_path / "w", SRC))
    finally:
        (tmp_path / "w/secret").chmod(0o755)
    assert done["status"] == "Success"


def test_regular_expressions_select_directories_and_exclude_relative_to_them(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(
        tmp_path / "w",
        {"project-a/x": "", "project-a/record1/y": "", "project-b/n/record/z": "", "my-project-c/u": "", "v": ""},
    )
    item: dict[str, object] = {
        "path": "project-.*",
        "isPathRegex": True,
        "excludePaths": ["record.*"],
        "isExcludeRegex": True,
    }
    door.sync(bound(door, context, tmp_path / "w", item))
    assert [path for path in door.files(context) if not path.endswith(("-a", "-b"))] == [
        "/project-a/x",
        "/project-b/n",
        "/project-b/n/record",
        "/project-b/n/record/z",
    ]


def test_a_list_that_changes_does_not_delete_what_it_left_out_before(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", {"src/a": "a", "other/b": "b"})
    everything = door.session(binding(context), Root=str(tmp_path / "w"))
    door.sync(everything)
    door.delete_session(everything)
    some = bound(door, context, tmp_path / "w", SRC)
    fill(tmp_path / "w", {"src/a": "a2"})
    door.sync(some)
    assert "/other/b" in door.files(context)
    door.delete_session(some)
    door.sync(door.session(binding(context, "/", downloadPolicy={"autoDownload": False}), Root=str(tmp_path / "w")))
    assert "/other/b" not in door.files(context)


@pytest.mark.parametrize(
    "item",
    [
        SelectionRule("a*"),
        SelectionRule("a", ("b?",)),
        SelectionRule("../a"),
        SelectionRule("/data/src"),
        SelectionRule("^/data/.*", path_is_regex=True),
        SelectionRule("(", path_is_regex=True),
        SelectionRule("(?=a)", path_is_regex=True),
        SelectionRule(r"(a)\1", path_is_regex=True),
        SelectionRule("", ("((a{1,1000}){1,1000}){1,1000}",), excluded_is_regex=True),
        SelectionRule("(a{1000}){1000}", path_is_regex=True),
        SelectionRule("a" * 1001, path_is_regex=True),
    ],
)
def test_what_can_not_be_honoured_is_refused(item: SelectionRule) -> None:
    with pytest.raises(ServiceError) as refused:
        check_white_lists([item], "/data")
    assert refused.value.code == "InvalidParameter.Malformed"


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*$b", "(a|aa)+c", "(.*)*(.*)*(.*)*x"])
def test_a_pathological_pattern_does_not_hang(pattern: str) -> None:
    selection = Selection([SelectionRule(pattern, path_is_regex=True)], "/")
    assert not selection.includes(b"/".join([b"a" * 200] * 20))


def test_lists_that_select_everything_are_none() -> None:
    assert Selection.of([], "/") is None
    assert Selection.of([SelectionRule("src"), SelectionRule("")], "/") is None
    assert Selection.of([SelectionRule("", ("a",))], "/") is not None


NAMES = st.sampled_from(["a", "b", "ab", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.sampled_from(["", "a", "a.*", ".*b", "[ab]", "a/b", "(a|b)/.*", ".*", "/a", "/.*é", "x", "[^/]*", "a+b?"])
LISTS = st.builds(
    SelectionRule,
    path=st.one_of(PATHS, st.just("")),
    excluded=st.lists(PATHS, max_size=2).map(tuple),
) | st.builds(
    SelectionRule,
    path=PATTERNS,
    excluded=st.lists(PATTERNS.filter(bool), max_size=2).map(tuple),
    path_is_regex=st.just(True),
    excluded_is_regex=st.just(True),
)  # fmt: skip


def naively_selected(item: SelectionRule, path: str) -> bool:
    """Whether a list selects a path, by the rules as they are written, with Python's own expressions."""

    def names(text: str, is_regex: bool, candidate: str) -> bool:
        if not is_regex:
            return candidate == text.strip("/")
        return any(
            re.fullmatch(text, spelled, re.DOTALL)
            for spelled in ((candidate, f"/{candidate}") if "/" in text else (candidate,))
        )

    parts = path.split("/")
    downwards = ["/".join(parts[:count]) for count in range(len(parts) + 1)]
    for top in downwards:
        if names(item.path, item.path_is_regex, top):
            break
    else:
        return False
    for inner in downwards[downwards.index(top) + 1 :]:
        relative = inner[len(top) :].lstrip("/")
        if any(names(text, item.excluded_is_regex, relative) for text in item.excluded):
            return False
    return True


@given(st.lists(LISTS, min_size=1, max_size=3), st.lists(PATHS, min_size=1, max_size=8))
def test_the_selection_agrees_with_the_rules(lists: list[SelectionRule], paths: list[str]) -> None:
    selection = Selection(lists, "/")
    for path in paths:
        selected = selection.includes(path.encode())
        assert selected == any(naively_selected(item, path) for item in lists)
        for above in (path.rsplit("/", count)[0] for count in range(1, path.count("/") + 1)):
            assert not selected or selection.may_hold(above.encode())
