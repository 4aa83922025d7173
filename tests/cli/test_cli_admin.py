"""``ctxmgr admin copy``: what it takes and tells; what it copies is tested with the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from .commandline import Command, Terminal

PLACES = ("--from", "--to")


@pytest.fixture
def folders(command: Command, workspace: Path, tmp_path: Path) -> list[str]:
    """A data folder with a context of one file, and one that is to be made, as the command takes them."""
    (workspace / "file").write_text("content")
    command("sync", workspace, "--context", "project").succeeded()
    return ["--from", str(command.home), "--to", str(tmp_path / "copy")]


def test_it_tells_what_was_copied(command: Command, folders: list[str]) -> None:
    told = command("admin", "copy", *folders).succeeded()
    assert told.startswith(
        "copied and checked: 1 context with 1 revision and 4 versions of files and folders, 1 pack ("
    )
    assert command("check", "--read-data", "--data", folders[-1]).succeeded().startswith("all is whole: 1 pack")


def test_it_answers_in_json(command: Command, folders: list[str]) -> None:
    copied = command("admin", "copy", "--json", *folders).document
    assert (copied["success"], copied["packs"], copied["stored_packs"]) == (True, 1, 1)
    assert (copied["rows"]["contexts"], copied["rows"]["files"]) == (1, 4)
    refused = command("admin", "copy", "--json", *folders)
    assert refused.status == 1
    assert "is a complete copy of" in refused.document["error"]


def test_it_tells_progress_in_lines(command: Command, folders: list[str]) -> None:
    ended = command("admin", "copy", "--verbose", *folders)
    assert ended.status == 0
    assert "Copying the service: 100 %, 1/1 pack, " in ended.err


def test_on_a_terminal_it_draws_a_bar_of_packs(command: Command, folders: list[str]) -> None:
    terminal = Terminal("admin", "copy", *folders, place=command.place)
    assert terminal.end() == 0
    assert "1/1 pack" in terminal.plain


@pytest.mark.parametrize("missing", PLACES)
def test_both_ends_are_needed(command: Command, folders: list[str], missing: str) -> None:
    at = folders.index(missing)
    assert missing in command("admin", "copy", *folders[:at], *folders[at + 2 :]).failed(2)


@pytest.mark.parametrize("option", [*PLACES, "--from-catalog", "--from-store", "--to-catalog", "--to-store"])
def test_an_empty_value_is_refused(command: Command, folders: list[str], option: str) -> None:
    assert "it is empty" in command("admin", "copy", *folders, option, "").failed(2)


def test_a_third_place_is_refused(command: Command, folders: list[str]) -> None:
    assert "give --from and --to" in command("--data", "x", "admin", "copy", *folders).failed(2)


def test_a_password_is_in_no_answer(command: Command, folders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTXMGR_TO_CATALOG", "postgresql+psycopg://user:password@127.0.0.1:1/database")
    failed = command("admin", "copy", *folders).failed()
    assert "'postgresql+psycopg://127.0.0.1:1/database' can't be reached" in failed
    assert "password" not in failed
