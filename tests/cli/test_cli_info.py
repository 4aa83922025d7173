"""``ctxmgr info``: how the last syncs of a directory went."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests.cli.commandline import Command

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_a_directory_nothing_is_kept_for_is_a_failure_that_tells_what_to_run(command: Command) -> None:
    expected = "no context is kept for workspace: run 'ctxmgr sync workspace --context NAME'"
    assert command("info", "workspace").failed() == expected
    assert not command.home.exists()


def test_last_upload_and_download_are_told_by_context(command: Command, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    command("sync", "workspace", "-c", "two")
    command("sync", "workspace", "-c", "one")
    command("sync", "workspace", "-c", "one", "--mode", "download")
    lines = command("info", "workspace").succeeded().splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["one", "two"]
    assert re.fullmatch(rf"  last upload: Success, {TIME}: 2 files \(12\.3 kB\); revision 1", lines[1])
    assert lines[2] == "    skipped pipe: is a FIFO"
    assert re.fullmatch(rf"  last download: Success, {TIME}: nothing to do; revision 1", lines[3])
    assert lines[-1] == "  last download: never"


def test_times_carry_a_zone_in_json_too(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (told,) = command("info", "workspace", "--json").document["contexts"]
    assert re.fullmatch(TIME, told["upload"]["start_time"])
    assert re.fullmatch(TIME, told["upload"]["finish_time"])
    key = command("key", "create", "laptop", "--json").document
    assert re.fullmatch(TIME, key["created"])
    assert (key["last_used"], key["revoked"]) == (None, None)
    assert re.search(rf"local  {TIME}  -  +good +laptop\n", command("key", "list").out)


def test_a_failure_is_told_with_its_reason(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    shutil.rmtree(command.home / "blobs" / "packs")
    failure = command.sync("copy", "--mode", "download").failed()
    reason = failure.removeprefix("the download failed: ")
    told = command("info", "copy").succeeded()
    assert re.search(rf"last download: Failed, {TIME}: {re.escape(reason)}\n", told)
    told_as_json = command("info", "copy", "--json").document["contexts"][0]["download"]
    assert (told_as_json["status"], told_as_json["error"]) == ("Failed", reason)


def test_a_directory_that_is_gone_is_still_known(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    shutil.rmtree(workspace)
    assert command("info", "workspace").succeeded().startswith("project\n  last upload: Success")


def test_a_deleted_context_is_not_told_of(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    command("context", "delete", "project", "-y")
    assert command("info", "workspace").failed().startswith("no context is kept")


def test_a_renamed_context_is_told_by_its_new_name(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    command("context", "rename", "project", "renamed")
    assert command("info", "workspace").succeeded().startswith("renamed\n")
    assert command("sync", "workspace", "-c", "renamed").succeeded().startswith("nothing changed")


def test_json_has_both_tasks_or_null(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (told,) = command("info", "workspace", "--json").document["contexts"]
    assert told["context"] == "project"
    assert told["download"] is None
    assert told["upload"]["status"] == "Success"
    assert (told["upload"]["files"], told["upload"]["bytes"], told["upload"]["revision"]) == (2, 12_305, 1)


def test_json_of_a_failure(command: Command) -> None:
    ended = command("info", "workspace", "--json")
    assert ended.status == 1
    assert ended.document == {
        "success": False,
        "directory": str(command.place / "workspace"),
        "contexts": [],
        "error": ended.sentence,
    }
