"""What users get wrong: one sentence, the right exit status, and nothing changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ctxmgr.cli.app import command as click_command
from ctxmgr.cli.commands import COMMANDS, load
from tests.cli.commandline import Command


@pytest.fixture
def without_power() -> list[str]:
    """A command line that runs another without root's power to read and write everything."""
    if os.geteuid() != 0:
        return []
    line = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*line, "true"], check=False).returncode != 0:
        pytest.skip("NOT TESTED: root reads and writes everything, and setpriv can't take that power away here")
    return line


def test_a_missing_directory(command: Command) -> None:
    assert command.sync("missing").failed() == "missing does not exist: name the directory to upload"
    assert not command.home.exists()


def test_an_empty_directory_name_is_not_the_working_directory(command: Command, workspace: Path) -> None:
    assert command.sync("").failed(2) == "Invalid value for 'DIR': it is empty; see ctxmgr sync --help"


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_file_in_place_of_the_directory(command: Command, workspace: Path, mode: str) -> None:
    command.sync("workspace")
    expected = "workspace/a.txt can't be used: it is not a directory"
    assert command.sync("workspace/a.txt", "--mode", mode).failed() == expected


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_symlink_loop_in_place_of_the_directory(command: Command, workspace: Path, mode: str) -> None:
    command.sync("workspace")
    (command.place / "loop").symlink_to("loop")
    assert command.sync("loop", "--mode", mode).failed() == "loop can't be used: Too many levels of symbolic links"


def test_a_symlink_loop_in_the_directory_is_kept_as_it_is(command: Command, workspace: Path) -> None:
    (workspace / "loop").symlink_to("loop")
    command.sync("workspace").succeeded()
    command.sync("copy", "--mode", "download").succeeded()
    assert os.readlink(command.place / "copy" / "loop") == "loop"


def test_a_file_in_the_way_of_a_new_directory(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    sentence = command.sync("workspace/a.txt/below", "--mode", "download").failed()
    assert sentence == f"workspace/a.txt/below can't be used: {workspace}/a.txt is not a directory"


def test_a_directory_name_that_no_file_system_takes(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    for mode in ("upload", "download"):
        assert "File name too long" in command.sync("x" * 300, "--mode", mode).failed()


@pytest.mark.parametrize("unreadable", ["workspace", "workspace/sub", "workspace/a.txt"])
def test_what_cannot_be_read_is_named(
    command: Command, workspace: Path, without_power: list[str], unreadable: str
) -> None:
    path = command.place / unreadable
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        for more in ([], ["--dry-run"]):
            told = command.separately("sync", "workspace", "-c", "project", *more, by=without_power).failed()
            assert "Permission denied; give this user the right to it, or leave it out" in told
            assert "InternalError" not in told
            assert path.name in told
    finally:
        path.chmod(mode)


def test_a_directory_that_cannot_be_written(command: Command, workspace: Path, without_power: list[str]) -> None:
    command.sync("workspace")
    locked = command.place / "locked"
    locked.mkdir(mode=0o500)
    line = ("sync", "locked/below", "-c", "project", "--mode", "download")
    told = command.separately(*line, by=without_power).failed()
    assert told == "locked/below can't be made: Permission denied; give this user the right to it, or leave it out"


def test_a_data_folder_that_cannot_be_written(command: Command, workspace: Path, without_power: list[str]) -> None:
    locked = command.place / "locked"
    locked.mkdir(mode=0o500)
    line = ("sync", "workspace", "-c", "project", "--data", "locked/data")
    sentence = command.separately(*line, by=without_power).failed()
    assert "Permission denied" in sentence
    assert "locked/data" in sentence


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "the name of the context is blank"),
        (" ", "the name of the context is blank"),
        ("x" * 10_000, "it has 10000 characters, and at most 255 are allowed"),
        ("a/b", 'it contains "/"'),
        ("a\nb", "it contains a control character"),
        ("a\x1b[31mb", "it contains a control character"),
        (os.fsdecode(b"a\xff"), "is not UTF-8"),
    ],
)
def test_names_that_no_context_can_have(command: Command, workspace: Path, name: str, told: str) -> None:
    assert told in command("sync", "workspace", "-c", name).failed()
    assert told in command("context", "create", name).failed()
    command("context", "create", "fine")
    assert told in command("context", "rename", "fine", name).failed()
    assert command("context", "list", "--json").document["contexts"][0]["name"] == "fine"


@pytest.mark.parametrize("name", ["x" * 10_000, "a/b", "a\nb\x1b[31m"])
def test_names_that_no_context_has(command: Command, name: str) -> None:
    command("context", "create", "fine")
    for arguments in (("file", "list", name), ("context", "delete", name, "-y")):
        sentence = command(*arguments).failed()
        assert sentence.startswith("there is no context '")
        assert len(sentence) < 200


def test_the_data_folder_in_the_directory_is_refused_before_anything_is_made(command: Command, workspace: Path) -> None:
    sentence = command("sync", "workspace", "-c", "project", "--data", "workspace/.data").failed()
    assert "lie one in the other" in sentence
    assert not (workspace / ".data").exists()


def test_the_directory_in_the_data_folder_is_refused(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    for more in ([], ["-n"], ["--mode", "download"], ["--mode", "download", "-n"]):
        assert "lie one in the other" in command.sync(command.home / "blobs", *more).failed()


@pytest.mark.parametrize(
    ("arguments", "named", "where"),
    [
        (["sync"], "'DIR'", "ctxmgr sync"),
        (["sync", "workspace"], "'--context'", "ctxmgr sync"),
        (["bogus"], "'bogus'", "ctxmgr"),
        (["context", "bogus"], "'bogus'", "ctxmgr context"),
        (["sync", "--bogus"], "--bogus", "ctxmgr sync"),
        (["context", "list", "extra"], "(extra)", "ctxmgr context list"),
        (["--data", "", "context", "list"], "'--data'", "ctxmgr"),
        (["context", "list", "--data", ""], "'--data'", "ctxmgr context list"),
        (["sync", "workspace", "-c", "project", "--data", ""], "'--data'", "ctxmgr sync"),
        (["info", "workspace", "--data", ""], "'--data'", "ctxmgr info"),
        (["file", "list", "project", "--data", ""], "'--data'", "ctxmgr file list"),
        (["serve", "--data", ""], "'--data'", "ctxmgr serve"),
        (["key", "create", "laptop", "--data", ""], "'--data'", "ctxmgr key create"),
        (["key", "list", "--data", ""], "'--data'", "ctxmgr key list"),
        (["key", "revoke", "laptop", "--data", ""], "'--data'", "ctxmgr key revoke"),
        (["context", "list", "--endpoint", ""], "'--endpoint'", "ctxmgr context list"),
    ],
)
def test_wrong_usage_is_one_sentence_with_where_to_read_on(
    command: Command, arguments: list[str], named: str, where: str
) -> None:
    told = command(*arguments).failed(2)
    assert named in told
    assert told.endswith(f"; see {where} --help")


def test_an_unknown_mode(command: Command) -> None:
    told = command.sync("workspace", "--mode", "sideways").failed(2)
    assert "'sideways' is not one of 'upload', 'download'" in told


def test_two_places_at_once(command: Command) -> None:
    told = command("--data", "here", "--endpoint", "http://there", "context", "list").failed(2)
    assert told == "--data and --endpoint name two places: give one of them; see ctxmgr context list --help"


@pytest.mark.parametrize("group", [[], ["context"], ["file"]])
def test_no_command_shows_the_help_and_is_no_success(command: Command, group: list[str]) -> None:
    ended = command(*group)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ctxmgr")


def test_version_and_help(command: Command) -> None:
    import ctxmgr

    assert command("--version").succeeded() == f"ctxmgr {ctxmgr.__version__}\n"
    assert command("-h").succeeded().startswith("Usage: ctxmgr")
    assert not command.home.exists()


def test_every_command_and_option_has_a_help(command: Command) -> None:
    def walk(commands: Mapping[str, click.Command], path: list[str]) -> None:
        for name, each in commands.items():
            assert each.help, name
            assert all(parameter.help for parameter in each.params if isinstance(parameter, click.Option)), name
            assert command(*path, name, "--help").status == 0
            if isinstance(each, click.Group):
                walk(each.commands, [*path, name])

    walk({name: load(name) for name in COMMANDS}, [])


def test_the_list_of_commands_has_the_first_line_of_each_help() -> None:
    assert {name: load(name).get_short_help_str(100) for name in COMMANDS} == COMMANDS


def test_click_itself_runs_it_to_the_same_end(command: Command, workspace: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(click_command, ["sync", "workspace", "-c", "project"])
    assert (done.exit_code, done.output) == (0, "uploaded 2 files (12.3 kB); revision 1 of project\n")
    failed = runner.invoke(click_command, ["sync", "missing", "-c", "project"])
    assert (failed.exit_code, failed.output) == (1, "ctxmgr: missing does not exist: name the directory to upload\n")
    assert runner.invoke(click_command, ["bogus"]).exit_code == 2
