"""``ctxmgr sync``: what travels, what is told, and that nothing happens that was not asked for."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from ctxmgr import Client
from tests.cli.commandline import Command, tree


def test_upload_tells_what_was_uploaded_and_the_revision(command: Command, workspace: Path) -> None:
    assert command.sync("workspace").succeeded() == "uploaded 2 files (12.3 kB); revision 1 of project\n"


def test_second_upload_tells_that_nothing_changed(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    assert command.sync("workspace").succeeded() == "nothing changed: project is at revision 1\n"


def test_upload_tells_deletions_beside_files(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (workspace / "a.txt").unlink()
    assert command.sync("workspace").succeeded() == "deleted 1; revision 2 of project\n"
    (workspace / "sub" / "b.txt").unlink()
    (workspace / "c.txt").write_text("c")
    assert command.sync("workspace").succeeded() == "uploaded 1 file (1 B), deleted 1; revision 3 of project\n"


def test_upload_of_folders_alone_says_so(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (workspace / "empty").mkdir()
    assert command.sync("workspace").succeeded() == "changed folders only; revision 2 of project\n"


def test_download_restores_into_a_directory_that_it_makes_with_its_parents(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    ended = command.sync("over/there", "--mode", "download")
    assert ended.succeeded() == "downloaded 2 files (12.3 kB); revision 1 of project\n"
    assert tree(command.place / "over" / "there") == tree(workspace)


def test_download_of_what_is_there_tells_that_nothing_changed(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    ended = command.sync("workspace", "--mode", "download")
    assert ended.succeeded() == "nothing changed: project is at revision 1\n"


def test_download_of_a_context_that_does_not_exist_fails_and_makes_nothing(command: Command) -> None:
    sentence = command.sync("over/there", "--mode", "download").failed()
    assert sentence.startswith("there is no context 'project' to restore over/there from:")
    assert os.listdir(command.place) == []
    assert not command.home.exists()


def test_one_session_is_kept_for_a_directory_however_it_is_named(command: Command, workspace: Path) -> None:
    (command.place / "link").symlink_to("workspace")
    for name in ("workspace", "./workspace/", str(workspace), "link"):
        command.sync(name).succeeded()
    with Client.local(command.home) as client:
        assert len(list(client.sessions.iter())) == 1


def test_a_directory_and_a_context_each_have_their_own_session(command: Command, workspace: Path) -> None:
    command("sync", "workspace", "-c", "one").succeeded()
    command("sync", "workspace", "-c", "two").succeeded()
    command("sync", "elsewhere", "-c", "one", "--mode", "download").succeeded()
    with Client.local(command.home) as client:
        assert len(list(client.sessions.iter())) == 3


def test_a_context_made_anew_under_an_old_name_is_uploaded_in_full(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    command("context", "delete", "project", "--yes")
    assert command.sync("workspace").succeeded() == "uploaded 2 files (12.3 kB); revision 1 of project\n"


def test_upload_of_a_directory_that_lost_everything_is_refused(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    shutil.rmtree(workspace)
    workspace.mkdir()
    for more in ([], ["--dry-run"]):
        assert command.sync("workspace", *more).failed() == (
            "the directory is empty, and the upload would delete 2 of the 2 files in the context; nothing was changed: "
            "give --allow-mass-delete if that is meant for workspace, or --mode download to bring the files back"
        )
    assert command.sync("workspace", "--mode", "download").succeeded().startswith("downloaded 2 files")


@pytest.mark.parametrize("option", ["--allow-mass-delete", "--allow-empty"])
def test_upload_of_an_emptied_directory_can_be_meant(command: Command, workspace: Path, option: str) -> None:
    command.sync("workspace")
    shutil.rmtree(workspace)
    workspace.mkdir()
    assert command.sync("workspace", option).succeeded() == "deleted 3; revision 2 of project\n"


def test_first_upload_of_an_empty_directory_is_a_success(command: Command) -> None:
    (command.place / "workspace").mkdir()
    assert command.sync("workspace").succeeded() == "nothing changed: project\n"


def test_what_cannot_be_synced_is_named_and_the_rest_is_synced(command: Command, workspace: Path) -> None:
    os.mkfifo(workspace / "pi\npe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("workspace/socket")
        ended = command.sync("workspace")
    assert (ended.status, ended.out) == (0, "uploaded 2 files (12.3 kB); revision 1 of project\n")
    assert sorted(ended.err.splitlines()) == ["skipped pi\\npe: is a FIFO", "skipped socket: is a socket"]


def test_names_with_anything_in_them_travel(command: Command, workspace: Path) -> None:
    (workspace / "new\nline").write_text("1")
    Path(os.fsdecode(b"workspace/bad\xff")).write_text("2")
    (workspace / "back\\slash").write_text("3")
    command.sync("workspace").succeeded()
    command.sync("copy", "--mode", "download").succeeded()
    assert tree(command.place / "copy") == tree(workspace)


def test_a_directory_whose_own_name_is_not_utf8_is_synced_and_found_again(command: Command) -> None:
    name = os.fsdecode(b"caf\xe9\n")
    Path(name).mkdir()
    Path(name, "file").write_text("content")
    command.sync(name).succeeded()
    assert command.sync(name).succeeded().startswith("nothing changed")
    assert command("info", name).succeeded().startswith("project\n")


def test_json_tells_everything(command: Command, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    ended = command.sync("workspace", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert ended.document == {
        "success": True,
        "mode": "upload",
        "context": "project",
        "directory": str(workspace),
        "revision": 1,
        "files": 2,
        "deleted": 0,
        "bytes": 12_305,
        "nothing_to_sync": False,
        "skipped": [{"path": "pipe", "reason": "is a FIFO"}],
        "kept_local": 0,
        "conflicts": [],
        "conflicts_total": 0,
        "error": None,
    }
    assert command.sync("workspace", "--json").document["nothing_to_sync"] is True


def test_json_of_a_failure_has_the_same_keys_and_the_sentence(command: Command, workspace: Path) -> None:
    success = command.sync("workspace", "--json").document
    ended = command.sync("missing", "--json")
    assert ended.status == 1
    assert ended.document.keys() == success.keys()
    assert ended.document["success"] is False
    assert ended.document["error"] == ended.sentence


def test_json_keeps_names_that_are_not_utf8(command: Command, workspace: Path) -> None:
    os.mkfifo(os.fsdecode(b"workspace/bad\xff"))
    document = command.sync("workspace", "--json").document
    assert os.fsencode(document["skipped"][0]["path"]) == b"bad\xff"


def test_options_may_stand_before_the_command_too_and_the_later_one_counts(command: Command, workspace: Path) -> None:
    one, two = command.place / "one", command.place / "two"
    command("--data", one, "sync", "workspace", "-c", "project").succeeded()
    command("--data", one, "sync", "workspace", "-c", "project", "--data", two).succeeded()
    assert (one / "ctxmgr.json").exists()
    assert (two / "ctxmgr.json").exists()
    assert not command.home.exists()


def test_a_file_that_cannot_be_restored_where_something_else_lies_is_skipped(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    target = command.place / "copy"
    target.mkdir()
    os.mkfifo(target / "a.txt")
    ended = command.sync("copy", "--mode", "download")
    assert ended.status == 0
    assert "skipped a.txt: is a FIFO" in ended.err.splitlines()
    assert ended.out == "downloaded 1 file (12.3 kB); revision 1 of project\n"
