"""``ctxmgr context`` and ``ctxmgr file``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ctxmgr import Client
from tests.cli.commandline import Command

ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_no_contexts_yet_is_no_failure_and_makes_no_data_folder(command: Command) -> None:
    ended = command("context", "list")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err == "no contexts yet: 'ctxmgr sync DIR --context NAME' makes one\n"
    assert command("context", "list", "--json").document == {"success": True, "contexts": [], "error": None}
    assert not command.home.exists()


def test_contexts_are_created_listed_renamed_and_deleted(command: Command) -> None:
    assert command("context", "create", "two").succeeded() == "created two\n"
    assert command("context", "create", "one").succeeded() == "created one\n"
    assert re.fullmatch(rf"{ISO}  one\n{ISO}  two\n", command("context", "list").succeeded())
    assert command("context", "rename", "two", "three").succeeded() == "renamed two to three\n"
    assert command("context", "delete", "three", "--yes").succeeded() == "deleted three\n"
    assert re.fullmatch(rf"{ISO}  one\n", command("context", "list").succeeded())


def test_a_context_that_is_only_kept_for_a_directory_is_not_in_use(command: Command, workspace: Path) -> None:
    command.sync("workspace").succeeded()
    (told,) = command("context", "list", "--json").document["contexts"]
    assert told["state"] == "available"


def test_more_contexts_than_a_page_holds_are_all_listed(command: Command) -> None:
    with Client.local(command.home) as client:
        for number in range(105):
            client.contexts.create(f"context {number:03}").raise_for_error()
    listed = command("context", "list", "--json").document["contexts"]
    assert [context["name"] for context in listed] == [f"context {number:03}" for number in range(105)]


def test_creating_a_context_that_exists_fails(command: Command) -> None:
    command("context", "create", "one")
    assert command("context", "create", "one").failed() == "there is a context 'one' already"


def test_renaming_to_a_name_that_is_taken_fails(command: Command) -> None:
    command("context", "create", "one")
    command("context", "create", "two")
    assert command("context", "rename", "one", "two").failed().startswith("there is a context named 'two' already")


@pytest.mark.parametrize("arguments", [["rename", "gone", "other"], ["delete", "gone", "-y"]])
def test_a_context_that_does_not_exist_is_named(command: Command, arguments: list[str]) -> None:
    expected = "there is no context 'gone': 'ctxmgr context list' shows those there are"
    assert command("context", *arguments).failed() == expected
    assert not command.home.exists()


def test_delete_asks_only_on_a_terminal(command: Command) -> None:
    command("context", "create", "one")
    sentence = command.separately("context", "delete", "one").failed(2)
    assert "give --yes" in sentence
    assert sentence.endswith("see ctxmgr context delete --help")
    assert len(command("context", "list").out.splitlines()) == 1


def test_deleting_a_context_ends_the_sessions_that_were_kept_for_it(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    command("context", "delete", "project", "-y").succeeded()
    assert (workspace / "a.txt").exists()
    with Client.local(command.home) as client:
        assert list(client.sessions.iter()) == []


def test_files_are_listed_with_size_time_and_path(command: Command, workspace: Path) -> None:
    os.utime(workspace / "a.txt", (0, 86_400))
    (workspace / "new\nline").write_text("1")
    Path(os.fsdecode(b"workspace/bad\xff")).write_text("22")
    command.sync("workspace")
    lines = command("file", "list", "project").succeeded().splitlines()
    assert lines[0] == "    5  1970-01-02T00:00:00Z  /a.txt"
    assert [line.split("  ")[-1] for line in lines] == ["/a.txt", "/bad\\xff", "/new\\nline", "/sub/", "/sub/b.txt"]


def test_files_as_json_keep_their_names(command: Command, workspace: Path) -> None:
    Path(os.fsdecode(b"workspace/bad\xff")).write_text("22")
    command.sync("workspace")
    files = {os.fsencode(file["path"]): file for file in command("file", "list", "project", "--json").document["files"]}
    assert files[b"/bad\xff"]["size"] == 2
    assert files[b"/sub"]["type"] == "folder"


def test_more_files_than_a_page_holds_are_all_listed(command: Command, workspace: Path) -> None:
    for number in range(1100):
        (workspace / f"{number:04}").touch()
    command.sync("workspace")
    assert len(command("file", "list", "project").succeeded().splitlines()) == 1103


def test_files_of_an_empty_context(command: Command) -> None:
    command("context", "create", "one")
    ended = command("file", "list", "one")
    assert (ended.status, ended.out, ended.err) == (0, "", "one is empty\n")


def test_files_of_a_context_that_does_not_exist(command: Command) -> None:
    assert command("file", "list", "gone").failed().startswith("there is no context 'gone'")
    ended = command("file", "list", "gone", "--json")
    assert (ended.document["files"], ended.document["error"]) == ([], ended.sentence)
