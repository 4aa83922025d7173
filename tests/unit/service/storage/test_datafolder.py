"""Which folders are taken as data folders, and which are left alone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ctxmgr.errors import DataFolderError
from ctxmgr.service import ContextService
from ctxmgr.service.storage.datafolder import DataFolder
from tests.unit.service.servicedoor import Door, Refused, binding, fill


def test_a_new_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path / "deep" / "data")
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.blobs.stat().st_mode) == 0o700
    assert json.loads((folder.root / "ctxmgr.json").read_text()) == {"format": 1}


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataFolderError, match=r"not a ctxmgr data folder.*thesis.txt"):
        ContextService.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_whose_making_was_cut_short_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ctxmgr.json.0123456789abcdef").write_text("")
    ContextService.open(tmp_path).close()


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match="file"):
        ContextService.open(tmp_path / "file")


@pytest.mark.parametrize("marker", ["", "[]", '{"format": true}', '{"format": 0}', "[" * 100_000])
def test_a_marker_that_says_nothing_is_refused(tmp_path: Path, marker: str) -> None:
    (tmp_path / "ctxmgr.json").write_text(marker)
    with pytest.raises(DataFolderError, match="marker"):
        ContextService.open(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ctxmgr.json").write_text('{"format": 2}')
    with pytest.raises(DataFolderError, match="format 2"):
        ContextService.open(tmp_path)


def test_a_catalog_that_is_no_database_is_refused(tmp_path: Path) -> None:
    DataFolder.open(tmp_path / "data")
    (tmp_path / "data" / "catalog.db").write_text("not a database" * 100)
    with pytest.raises(DataFolderError, match="catalog"):
        ContextService.open(tmp_path / "data")


def test_a_service_without_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="workers is 0"):
        ContextService.open(tmp_path / "data", workers=0)


def test_importing_the_service_imports_nothing_heavy() -> None:
    program = (
        "import sys, ctxmgr.service; print([n for n in ('sqlalchemy', 'obstore', 'filelock') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_a_catalog_that_was_lost_is_not_taken_for_a_fresh_folder(tmp_path: Path) -> None:
    kept(tmp_path)
    for file in (tmp_path / "data").glob("catalog.db*"):
        file.unlink()
    for _ in range(2):
        with pytest.raises(DataFolderError, match=r"catalog\.db' is lost.*Restore catalog\.db.*move .*blobs' away"):
            ContextService.open(tmp_path / "data")
    assert not (tmp_path / "data" / "catalog.db").exists()
    (tmp_path / "data" / "blobs").rename(tmp_path / "away")
    ContextService.open(tmp_path / "data").close()


@pytest.mark.parametrize("size", [0, 4096], ids=["empty", "without tables"])
def test_a_catalog_that_was_emptied_is_not_taken_for_a_fresh_one(tmp_path: Path, size: int) -> None:
    kept(tmp_path)
    catalog = tmp_path / "data" / "catalog.db"
    catalog.unlink()
    catalog.touch()
    if size:
        with sqlite3.connect(catalog) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    assert catalog.stat().st_size == size
    with pytest.raises(DataFolderError, match="is lost"):
        ContextService.open(tmp_path / "data")


def test_a_context_whose_packs_were_lost_says_which_file_cannot_be_read(tmp_path: Path) -> None:
    context = kept(tmp_path)
    shutil.rmtree(tmp_path / "data" / "blobs")
    service = ContextService.open(tmp_path / "data")
    (tmp_path / "there").mkdir()
    door = Door(service)
    session = door.session(binding(context), Root=str(tmp_path / "there"))
    (task,) = door.info(session, TaskType="download")
    service.close()
    assert task["status"] == "Failed"
    assert "the content of 'a' can't be read: pack" in task["errorMessage"]


def test_what_an_older_ctxmgr_left_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    kept(tmp_path)
    data = tmp_path / "data"
    for place in (data, data / "blobs", data / "locks", data / "catalog.db"):
        place.chmod(0o755)
    ContextService.open(data).close()
    for place in (data / "blobs", data / "locks", data / "catalog.db"):
        assert stat.S_IMODE(place.stat().st_mode) & 0o077 == 0, place


def test_nobody_else_can_read_what_is_made_in_a_folder_that_all_can_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    before = os.umask(0)
    try:
        service = ContextService.open(tmp_path / "data")
        fill(tmp_path / "here", {"a": "a"})
        door = Door(service)
        door.sync(door.session(binding(door.context()), Root=str(tmp_path / "here")))
        open_to_others = [
            str(path) for path in (tmp_path / "data").rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
        service.close()
    finally:
        os.umask(before)
    assert open_to_others == []


def test_a_catalog_that_another_process_writes_for_long_says_so_and_that_it_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.catalog.sqlite.BUSY_TIMEOUT_MS", 20)
    service = ContextService.open(tmp_path / "data")
    other = sqlite3.connect(tmp_path / "data" / "catalog.db")
    other.execute("INSERT INTO nodes (id, host, pid, started_ms) VALUES ('node-x', 'example', 4711, 0)")
    other.commit()
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused, match=r"try again; .* use the data folder are 4711 on example") as caught:
        Door(service).context()
    assert caught.value.code == "ServiceUnavailable.Busy"
    assert Door(service).data("ListContexts") == []
    other.rollback()
    other.close()
    Door(service).context()
    service.close()


def test_a_damaged_catalog_is_named_and_no_statement_reaches_logs_or_errors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = ContextService.open(tmp_path / "data")
    Door(service).context("a-name-that-nobody-may-see")
    service.close()
    catalog = tmp_path / "data" / "catalog.db"
    with sqlite3.connect(catalog) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'contexts'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    service = ContextService.open(tmp_path / "data")
    with catalog.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(Refused, match=r"catalog\.db' is damaged .*malformed.*restore this file from a backup"):
        Door(service).context("a-name-that-nobody-may-see")
    service.close()
    assert "is damaged" in caplog.text
    assert "SELECT" not in caplog.text
    assert "a-name-that-nobody-may-see" not in caplog.text


def test_a_folder_whose_marker_belongs_to_another_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ContextService.open(tmp_path / "data").close()

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    # The superuser, as whom tests may run, can read any file.
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataFolderError, match=r"data' can't be read: ctxmgr\.json in it belongs to another user"):
        DataFolder.open(tmp_path / "data")


def test_a_file_in_the_place_of_a_directory_is_named(tmp_path: Path) -> None:
    DataFolder.open(tmp_path / "data")
    (tmp_path / "data" / "nodes").rmdir()
    (tmp_path / "data" / "nodes").write_text("")
    with pytest.raises(DataFolderError, match=r"nodes' is a file, and a directory is needed"):
        DataFolder.open(tmp_path / "data")


def kept(tmp_path: Path) -> str:
    """Make a data folder with a context that holds a file; its id."""
    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    fill(tmp_path / "here", {"a": "a"})
    context = door.context()
    door.sync(door.session(binding(context), Root=str(tmp_path / "here")))
    service.close()
    return context
