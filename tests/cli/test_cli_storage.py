"""``ctxmgr stats``, ``check`` and ``prune``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.commandline import Command


@pytest.fixture
def grown(command: Command, workspace: Path) -> Command:
    """The command, with four revisions of a context ``project``."""
    for number in range(1, 5):
        (workspace / "changing").write_text(f"version {number}" * 100)
        command.sync("workspace").succeeded()
    return command


def packs(command: Command) -> list[Path]:
    return list((command.home / "blobs" / "packs").glob("??/*"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stats", ""),
        (
            "check",
            "all is whole: 0 packs, 0 chunks, 0 versions of files and 0 revisions (--read-data reads every byte too)\n",
        ),
    ],
)
def test_no_data_folder_is_made_to_look_at(command: Command, name: str, text: str) -> None:
    ended = command(name)
    assert (ended.status, ended.out) == (0, text)
    assert not command.home.exists()


def test_nothing_can_be_pruned_where_nothing_is(command: Command) -> None:
    assert command("prune").failed() == "there is nothing to prune: no contexts yet"
    assert not command.home.exists()


def test_stats_are_told_by_context_and_in_all(grown: Command) -> None:
    first, second = grown("stats").succeeded().splitlines()
    assert re.fullmatch(r"project: 4 revisions, \d files? \(.*\); .* with all versions, stored in .*", first)
    assert re.fullmatch(r"in all: 1 context, 4 revisions, .*deduplication saves .*, compression .*", second)
    document = grown("stats", "--json").document
    assert document["contexts"][0]["name"] == "project"
    assert document["contexts"][0]["retention"] == {}
    assert document["revisions"] == 4
    assert document["history_bytes"] - document["unique_bytes"] == document["saved_by_dedup"]


def test_a_whole_store_passes_its_check(grown: Command) -> None:
    assert re.fullmatch(
        r"all is whole: 4 packs, \d+ chunks, \d+ versions of files and 4 revisions \(every byte was read\)\n",
        grown("check", "--read-data").succeeded(),
    )


def test_a_damaged_store_is_a_failure_that_names_the_files(grown: Command) -> None:
    for pack in packs(grown):
        pack.unlink()
    ended = grown("check")
    assert (ended.status, ended.out) == (1, "")
    assert "can't be read: /changing in project, revision 1\n" in ended.err
    assert "can't be read: /changing in project, revision 4 and later\n" in ended.err
    assert ended.err.splitlines()[-1].endswith("--repair has the next sync store again what a directory still has")
    document = grown("check", "--json").document
    assert document["success"] is False
    assert {file["path"] for file in document["affected"]} >= {"/changing"}
    assert document["damages_total"] == len(document["damages"])


def test_a_repair_and_a_sync_bring_back_what_the_directory_has(grown: Command) -> None:
    for pack in packs(grown):
        pack.unlink()
    ended = grown("check", "--repair")
    assert ended.status == 1
    assert "chunks were taken out of the index: sync the directories that still have these files" in ended.err
    grown.sync("workspace")
    document = grown("check", "--read-data", "--json").document
    assert {(file["path"], file["last_revision"]) for file in document["affected"]} == {
        ("/changing", number) for number in (1, 2, 3)
    }


def test_a_prune_ends_what_no_rule_keeps(grown: Command) -> None:
    assert grown("prune", "--keep-last", "2", "--dry-run").succeeded().splitlines()[0] == (
        "project: would end 2 revisions, 2 kept"
    )
    lines = grown("prune", "--keep-last", "2").succeeded().splitlines()
    assert lines[0] == "project: ended 2 revisions, 2 kept"
    assert re.fullmatch(r"gave back .*", lines[1])
    assert grown("stats", "--json").document["revisions"] == 2


def test_rules_that_are_remembered_count_from_then_on(grown: Command, workspace: Path) -> None:
    document = grown("prune", "project", "--keep-last", "3", "--remember", "--json").document
    assert document["contexts"][0]["pruned"] == [1]
    (workspace / "changing").write_text("once more")
    grown.sync("workspace")
    assert grown("prune", "--json").document["contexts"][0]["pruned"] == [2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--keep-last", "-1"], "is not in the range"),
        (["--keep-within", "soon"], "write it as '30d', '12h' or '1y6m'"),
        (["--remember"], "--remember needs a --keep- rule"),
        (["--keep-last", "1", "--remember", "--dry-run"], "does not go with --dry-run"),
        (["--grace", "-5"], "is not in the range"),
    ],
)
def test_rules_that_are_none_are_wrong_usage(grown: Command, arguments: list[str], sentence: str) -> None:
    assert sentence in grown("prune", *arguments).failed(2)
    assert grown("stats", "--json").document["revisions"] == 4


def test_a_context_that_is_not_there_is_named(grown: Command) -> None:
    assert grown("prune", "gone", "--keep-last", "1").failed().startswith("there is no context 'gone'")
