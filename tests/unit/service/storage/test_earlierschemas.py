"""Data folders that earlier versions wrote: they are read, go on, and are left usable by an upgrade that is cut off.

``data/schema3.tar.xz`` was written by the last version whose chunks belonged to all accounts and were not compressed:
contexts with two revisions, an empty file, one of several chunks, a link, files in a bundle and a zip archive that a
binding unpacked; and another account, which has one of the files too.
"""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from ctxmgr.service.catalog import versions
from ctxmgr.service.catalog.schemaversion import SCHEMA
from tests.unit.service.servicedoor import Door, binding, fill

SAME = "both accounts have this"
LARGE = "\0" * (5 << 20) + "the end"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with tarfile.open(Path(__file__).parent.parent / "data" / "schema3.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "data"


@pytest.fixture
def door(data: Path) -> Iterator[Door]:
    service = ContextService.open(data)
    yield Door(service)
    service.close()


def restored(door: Door, folder: Path, name: str, **policy: object) -> dict[str, str]:
    context = door.context(name)
    folder.mkdir()
    session = door.session(binding(context, "/", **policy), Root=str(folder))
    (task,) = door.info(session, TaskType="download")
    assert task["status"] == "Success", task["errorMessage"]
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_it_holds_is_restored(door: Door, tmp_path: Path) -> None:
    expected = {"a": "second", "deep/b": "deep content", "link": "deep content", "empty": "", "large": LARGE}
    assert restored(door, tmp_path / "there", "project") == expected | {"same": SAME}
    assert (tmp_path / "there" / "link").is_symlink()
    assert (tmp_path / "there" / "void").is_dir()


def test_it_is_whole_and_can_be_pruned(door: Door, tmp_path: Path) -> None:
    assert door.data("CheckStore", ReadData=True)["Damages"] == []
    door.data("PruneContexts", Retention={"keepLast": 1})
    checked = door.data("CheckStore", ReadData=True)
    assert (checked["Damages"], checked["UnusedPacks"]) == ([], 0)
    assert restored(door, tmp_path / "there", "project")["large"] == LARGE


def test_an_earlier_revision_is_restored(door: Door, tmp_path: Path) -> None:
    context = door.context("project")
    door.park(ContextId=context, TaskIds=door.data("RestoreContext", Id=context, Revision=1)["TaskIds"], WaitMs=30_000)
    assert restored(door, tmp_path / "there", "project")["a"] == "first"


def test_each_account_has_its_own_chunks(data: Path, door: Door, tmp_path: Path) -> None:
    other = Door(door.service, "another")
    assert restored(other, tmp_path / "other", "project") == {"same": SAME, "own": "mine alone"}
    with sqlite3.connect(data / "catalog.db") as catalog:
        counts = dict(catalog.execute("SELECT account, count(*) FROM chunks GROUP BY account"))
        stored = catalog.execute("SELECT count(*) FROM chunks WHERE stored != length").fetchone()
    catalog.close()
    assert counts["another"] == 2
    assert stored == (0,)


def test_bundles_and_archives_are_read_again(door: Door, tmp_path: Path) -> None:
    archive = {"uploadPolicy": {"uploadMode": "Archive"}}
    assert restored(door, tmp_path / "one", "bundled", **archive) == {name: name * 10 for name in "xyz"}
    unpacked = restored(door, tmp_path / "two", "zipped", extractPolicy={"extract": True})
    assert unpacked["z/member"] == "what was in the archive"


def test_an_upload_stores_only_what_is_new(data: Path, door: Door, tmp_path: Path) -> None:
    fill(tmp_path / "here", {"large": LARGE, "new": "new"})
    before = set(data.rglob("packs/*/*"))
    (task,) = door.sync(door.session(binding(door.context("project")), Root=str(tmp_path / "here")))
    assert task["status"] == "Success"
    (added,) = set(data.rglob("packs/*/*")) - before
    assert added.stat().st_size < 100


def test_an_upgrade_that_is_cut_off_leaves_it_as_it_was(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> list[str]:
        with sqlite3.connect(data / "catalog.db") as catalog:
            found = list(catalog.iterdump())
        catalog.close()
        return found

    def cut_off(*args: object) -> None:
        raise KeyboardInterrupt

    before = state()
    with monkeypatch.context() as patch:
        patch.setattr(versions, "_note", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ContextService.open(data)
    assert state() == before
    ContextService.open(data).close()
    assert f"VALUES('schema','{SCHEMA}')" in "".join(state())
