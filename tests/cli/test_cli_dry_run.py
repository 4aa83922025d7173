"""``ctxmgr sync --dry-run``: tells what would be done, and leaves everything as it is."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.commandline import Command, tree


def test_upload_to_a_new_context_would_put_everything_and_makes_nothing(command: Command, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    ended = command.sync("workspace", "-n")
    assert ended.status == 0
    assert ended.err == "skipped pipe: is a FIFO\n"
    assert ended.out.splitlines() == [
        "upload a.txt (5 B)",
        "upload sub/",
        "upload sub/b.txt (12.3 kB)",
        "would upload 2 files (12.3 kB): the new context project",
    ]
    assert not command.home.exists()
    assert os.listdir(command.place) == ["workspace"]


def test_upload_to_a_context_that_is_there_tells_the_changes(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (workspace / "a.txt").unlink()
    (workspace / "new\nline").write_text("n")
    (workspace / "link").symlink_to("nowhere")
    assert command.sync("workspace", "-n").succeeded().splitlines() == [
        "delete a.txt",
        "upload link (link)",
        "upload new\\nline (1 B)",
        "would upload 2 files (1 B), delete 1: project",
    ]
    assert command.sync("workspace").succeeded().startswith("uploaded 2 files (1 B), deleted 1;")


def test_nothing_to_do_is_told(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    assert command.sync("workspace", "-n").succeeded() == "would change nothing: project\n"


def test_upload_from_another_directory_counts_without_a_session_being_kept(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    other = command.place / "other"
    other.mkdir()
    (other / "a.txt").write_text("another")
    told = command.sync("other", "-n").succeeded()
    assert "changed in the context too; that version stays in the context's history" in told
    assert command("info", "other").failed().startswith("no context is kept for other")


def test_download_into_a_missing_directory_would_write_everything_and_makes_nothing(
    command: Command, workspace: Path
) -> None:
    command.sync("workspace")
    told = command.sync("over/there", "--mode", "download", "-n").succeeded()
    assert told.splitlines()[-1] == "would download 2 files (12.3 kB): project"
    assert os.listdir(command.place) == ["workspace"]


def test_download_tells_what_it_would_replace(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    command.sync("copy", "--mode", "download")
    (workspace / "a.txt").write_text("theirs")
    command.sync("workspace")
    (command.place / "copy" / "a.txt").write_text("ours")
    before = tree(command.place)
    told = command.sync("copy", "--mode", "download", "-n").succeeded()
    assert told.splitlines() == [
        "download a.txt (6 B): conflict, changed here too; that version stays in the context's history",
        "would download 1 file (6 B): project",
    ]
    assert tree(command.place) == before


def test_download_from_a_missing_context_fails_as_the_download_would(command: Command) -> None:
    assert command.sync("there", "--mode", "download", "-n").failed() == (
        command.sync("there", "--mode", "download").failed()
    )


def test_a_name_no_context_can_have_fails_as_the_upload_would(command: Command, workspace: Path) -> None:
    dry = command("sync", "workspace", "-c", "a/b", "-n").failed()
    assert dry == command("sync", "workspace", "-c", "a/b").failed()
    assert "contains" in dry


def test_a_directory_that_cannot_be_made_fails_as_the_download_would(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    dry = command.sync("workspace/a.txt/below", "--mode", "download", "-n").failed()
    assert dry == command.sync("workspace/a.txt/below", "--mode", "download").failed()
    assert dry.endswith("a.txt is not a directory")


def test_json_tells_the_changes(command: Command, workspace: Path) -> None:
    document = command.sync("workspace", "-n", "--json").document
    assert document["success"] is True
    assert document["dry_run"] is True
    assert document["new_context"] is True
    assert (document["files"], document["deleted"], document["bytes"]) == (2, 0, 12_305)
    assert document["revision"] is None
    assert {"path": "a.txt", "action": "put", "kind": "file", "size": 5} in document["changes"]
    command.sync("workspace")
    document = command.sync("workspace", "-n", "--json").document
    assert document["nothing_to_sync"] is True
    assert document["unchanged"] == 2
