"""Which folders are taken as data folders, and which are left alone."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ctxmgr.errors import DataFolderError
from ctxmgr.service import ContextService
from ctxmgr.service.datafolder import DataFolder


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


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    ContextService.open(tmp_path / "data").close()
    with sqlite3.connect(tmp_path / "data" / "catalog.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(DataFolderError, match="schema 99"):
        ContextService.open(tmp_path / "data")


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
