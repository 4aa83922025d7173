"""What the command says of conflicts and of kept local changes, and that what it says to do works."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commandline import Command, tree


@pytest.fixture
def other(command: Command, workspace: Path) -> Path:
    """A directory that has the context's files; since then a.txt has changed in the context."""
    command.sync("workspace").succeeded()
    command.sync("other", "--mode", "download").succeeded()
    (workspace / "a.txt").write_text("theirs")
    command.sync("workspace").succeeded()
    return command.place / "other"


def pasted(command: Command, told: str) -> None:
    """Run the command that a line ends with, as a shell would."""
    words = shlex.split(told.strip().rpartition("to get it: ")[2])
    assert words[0] == "ctxmgr"
    command(*words[1:]).succeeded()


def test_an_upload_names_each_conflict_and_how_to_get_the_other_version(command: Command, other: Path) -> None:
    (other / "a.txt").write_text("ours")
    first, second = command.sync("other").succeeded().splitlines()
    assert first == "uploaded 1 file (4 B); revision 3 of project"
    assert second == (
        "conflict in a.txt: local wins, the context had another version, which is in revision 2; "
        "to get it: ctxmgr file get --revision 2 -- project /a.txt a.txt.revision-2"
    )
    pasted(command, second)
    assert (command.place / "a.txt.revision-2").read_text() == "theirs"


def test_a_download_names_each_conflict_and_how_to_get_the_local_version(command: Command, other: Path) -> None:
    (other / "a.txt").write_text("ours")
    told = command.sync("other", "--mode", "download").succeeded()
    assert "conflict in a.txt: context wins, the directory had another version, which is in revision 3" in told
    pasted(command, told)
    assert (command.place / "a.txt.revision-3").read_text() == "ours"


def test_a_deletion_that_lost_is_named(command: Command, other: Path) -> None:
    (other / "a.txt").unlink()
    told = command.sync("other", "--mode", "download").succeeded()
    assert told.endswith("conflict in a.txt: context wins, the directory had deleted it\n")


def test_json_names_each_conflict(command: Command, other: Path) -> None:
    (other / "a.txt").write_text("ours")
    document = command.sync("other", "--json").document
    assert document["conflicts"] == [
        {"path": "a.txt", "winner": "local", "kind": "file", "revision": 2, "context_path": "/a.txt", "copy": None}
    ]
    assert (document["conflicts_total"], document["kept_local"]) == (1, 0)
    (info,) = command("info", "other", "--json").document["contexts"]
    assert info["upload"]["conflicts"] == document["conflicts"]
    assert "    conflict in a.txt: local wins" in command("info", "other").succeeded()


def test_the_command_to_paste_says_where_the_contexts_are(command: Command, tmp_path: Path) -> None:
    place = tmp_path / "a folder"
    for name in ("one", "two"):
        (command.place / name).mkdir()
        (command.place / name / "-it's $x").write_text(f"of {name}")
        told = command.sync(name, "--data", place).succeeded()
    pasted(command, told)
    assert (command.place / "-it's $x.revision-1").read_text() == "of one"


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe'", b"tab\t\\"], ids=["newline", "no UTF-8", "tab"])
def test_the_command_to_paste_works_for_names_that_can_not_be_shown(command: Command, name: bytes) -> None:
    for folder in ("one", "two"):
        (command.place / folder).mkdir()
        (Path(folder) / name.decode("utf-8", "surrogateescape")).write_text(f"of {folder}")
        told = command.sync(folder).succeeded()
    assert told.count("\n") == 2
    line = told.splitlines()[1].rpartition("to get it: ctxmgr ")[2]
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m ctxmgr {line}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    target = Path((name + b".revision-1").decode("utf-8", "surrogateescape"))
    assert target.read_text() == "of one"


def test_of_many_conflicts_the_first_are_named_and_the_others_counted(command: Command) -> None:
    for folder in ("one", "two"):
        (command.place / folder).mkdir()
        for number in range(30):
            (command.place / folder / f"{number:02}").write_text(folder)
        ended = command.sync(folder, "--dry-run")
        told = command.sync(folder).succeeded().splitlines()
    assert ended.out.count("conflict, changed in the context too") == 30
    assert len(told) == 22
    assert told[-1] == "and 10 more conflicts: --json names all"


def test_kept_local_changes_are_counted(command: Command, workspace: Path) -> None:
    command.sync("workspace").succeeded()
    (workspace / "a.txt").unlink()
    (workspace / "sub" / "b.txt").write_text("broken")
    kept = "; kept 2 local changes, which --force would give up\n"
    told = command.sync("workspace", "--mode", "download").succeeded()
    assert told == f"nothing changed: project is at revision 1{kept}"
    assert command.sync("workspace", "--mode", "download", "-n").succeeded() == f"would change nothing: project{kept}"
    assert command.sync("workspace", "--mode", "download", "--json").document["kept_local"] == 2


def test_force_restores_a_damaged_directory_and_keeps_what_was_there(command: Command, workspace: Path) -> None:
    before = tree(workspace)
    command.sync("workspace").succeeded()
    (workspace / "a.txt").unlink()
    (workspace / "sub" / "b.txt").write_text("broken")
    dry = command.sync("workspace", "--mode", "download", "--force", "--dry-run").succeeded()
    assert dry.endswith("would download 2 files (12.3 kB): project\n")
    told = command.sync("workspace", "--mode", "download", "--force").succeeded()
    assert told.startswith("downloaded 2 files (12.3 kB); revision 3 of project\nconflict in sub/b.txt: context wins")
    assert tree(workspace) == before
    pasted(command, told)
    assert (command.place / "b.txt.revision-2").read_text() == "broken"


def test_force_is_refused_for_an_upload_before_anything_is_made(command: Command, workspace: Path) -> None:
    assert command.sync("workspace", "--force").failed(2).startswith("--force goes with --mode download")
    assert not command.home.exists()


def test_a_file_is_fetched_as_it_is_and_as_it_was(command: Command, workspace: Path) -> None:
    command.sync("workspace").succeeded()
    (workspace / "a.txt").write_text("changed")
    command.sync("workspace").succeeded()
    told = command("file", "get", "project", "/a.txt", "now").succeeded()
    assert told == "downloaded /a.txt of project to now (7 B)\n"
    document = command("file", "get", "project", "/a.txt", "then", "--revision", "1", "--json").document
    assert (document["size"], document["revision"]) == (5, 1)
    assert (Path("now").read_text(), Path("then").read_text()) == ("changed", "hello")


def test_a_file_that_can_not_be_fetched_is_a_failure(command: Command, workspace: Path) -> None:
    command.sync("workspace").succeeded()
    assert "holds no file '/nothing'" in command("file", "get", "project", "/nothing", "x").failed()
    assert "there is no context 'none'" in command("file", "get", "none", "/a.txt", "x").failed()
    assert not Path("x").exists()
