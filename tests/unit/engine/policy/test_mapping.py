"""mappingPolicy: files of other paths in the context appear at the mount path, and go back to where they came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.engine.policy.mounts import normalised
from ctxmgr.engine.policy.policy import read_policy
from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, binding, fill, tree


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


def at(door: Door, context: str, root: Path, mount: str, **policy: object) -> str:
    root.mkdir(exist_ok=True)
    return door.session(binding(context, mount, **policy), Root=str(root))


def kept_at(door: Door, context: str, root: Path, mount: str, files: dict[str, str]) -> str:
    session = at(door, context, root, mount)
    fill(root / normalised(mount)[1:], files)
    assert door.sync(session)[0]["status"] == "Success"
    return session


def test_files_of_another_path_appear_and_go_back(door: Door, tmp_path: Path) -> None:
    context = door.context()
    kept_at(door, context, tmp_path / "w", "/old/place", {"a": "1", "sub/b": "2"})
    session = at(door, context, tmp_path / "x", "/new", mappingPolicy={"path": "/old/place/"})
    assert tree(tmp_path / "x/new") == {"a": "1", "sub/b": "2"}
    fill(tmp_path / "x/new", {"a": "changed", "c": "3"})
    door.sync(session)
    assert door.files(context, "/old/place") == ["/old/place/a", "/old/place/c", "/old/place/sub"]
    assert door.files(context, "/new") == []
    assert door.sync(session)[0]["nothingToSync"]


@pytest.mark.parametrize("spelling", ["c:\\users\\me", "C:\\users\\me\\", "c:/users/me", "/c:/users/me"])
def test_windows_paths_are_one_path_in_every_spelling(door: Door, tmp_path: Path, spelling: str) -> None:
    context = door.context()
    kept_at(door, context, tmp_path / "w", "C:\\users\\me", {"a": "1"})
    assert door.files(context) == ["/c:", "/c:/users", "/c:/users/me", "/c:/users/me/a"]
    session = at(door, context, tmp_path / "x", "/home/me", mappingPolicy={"path": spelling})
    assert tree(tmp_path / "x/home/me") == {"a": "1"}
    fill(tmp_path / "x/home/me", {"a": "1", "b": "2"})
    door.sync(session)
    assert "/c:/users/me/b" in door.files(context)


def test_several_origins_appear_as_one_directory(door: Door, tmp_path: Path) -> None:
    context = door.context()
    kept_at(door, context, tmp_path / "one", "/one", {"a": "1", "both": "of one", "sub/x": "1"})
    kept_at(door, context, tmp_path / "two", "/two", {"b": "2", "both": "of two", "sub/y": "2", "only/z": "2"})
    policy = {"mappingPolicy": {"path": "/one", "paths": ["d:\\none", "/two"]}}
    session = at(door, context, tmp_path / "x", "/m", **policy)
    place = tmp_path / "x/m"
    files = {"a": "1", "b": "2", "both": "of one", "sub/x": "1", "sub/y": "2", "only/z": "2"}
    assert tree(place) == files
    assert door.sync(session)[0]["nothingToSync"]
    fill(place, {"a": "changed", "b": "changed too", "sub/x": "1", "only/z": "2", "only/new": "n", "new": "n"})
    (done,) = door.sync(session)
    assert (done["status"], done["files"], done["deleted"]) == ("Success", 4, 2)
    assert door.sync(session)[0]["nothingToSync"]
    kept = {path for path in door.files(context) if not path.endswith(("/one", "/two", "/sub", "/only"))}
    assert kept == {"/one/a", "/one/new", "/one/sub/x", "/two/b", "/two/only/new", "/two/only/z"}
    at(door, context, tmp_path / "y", "/m", **policy)
    assert tree(tmp_path / "y/m") == tree(place)


def test_a_conflict_with_several_origins_keeps_both_versions(door: Door, tmp_path: Path) -> None:
    context = door.context()
    one = kept_at(door, context, tmp_path / "one", "/one", {"a": "1"})
    two = kept_at(door, context, tmp_path / "two", "/two", {"b": "1"})
    session = at(door, context, tmp_path / "x", "/m", mappingPolicy={"path": "/one", "paths": ["/two"]})
    fill(tmp_path / "two/two", {"b": "2"})
    door.sync(two)
    fill(tmp_path / "x/m", {"a": "1", "b": "mine"})
    assert door.sync(session, "download")[0]["status"] == "Success"
    assert tree(tmp_path / "x/m") == {"a": "1", "b": "2"}
    assert door.sync(one, "download")[0]["nothingToSync"]
    assert door.files(context) == ["/one", "/one/a", "/two", "/two/b"]


def test_a_changed_mapping_deletes_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    kept_at(door, context, tmp_path / "one", "/one", {"a": "1"})
    kept_at(door, context, tmp_path / "two", "/two", {"b": "2"})
    door.delete_session(at(door, context, tmp_path / "x", "/m", mappingPolicy={"path": "/one"}))
    session = at(door, context, tmp_path / "x", "/m", mappingPolicy={"path": "/two"})
    assert tree(tmp_path / "x/m") == {"a": "1", "b": "2"}
    door.sync(session)
    assert door.files(context, "/one") == ["/one/a"]


def test_white_lists_and_archive_mode_go_with_a_mapping(door: Door, tmp_path: Path) -> None:
    context = door.context()
    kept_at(door, context, tmp_path / "one", "/one", {"in/a": "1", "out/b": "2"})
    policy = {
        "mappingPolicy": {"path": "/one"},
        "bwList": {"whiteLists": [{"path": "/in"}]},
        "uploadPolicy": {"uploadMode": "Archive"},
    }
    session = at(door, context, tmp_path / "x", "/m", **policy)
    assert tree(tmp_path / "x/m") == {"in/a": "1"}
    fill(tmp_path / "x/m", {"in/a": "1", "in/c": "3", "out/mine": "m"})
    door.sync(session)
    at(door, context, tmp_path / "y", "/one")
    assert tree(tmp_path / "y/one") == {"in/a": "1", "in/c": "3", "out/b": "2"}


def test_files_are_named_by_windows_paths_too(door: Door, tmp_path: Path) -> None:
    context = door.context()
    kept_at(door, context, tmp_path / "w", "c:\\users\\me", {"a": "1", "b": "2"})
    listed = door.data("DescribeContextFiles", ContextId=context, ParentFolderPath="C:\\users\\me")
    assert [file["FilePath"] for file in listed] == ["/c:/users/me/a", "/c:/users/me/b"]
    door.data("DeleteContextFile", ContextId=context, FilePath="c:\\users\\me\\a")
    assert door.files(context, "/c:/users/me") == ["/c:/users/me/b"]


@pytest.mark.parametrize(
    "mapping",
    [
        {"path": "relative"},
        {"path": "c:users"},
        {"path": "\\\\server\\share"},
        {"path": "c:\\a\\..\\b"},
        {"path": 3},
        {"path": "/a", "paths": ["/a/b"]},
        {"paths": ["/a/b", "/a"]},
        {"paths": "/a"},
    ],
)
def test_what_can_not_be_an_origin_is_refused(mapping: dict[str, object]) -> None:
    with pytest.raises(ServiceError) as refused:
        read_policy({"mappingPolicy": mapping}, "/data")
    assert refused.value.code == "InvalidParameter.Malformed"


@pytest.mark.parametrize("mapping", [{}, {"path": ""}, {"path": "/data/"}, {"paths": ["/data", "/data"]}])
def test_a_mapping_to_the_mount_path_is_none(mapping: dict[str, object]) -> None:
    assert read_policy({"mappingPolicy": mapping}, "/data")[0].origins == ()
