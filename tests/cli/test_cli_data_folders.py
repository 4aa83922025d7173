"""Data folders that can't be used, and disks that are full."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

from tests.cli.commandline import Command, tree


def test_a_folder_of_something_else_is_left_alone(command: Command, workspace: Path) -> None:
    before = tree(command.place)
    for arguments in (("context", "list"), ("sync", "workspace", "-c", "project"), ("info", "workspace")):
        other = command.place / "workspace" / "sub"
        sentence = command("--data", other, *arguments).failed()
        if arguments[0] != "sync":
            assert sentence.startswith(f"'{other}' is not a ctxmgr data folder: it holds 'b.txt'")
    assert tree(command.place) == before


def test_a_folder_of_a_newer_version(command: Command, workspace: Path) -> None:
    command.home.mkdir()
    (command.home / "ctxmgr.json").write_text('{"format": 99}')
    sentence = command.sync("workspace", "--json").sentence
    assert "has format 99" in sentence
    assert sentence.endswith("use the newer ctxmgr that wrote it")


def test_a_marker_that_is_damaged(command: Command) -> None:
    command.home.mkdir()
    (command.home / "ctxmgr.json").write_bytes(b"\xff\x00{")
    told = command("context", "list").failed()
    assert told.startswith(f"'{command.home / 'ctxmgr.json'}' is damaged: ")
    assert told.endswith("Restore it from a backup, or name another data folder")


LOOKING = [
    ("context", "list"),
    ("sync", "workspace", "-c", "project"),
    ("info", "workspace"),
    ("key", "list"),
    ("serve",),
]


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_a_marker_that_can_not_be_read_is_named_with_what_to_do(
    command: Command, workspace: Path, arguments: tuple[str, ...]
) -> None:
    (command.home / "ctxmgr.json").mkdir(parents=True)
    told = command(*arguments).failed()
    assert str(command.home / "ctxmgr.json") in told
    assert "Is a directory; a file belongs there: move the directory away, or restore the file from a backup" in told
    assert "Errno" not in told


def test_a_catalog_that_is_damaged(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (command.home / "catalog.db").write_bytes(b"no database at all" * 1000)
    for arguments in LOOKING:
        told = command(*arguments).failed()
        assert told.startswith(f"the catalog '{command.home / 'catalog.db'}' is damaged (")
        assert told.endswith("restore this file from a backup")


def test_a_catalog_that_is_lost(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    for file in command.home.glob("catalog.db*"):
        file.unlink()
    for arguments in LOOKING:
        told = command(*arguments).failed()
        assert told.startswith(f"the catalog '{command.home / 'catalog.db'}' is lost: ")
        assert "Restore catalog.db from a backup" in told


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_a_file_in_place_of_the_folder(command: Command, workspace: Path, arguments: tuple[str, ...]) -> None:
    command.home.write_text("a file")
    told = command(*arguments).failed()
    assert told == f"'{command.home}' is a file, and a directory is needed: name another data folder"


def test_a_folder_where_none_can_be_made(command: Command, workspace: Path) -> None:
    told = command.sync("workspace", "--data", "/proc/ctxmgr").failed()
    assert told.startswith("can't use '/proc/ctxmgr' as a data folder:")


def test_content_that_is_damaged_is_an_error_and_writes_no_wrong_byte(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    for pack in (command.home / "blobs" / "packs").rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(bytes(pack.stat().st_size))
    sentence = command.sync("copy", "--mode", "download").failed()
    assert sentence.startswith("the download failed: ")
    assert tree(command.place / "copy") == {}


def test_the_default_folder_is_the_platforms(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CTXMGR_HOME")
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, appauthor: str(command.place / name))
    command("context", "create", "one").succeeded()
    assert (command.place / "ctxmgr" / "ctxmgr.json").exists()


@pytest.mark.parametrize("arguments", [("context", "list"), ("sync", "workspace", "-c", "project"), ("key", "list")])
def test_an_empty_name_in_the_environment_is_not_the_default(
    command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CTXMGR_HOME", "")
    told = command(*arguments).failed()
    assert told == "CTXMGR_HOME is empty: name a folder, or leave it out for the user's own data folder"


def test_the_users_home_may_be_spelled_with_a_tilde(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(command.place))
    command("context", "create", "one", "--data", "~/data").succeeded()
    assert (command.place / "data" / "ctxmgr.json").exists()


def _on_a_small_disk(folder: Path, megabytes: int) -> list[str] | None:
    """A command line that runs another with a small disk mounted, which goes with it; None where that can't be."""
    script = f'mount -t tmpfs -o size={megabytes}m none "$0" && exec "$@"'
    line = ["unshare", "--mount", "sh", "-c", script, str(folder)]
    if shutil.which("unshare") is None or subprocess.run([*line, "true"], check=False, stderr=-3).returncode != 0:
        return None
    return line


def _with_files_of_at_most(size: int) -> list[str]:
    """A command line that runs another which can't write larger files."""
    return ["sh", "-c", f'ulimit -f {size // 512}; exec "$@"', "sh"]


def test_a_full_disk_is_told_and_what_was_there_stays_whole(command: Command, workspace: Path) -> None:
    disk = command.place / "disk"
    disk.mkdir()
    (workspace / "large").write_bytes(os.urandom(6_000_000))
    line = ("sync", "workspace", "-c", "project", "--data", str(disk / "data"), "--json")
    by = _on_a_small_disk(disk, 4)
    if by is not None:
        ended = command.separately(*line, by=by)
        reason = "No space left on device; make room on that disk, and try again"
    else:
        ended = command.separately(*line, by=_with_files_of_at_most(1_000_000))
        reason = "File too large; raise the limit on the size of files (ulimit -f), and try again"
    assert ended.status == 1
    assert ended.sentence.endswith(reason)
    assert repr(str(disk / "data" / "blobs")) in ended.sentence
    assert json.loads(ended.out)["error"] == ended.sentence
    if by is None:
        assert command(*line).document["success"] is True


def test_a_download_onto_a_full_disk_is_told(command: Command, workspace: Path) -> None:
    (workspace / "large").write_bytes(os.urandom(3_000_000))
    command.sync("workspace")
    limit = _with_files_of_at_most(2_000_000)
    sentence = command.separately("sync", "copy", "-c", "project", "--mode", "download", by=limit).failed()
    assert "File too large" in sentence
    assert not any(name.startswith(b".ctxmgr-tmp-") for name in tree(command.place / "copy"))
    assert command.sync("copy", "--mode", "download").status == 0
    assert tree(command.place / "copy") == tree(workspace)
