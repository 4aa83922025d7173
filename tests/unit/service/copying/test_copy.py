"""A service that was copied is the same in its new places, and goes on there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ctxmgr.service.copying.copy import copy_service
from ctxmgr.service.copying.ends import Place
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.signing import DOWNLOAD, Grant
from tests.support.servers import Database
from tests.unit.service.copying.original import Original, contents, opened, rows
from tests.unit.service.servicedoor import Door, fill

pytestmark = pytest.mark.slow


@pytest.fixture
def original(tmp_path: Path) -> Original:
    return Original(tmp_path)


@pytest.fixture
def served(empty_database: Database, bucket: str, tmp_path: Path) -> Place:
    """An empty database and an empty store."""
    return Place(tmp_path / "served", empty_database.url, bucket)


def assert_whole(door: Door) -> None:
    checked = door.data("CheckStore", ReadData=True)
    assert (checked["Damages"], checked["Affected"], checked["UnusedPacks"]) == ([], [], 0)


def test_a_service_is_the_same_in_postgresql_and_s3_and_in_a_folder_again(
    original: Original, served: Place, tmp_path: Path
) -> None:
    back = Place(tmp_path / "back")
    there = copy_service(original.place, served)
    assert rows(served) == rows(original.place)
    again = copy_service(served, back)
    assert rows(back) == rows(original.place)
    assert there.rows == again.rows
    assert there.content == again.content
    assert there.content.stored == there.content.packs_total > 5
    for place in (original.place, served, back):
        with opened(place) as door:
            assert_whole(door)
            assert contents(door) == original.contents


@pytest.mark.parametrize("mixed", [("catalog",), ("store",)], ids=" ".join)
def test_the_catalog_or_the_store_alone_can_be_elsewhere(original: Original, served: Place, mixed: Any) -> None:
    target = Place(served.folder)._replace(**{name: getattr(served, name) for name in mixed})
    copy_service(original.place, target)
    with opened(target) as door:
        assert_whole(door)
        assert contents(door) == original.contents


def test_the_catalog_alone_can_be_moved_and_the_content_stay(original: Original, empty_database: Database) -> None:
    target = Place(original.place.folder, empty_database.url)
    assert copy_service(original.place, target).content.stored == 0
    with opened(target) as door:
        assert_whole(door)
        assert contents(door) == original.contents


def test_a_directory_in_step_stays_so(
    original: Original, served: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_service(original.place, served)
    copy_service(served, Place(tmp_path / "back"))
    monkeypatch.delattr(BlobStore, "put")
    monkeypatch.delattr(BlobStore, "read")
    for place in (served, Place(tmp_path / "back")):
        with opened(place) as door:
            (task,) = door.sync(original.session)
            assert (task["status"], task["nothingToSync"]) == ("Success", True), task


def test_what_a_directory_had_at_its_last_sync_is_known_in_the_copy(
    original: Original, served: Place, tmp_path: Path
) -> None:
    copy_service(original.place, served)
    copy_service(served, Place(tmp_path / "back"))
    (original.root / "edited").unlink()
    for place in (served, Place(tmp_path / "back")):
        with opened(place) as door:
            (task,) = door.sync(original.session)
            assert (task["status"], task["deleted"]) == ("Success", 1), task


def test_sessions_and_their_tasks_go_on_in_the_copy(original: Original, served: Place, tmp_path: Path) -> None:
    copy_service(original.place, served)
    with opened(served) as door:
        fill(original.root, {"changed": "in the copy"})
        (task,) = door.sync(original.session)
        assert task["status"] == "Success", task
    copy_service(served, Place(tmp_path / "back"))
    with opened(Place(tmp_path / "back")) as door:
        fill(original.root, {"changed": "once more"})
        (task,) = door.sync(original.session)
        assert task["status"] == "Success", task
        assert [file for file in door.files(original.context) if file == "/changed"]


def test_keys_and_urls_are_good_in_the_copy(original: Original, served: Place, tmp_path: Path) -> None:
    grant = Grant("local", original.context, b"/same", DOWNLOAD, int(time.time()) + 60)
    with opened(original.place) as door:
        text = door.service.keys.create("laptop", "local")[1]
        token = door.service._runtime.signer.token(grant)
    copy_service(original.place, served)
    copy_service(served, Place(tmp_path / "back"))
    for place in (served, Place(tmp_path / "back")):
        with opened(place) as door:
            found = door.service.keys.find(text)
            assert found is not None
            assert (found.name, found.account) == ("laptop", "local")
            assert b"".join(door.service.open_download(token).content) == b"same"
