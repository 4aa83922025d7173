"""Packs that are lost or damaged behind the catalog's back, and the uploads that store their content again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from ctxmgr.service.storage.blobstore import Pack
from tests.unit.service.servicedoor import Door, binding

pytestmark = pytest.mark.slow

ROUNDS = 25


def delete(pack: Path, at: float) -> None:
    pack.unlink()


def truncate(pack: Path, at: float) -> None:
    os.truncate(pack, int(pack.stat().st_size * at))


def zero(pack: Path, at: float) -> None:
    pack.write_bytes(bytes(pack.stat().st_size))


def flip(pack: Path, at: float) -> None:
    with pack.open("r+b") as file:
        file.seek(int(pack.stat().st_size * at))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))


DAMAGES = (delete, truncate, zero, flip)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


def packs(tmp_path: Path) -> list[Path]:
    return sorted(file for file in (tmp_path / "data" / "blobs" / "packs").rglob("*") if file.is_file())


def fill(folder: Path) -> dict[str, bytes]:
    """Two files of one chunk, one of many, and an empty one."""
    noise = random.Random(1)
    files = {
        "a": noise.randbytes(900),
        "deep/b": noise.randbytes(5000),
        "large": noise.randbytes(3 << 20),
        "empty": b"",
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return files


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def upload(door: Door, context: str, folder: Path, **policy: object) -> dict[str, object]:
    (task,) = door.sync(door.session(binding(context, "/", **policy), Root=str(folder)))
    return task


def restored(door: Door, context: str, folder: Path, **policy: object) -> dict[str, bytes]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    session = door.session(binding(context, "/", **policy), Root=str(folder))
    (task,) = door.info(session, TaskType="download")
    assert task["status"] == "Success", task["errorMessage"]
    return content(folder)


@pytest.mark.parametrize("damage", DAMAGES)
def test_uploading_the_tree_again_heals_damaged_packs_wherever_they_are_hit(
    door: Door, tmp_path: Path, damage: Callable[[Path, float], None]
) -> None:
    context = door.context()
    files = fill(tmp_path / "here")
    assert upload(door, context, tmp_path / "here")["status"] == "Success"
    for turn in range(ROUNDS):
        for pack in packs(tmp_path):
            damage(pack, turn / ROUNDS)
        # By turns: the very directory, unchanged; a copy that was never synced; the directory, touched.
        folder = tmp_path / ("here" if turn % 3 != 1 else f"copy{turn}")
        if turn % 3 == 1:
            shutil.copytree(tmp_path / "here", folder)
        elif turn % 3 == 2:
            os.utime(folder / "large", ns=(turn, turn))
        assert upload(door, context, folder)["status"] == "Success"
        assert restored(door, context, tmp_path / "there") == files


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_new_file_whose_content_was_stored_and_is_damaged_is_stored_again(
    door: Door, tmp_path: Path, damage: Callable[[Path, float], None]
) -> None:
    files = fill(tmp_path / "here")
    upload(door, door.context("first"), tmp_path / "here")
    (pack,) = packs(tmp_path)
    damage(pack, 0.5)
    context = door.context("second")
    shutil.copytree(tmp_path / "here", tmp_path / "copy")
    assert upload(door, context, tmp_path / "copy")["status"] == "Success"
    assert restored(door, context, tmp_path / "there") == files


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_was_changed_in_part_replaces_the_version_that_is_damaged(
    door: Door, tmp_path: Path, damage: Callable[[Path, float], None]
) -> None:
    context = door.context()
    files = fill(tmp_path / "here")
    upload(door, context, tmp_path / "here")
    for pack in packs(tmp_path):
        damage(pack, 0.5)
    files["large"] = files["large"][: 2 << 20] + b"another end"
    (tmp_path / "here" / "large").write_bytes(files["large"])
    assert upload(door, context, tmp_path / "here")["status"] == "Success"
    assert restored(door, context, tmp_path / "there") == files


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_single_file_that_is_uploaded_again_is_stored_again(
    door: Door, tmp_path: Path, damage: Callable[[Path, float], None]
) -> None:
    context = door.context()
    for _ in range(2):
        with door.service.write_file(context, "/single") as sent:
            sent.write(b"single" * 1000)
            sent.finish()
        read = b"".join(door.service.read_file(context, "/single").content)
        assert read == b"single" * 1000
        for pack in packs(tmp_path):
            damage(pack, 0.5)


def test_a_healed_pack_is_not_read_by_the_next_upload(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = door.context()
    fill(tmp_path / "here")
    upload(door, context, tmp_path / "here")
    flip(packs(tmp_path)[0], 0.5)
    upload(door, context, tmp_path / "here")
    store = door.service._runtime._packs
    monkeypatch.setattr(store, "read", lambda *args: pytest.fail("a pack was read"))
    assert upload(door, context, tmp_path / "here")["nothingToSync"]


def test_a_data_folder_that_was_copied_is_proven_once(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = door.context()
    fill(tmp_path / "here")
    upload(door, context, tmp_path / "here")
    (pack,) = packs(tmp_path)
    shutil.copyfile(pack, tmp_path / "copy")
    os.replace(tmp_path / "copy", pack)
    store = door.service._runtime._packs
    read: list[str] = []
    verify = store.verify

    def noted(pack: Pack) -> None:
        read.append(pack.name)
        verify(pack)

    monkeypatch.setattr(store, "verify", noted)
    for _ in range(2):
        assert upload(door, context, tmp_path / "here")["nothingToSync"]
    assert read == [pack.name]


def test_two_uploads_at_once_heal_the_same_pack(door: Door, tmp_path: Path) -> None:
    files = fill(tmp_path / "here")
    contexts = [door.context(name) for name in ("one", "two")]
    sessions = []
    for number, context in enumerate(contexts):
        shutil.copytree(tmp_path / "here", tmp_path / f"copy{number}")
        sessions.append(door.session(binding(context), Root=str(tmp_path / f"copy{number}")))
        door.sync(sessions[-1])
    for _ in range(5):
        for pack in packs(tmp_path):
            flip(pack, 0.3)
        begun = [(session, door.data("SyncContext", SessionId=session)["TaskIds"]) for session in sessions]
        assert [task["status"] for session, ids in begun for task in door.wait(session, ids)] == ["Success"] * 2
        assert [restored(door, context, tmp_path / "there") for context in contexts] == [files] * 2


@pytest.mark.parametrize("moment", ["BlobStore.put", "CatalogChunkIndex.add"])
def test_an_upload_that_is_killed_while_it_heals_is_completed_by_the_next(tmp_path: Path, moment: str) -> None:
    program = """
        import os, sys, threading
        from ctxmgr.service import ContextService
        from ctxmgr.service.storage import blobstore
        from ctxmgr.service.catalog import chunkindex
        owner, name = sys.argv[3].split(".")
        owner = getattr(blobstore, owner, None) or getattr(chunkindex, owner)
        original = getattr(owner, name)
        def die(*args):
            original(*args)
            os._exit(9)
        setattr(owner, name, die)
        service = ContextService.open(sys.argv[1])
        service.handle("SyncContext", {"SessionId": sys.argv[2], "Mode": "upload"})
        threading.Event().wait(60)
    """
    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    context = door.context()
    files = fill(tmp_path / "here")
    session = door.session(binding(context), Root=str(tmp_path / "here"))
    door.sync(session)
    for pack in packs(tmp_path):
        flip(pack, 0.5)
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "data"), session, moment]
    assert subprocess.run(command, timeout=60).returncode == 9
    (task,) = door.sync(session)
    assert task["status"] == "Success"
    assert restored(door, context, tmp_path / "there") == files
    service.close()


def test_what_another_workspace_must_heal_does_not_keep_this_one_from_uploading(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "here")
    upload(door, context, tmp_path / "here")
    for pack in packs(tmp_path):
        delete(pack, 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_bytes(b"mine")
    session = door.session(binding(context, "/", deletePolicy={"syncLocalFile": False}), Root=str(tmp_path / "other"))
    (task,) = door.sync(session)
    assert task["status"] == "Success"
    assert upload(door, context, tmp_path / "here")["status"] == "Success"
    assert restored(door, context, tmp_path / "there").keys() >= {"a", "deep/b", "large"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_files_that_are_stored_in_bundles_are_healed_or_the_upload_says_that_it_failed(
    door: Door, tmp_path: Path, damage: Callable[[Path, float], None]
) -> None:
    context = door.context()
    archive = {"uploadPolicy": {"uploadMode": "Archive"}}
    files = fill(tmp_path / "here")
    assert upload(door, context, tmp_path / "here", **archive)["status"] == "Success"
    for pack in packs(tmp_path):
        damage(pack, 0.5)
    task = upload(door, context, tmp_path / "here", **archive)
    if task["status"] == "Success":
        assert restored(door, context, tmp_path / "there", **archive) == files
    else:
        assert "damaged in the data folder" in str(task["errorMessage"])
