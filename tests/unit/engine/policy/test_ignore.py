"""Patterns in gitignore's syntax: what they exclude, and what becomes of that on both sides."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.engine.policy.ignore import MAX_IGNORE_FILE, Ignores, check_patterns
from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, Refused, binding, fill, tree

TREE = [
    "a.log", "a.txt", "build/out.o", "build/keep.txt", "docs/build/x", "docs/a.log", "docs/keep.log", "src/build",
    "src/deep/a.log", "src/deep/er/b.log", "keep/x.log", "#hash", "!bang", "a b", "[x]",
    "tmp/one/two/three", "tmp/four",
]  # fmt: skip
FILES = [
    {"": "*.log\n!keep.log\n"},
    {"": "build\n"},
    {"": "build/\n"},
    {"": "/build\n"},
    {"": "docs/build\n"},
    {"": "**/deep/*.log\n"},
    {"": "src/**/b.log\n"},
    {"": "tmp/**\n!tmp/four\n"},
    {"": "tmp/*\n!tmp/one\n"},
    {"": "tmp/\n!tmp/four\n"},
    {"": "*\n!*/\n!*.log\n"},
    {"": "*\n!/docs\n"},
    {"": "\\#hash\n\\!bang\n# a comment\n\n"},
    {"": "a\\ b\n[[]x]\na.tx?\n"},
    {"": "[a-\n!\n/\n"},
    {"": "*.log\n", "docs": "!*.log\n"},
    {"": "*.log\n", "keep": "!keep\n", "src/deep": "!a.log\n/b.log\n"},
    {"": "build\n", "docs": "!build\n", "src": "!build/\n"},
    {"": "*.log \r\n!a.log\r\n"},
    {"": "\ufeff*.txt\n"},
    {"docs": "/a.log\nbuild/\n", "src": "deep/er\n"},
]


@pytest.mark.parametrize("files", FILES)
def test_what_is_excluded_is_what_git_ignores(tmp_path: Path, files: dict[str, str]) -> None:
    fill(tmp_path, dict.fromkeys(TREE, ""))
    ignores = Ignores()
    for directory in sorted(files):
        (tmp_path / directory / ".gitignore").write_text(files[directory], newline="")
        ignores.add(directory.encode(), files[directory].encode())
    folders = {str(above) for path in TREE for above in Path(path).parents} - {"."}
    asked = [*TREE, *sorted(folders)]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    command = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(tmp_path)]
    told = subprocess.run(
        [*command, "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(asked).encode(),
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    ours = {path for path in asked if ignores.rule(path.encode(), path in folders) is not None}
    assert ours == {os.fsdecode(path) for path in told.split(b"\0") if path}


def test_a_rule_says_where_it_stands() -> None:
    ignores = Ignores(["*.tmp"])
    ignores.add(b"", b"# logs\n*.log\n")
    ignores.add(b"sub", b"\n\nbuild/\n")
    assert str(ignores.rule(b"sub/x/a.log", False)) == "'*.log' (.ctxignore, line 2)"
    assert str(ignores.rule(b"sub/build/x", False)) == "'build/' (sub/.ctxignore, line 3)"
    assert str(ignores.rule(b"a.tmp", False)) == "'*.tmp' (exclude)"
    assert ignores.rule(b"build/x", False) is None


def test_patterns_that_a_request_names_come_before_those_of_files() -> None:
    ignores = Ignores(["!keep.log", "*.bin"])
    ignores.add(b"", b"*.log\n!*.bin\n")
    assert [ignores.rule(name, False) is None for name in (b"keep.log", b"other.log", b"a.bin")] == [True, False, False]


def test_names_are_bytes_as_in_git() -> None:
    ignores = Ignores()
    ignores.add(b"", b"\xff?\n")
    assert ignores.rule(b"\xff\xfe", False) is not None
    assert ignores.rule(b"\xff\xc3\xa9", False) is None


def test_no_pattern_takes_longer_than_its_text() -> None:
    ignores = Ignores(["*a" * 400 + "b"])
    assert ignores.rule(b"a" * 255, False) is None


def test_a_very_deep_path_is_no_trouble() -> None:
    ignores = Ignores(["x"])
    assert ignores.rule(b"/".join([b"d"] * 3000), False) is None
    assert ignores.rule(b"/".join([b"d"] * 2000 + [b"x"] + [b"d"] * 2000), False) is not None


@pytest.mark.parametrize("text", [b"x\n" + b"y" * 1001, b"x" * (MAX_IGNORE_FILE + 1)])
def test_a_file_beyond_all_sense_is_named(text: bytes) -> None:
    with pytest.raises(WorkspaceError, match=r"'sub/\.ctxignore' in the workspace has more than"):
        Ignores().add(b"sub", text)


@pytest.mark.parametrize("pattern", ["", "# note", "!", "/", "x" * 1001, "[a-"])
def test_a_pattern_that_would_exclude_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ServiceError, match="the parameter Exclude is"):
        check_patterns("Exclude", ["*.log", pattern])


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


PROJECT = {".ctxignore": "*.log\n/out/\n", "a": "a", "a.log": "l", "out/x": "x", "src/b": "b", "src/b.log": "l"}


def at(door: Door, context: str, root: Path, **policy: object) -> str:
    root.mkdir(exist_ok=True)
    return door.session(binding(context, "/", **policy), Root=str(root))


def test_an_upload_leaves_out_what_is_ignored(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT | {"src/.ctxignore": "!b.log\n"})
    session = at(door, context, tmp_path / "w")
    (done,) = door.sync(session)
    assert done["status"] == "Success", done
    assert door.files(context) == ["/.ctxignore", "/a", "/src", "/src/.ctxignore", "/src/b", "/src/b.log"]
    assert door.sync(session)[0]["nothingToSync"]


def test_what_was_uploaded_before_it_was_ignored_stays_untouched_on_both_sides_and_is_said_once(
    door: Door, tmp_path: Path
) -> None:
    context = door.context()
    before = {path: text for path, text in PROJECT.items() if path != ".ctxignore"}
    fill(tmp_path / "w", before)
    session = at(door, context, tmp_path / "w")
    door.sync(session)
    other = at(door, context, tmp_path / "other")
    fill(tmp_path / "w", PROJECT | {"a.log": "mine", "out/x": "mine"})
    (tmp_path / "w/src/b.log").unlink()
    (done,) = door.sync(session)
    assert (done["files"], done["deleted"]) == (1, 0)
    assert done["skipped"] == [
        ["a.log", "is excluded by '*.log' (.ctxignore, line 1) and stays in the context as it is, with 1 more"],
        ["out/x", "is excluded by '/out/' (.ctxignore, line 2) and stays in the context as it is"],
    ]
    assert door.sync(session)[0]["skipped"] == []
    fill(tmp_path / "other", before | {"a.log": "of the other", "out/x": "of the other"})
    door.sync(other)
    (done,) = door.sync(session, "download")
    assert (done["status"], done["skipped"]) == ("Success", [])
    expected = {**PROJECT, "a.log": "mine", "out/x": "mine"}
    del expected["src/b.log"]
    assert tree(tmp_path / "w") == expected


def test_a_restore_into_a_new_directory_brings_all_that_the_context_holds(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", {"a.log": "l"})
    session = at(door, context, tmp_path / "w")
    door.sync(session)
    fill(tmp_path / "w", {"a.log": "l", ".ctxignore": "*.log\n"})
    door.sync(session)
    at(door, context, tmp_path / "fresh")
    assert tree(tmp_path / "fresh") == {"a.log": "l", ".ctxignore": "*.log\n"}


def test_a_discarding_download_removes_nothing_that_is_ignored(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT)
    session = at(door, context, tmp_path / "w")
    door.sync(session)
    fill(tmp_path / "w", PROJECT | {"new": "n", "out/y": "y"})
    (done,) = door.sync(session, "download", DiscardLocal="true")
    assert done["status"] == "Success", done
    assert tree(tmp_path / "w") == PROJECT | {"out/y": "y"}


def test_a_directory_of_the_context_with_something_ignored_in_it_stays_though_it_is_gone_locally(
    door: Door, tmp_path: Path
) -> None:
    context = door.context()
    fill(tmp_path / "w", {"src/b": "b", "src/b.log": "l", "c": "c"})
    session = at(door, context, tmp_path / "w")
    door.sync(session)
    fill(tmp_path / "w", {"c": "c", ".ctxignore": "*.log\n"})
    (tmp_path / "w/src").rmdir()
    door.sync(session)
    assert door.files(context) == ["/.ctxignore", "/c", "/src", "/src/b.log"]


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_file_where_the_other_side_has_an_ignored_directory_is_skipped_and_nothing_is_lost(
    door: Door, tmp_path: Path, mode: str
) -> None:
    context = door.context()
    rules = {".ctxignore": "out/\n"}
    one, two = (
        {"out/x": "x"}, {"out": "a file", **rules}) if mode == "upload" else ({"out": "a file"}, {"out/x": "x", **rules}
    )  # fmt: skip
    fill(tmp_path / "one", one)
    door.sync(at(door, context, tmp_path / "one"))
    fill(tmp_path / "two", two)
    session = door.session(binding(context, "/", downloadPolicy={"autoDownload": False}), Root=str(tmp_path / "two"))
    (done,) = door.sync(session, mode)
    assert done["status"] == "Success", done
    assert "out" in dict(done["skipped"])
    assert tree(tmp_path / "two") == two
    assert ("/out/x" if mode == "upload" else "/out") in door.files(context)


def test_a_policy_excludes_by_patterns_of_its_own(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT)
    session = at(door, context, tmp_path / "w", exclude=["src/", "!a.log"])
    door.sync(session)
    assert door.files(context) == ["/.ctxignore", "/a", "/a.log"]
    with pytest.raises(Refused, match=r"Policy\.exclude"):
        at(door, context, tmp_path / "w", exclude=["#"])


def test_one_sync_excludes_more_than_the_policy(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT)
    session = at(door, context, tmp_path / "w", exclude=["src/"])
    door.sync(session, Exclude=["/a"])
    assert door.files(context) == ["/.ctxignore"]
    door.sync(session)
    assert door.files(context) == ["/.ctxignore", "/a"]


def test_white_lists_and_ignore_files_hold_together(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT | {"src/.ctxignore": "/c\n", "src/c": "c"})
    door.sync(at(door, context, tmp_path / "w", bwList={"whiteLists": [{"path": "src"}]}))
    assert door.files(context) == ["/src", "/src/.ctxignore", "/src/b"]


def test_a_sync_of_a_part_heeds_the_ignore_files_above_it(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", PROJECT)
    door.sync(at(door, context, tmp_path / "w"), Path="/src")
    assert door.files(context) == ["/src", "/src/b"]


def test_an_archive_that_is_ignored_is_not_unpacked(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "w", {"x": "x"})
    subprocess.run(["tar", "-czf", tmp_path / "w/pack.tgz", "-C", tmp_path / "w", "x"], check=True)
    door.sync(at(door, context, tmp_path / "w"))
    at(door, context, tmp_path / "two", extractPolicy={"extract": True}, exclude=["*.tgz"])
    assert tree(tmp_path / "two") == {"x": "x"}


def test_a_link_or_a_fifo_of_that_name_is_no_ignore_file(door: Door, tmp_path: Path) -> None:
    fill(tmp_path / "w", {"rules": "*\n", "sub/x": "x"})
    (tmp_path / "w/.ctxignore").symlink_to("rules")
    os.mkfifo(tmp_path / "w/sub/.ctxignore")
    context = door.context()
    door.sync(at(door, context, tmp_path / "w"))
    assert door.files(context) == ["/.ctxignore", "/rules", "/sub", "/sub/x"]


def test_an_ignore_file_that_cannot_be_read_fails_the_sync_and_names_it(door: Door, tmp_path: Path) -> None:
    fill(tmp_path / "w", {"x": "x", ".ctxignore": "y" * 1001})
    (done,) = door.sync(at(door, door.context(), tmp_path / "w"))
    assert done["status"] == "Failed"
    assert "'.ctxignore' in the workspace has more than 1000 characters in line 1" in done["errorMessage"]


def test_special_files_that_are_ignored_are_not_told_of(door: Door, tmp_path: Path) -> None:
    fill(tmp_path / "w", {".ctxignore": "pipe\n"})
    os.mkfifo(tmp_path / "w/pipe")
    (done,) = door.sync(at(door, door.context(), tmp_path / "w"))
    assert done["skipped"] == []
    assert stat.S_ISFIFO((tmp_path / "w/pipe").stat().st_mode)


def test_a_plan_says_which_rule_leaves_out_what(door: Door, tmp_path: Path) -> None:
    fill(tmp_path / "w", PROJECT | {"src/.ctxignore": "\n!b.log\n"})
    session = at(door, door.context(), tmp_path / "w", bwList={"whiteLists": [{"excludePaths": ["a"]}]})
    told = door.data("PlanSync", SessionId=session, Exclude=["src/b"])
    assert [(each["path"], each["pattern"], each["source"], each["line"]) for each in told["Excluded"]] == [
        ("a", "", "", 0),
        ("a.log", "*.log", ".ctxignore", 1),
        ("out/", "/out/", ".ctxignore", 2),
        ("src/b", "src/b", "", 0),
    ]
    assert told["ExcludedTotal"] == 4
