"""A sync of a path below a mount path: that path alone, and nothing else is touched on any side."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, Refused, binding, busy, fill, tree

MOUNT = "/work"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


class Place:
    """A session that binds a context, and its directory."""

    def __init__(self, door: Door, root: Path, context: str, **policy: object) -> None:
        root.mkdir(exist_ok=True)
        self.door = door
        self.context = context
        self.session = door.session(binding(context, MOUNT, **policy), Root=str(root))
        self.folder = root / "work"

    def sync(self, path: str = "", mode: str = "upload") -> dict[str, Any]:
        (entry,) = self.door.sync(self.session, mode, **({"Path": f"{MOUNT}/{path}"} if path else {}))
        return entry

    def there(self) -> list[str]:
        """The files that the context holds."""
        found = self.door.data(
            "DescribeContextFiles", ContextId=self.context, ParentFolderPath=MOUNT, Recursive=True, PageSize=1000
        )
        return [file["FilePath"].removeprefix(f"{MOUNT}/") for file in found if file["FileType"] == "file"]


FILES = {"a": "1", "sub/b": "2", "sub/deep/c": "3", "subother": "4"}


@pytest.fixture
def place(door: Door, tmp_path: Path) -> Place:
    """All is synced."""
    made = Place(door, tmp_path / "one", door.context())
    fill(made.folder, FILES)
    made.sync()
    return made


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Place:
    """The same context in another directory, with all of it downloaded."""
    return Place(place.door, tmp_path / "two", place.context)


def test_a_files_upload_commits_that_file_alone(place: Place) -> None:
    fill(place.folder, {"a": "new", "sub/b": "new", "sub/added": "new", "subother": "new"})
    entry = place.sync("sub/b")
    assert (entry["status"], entry["path"], entry["files"], entry["deleted"]) == ("Success", "/work/sub/b", 1, 0)
    assert place.there() == sorted(FILES)
    changes = place.door.data("PlanSync", SessionId=place.session)["Changes"]
    assert {change["path"]: change["action"] for change in changes if change["kind"] != "dir"} == {
        "a": "put",
        "sub/added": "put",
        "sub/deep/c": "drop",
        "subother": "put",
    }


def test_a_folders_upload_commits_and_deletes_below_it_alone(place: Place) -> None:
    fill(place.folder, {"sub/b": "new", "sub/added": "new"})
    entry = place.sync("sub")
    assert (entry["files"], entry["status"]) == (2, "Success")
    assert place.there() == ["a", "sub/added", "sub/b", "subother"]


def test_a_files_deletion_is_committed_alone(place: Place) -> None:
    fill(place.folder, {"a": "1"})
    entry = place.sync("sub/b")
    assert (entry["status"], entry["files"], entry["deleted"]) == ("Success", 0, 1)
    assert place.there() == ["a", "sub/deep/c", "subother"]
    again = place.sync("sub/b")
    assert (again["status"], again["nothingToSync"]) == ("Success", True)


def test_a_deletion_is_not_committed_where_the_policy_keeps_files(door: Door, tmp_path: Path) -> None:
    place = Place(door, tmp_path / "one", door.context(), deletePolicy={"syncLocalFile": False})
    fill(place.folder, FILES)
    place.sync()
    fill(place.folder, {"a": "1"})
    assert place.sync("sub/b")["deleted"] == 0
    assert place.there() == sorted(FILES)


def test_the_rest_is_synced_later_as_if_there_had_been_no_partial_sync(place: Place, other: Place) -> None:
    fill(other.folder, {**FILES, "a": "theirs", "subother": "theirs"})
    other.sync()
    fill(place.folder, {"a": "1", "sub/b": "mine", "subother": "4"})
    place.sync("sub/b")
    entry = place.sync()
    assert (entry["files"], entry["deleted"]) == (0, 1)
    place.sync(mode="download")
    assert tree(place.folder) == {"a": "theirs", "sub/b": "mine", "subother": "theirs"}


def test_a_new_files_directories_come_along(place: Place) -> None:
    fill(place.folder, {**FILES, "new/deep/file": "x", "new/other": "y"})
    (place.folder / "new" / "deep").chmod(0o750)
    assert place.sync("new/deep/file")["files"] == 1
    assert place.there() == sorted([*FILES, "new/deep/file"])


def test_a_files_download_writes_that_file_alone(place: Place, other: Place) -> None:
    fill(place.folder, dict.fromkeys(FILES, "new"))
    place.sync()
    entry = other.sync("sub/b", mode="download")
    assert (entry["status"], entry["path"], entry["files"]) == ("Success", "/work/sub/b", 1)
    assert tree(other.folder) == {**FILES, "sub/b": "new"}
    other.sync(mode="download")
    assert tree(other.folder) == dict.fromkeys(FILES, "new")


def test_a_folders_download_writes_and_removes_below_it_alone(place: Place, other: Place) -> None:
    fill(place.folder, {"sub/b": "new"})
    (place.folder / "sub" / "deep").rmdir()
    place.sync()
    entry = other.sync("sub", mode="download")
    assert (entry["files"], entry["deleted"]) == (1, 2)
    assert tree(other.folder) == {"a": "1", "sub/b": "new", "subother": "4"}


def test_a_download_brings_back_what_is_named_and_was_deleted_locally(place: Place) -> None:
    fill(place.folder, {"a": "1"})
    assert place.sync("sub/b", mode="download")["files"] == 1
    assert tree(place.folder) == {"a": "1", "sub/b": "2"}
    place.sync()
    assert place.there() == ["a", "sub/b"]


def test_what_changed_on_both_sides_is_in_the_history_when_a_part_is_downloaded(place: Place, other: Place) -> None:
    fill(place.folder, {**FILES, "a": "theirs"})
    place.sync()
    fill(other.folder, {**FILES, "a": "mine", "sub/b": "mine"})
    other.sync("a", mode="download")
    assert tree(other.folder) == {**FILES, "a": "theirs", "sub/b": "mine"}
    notes = [item["Note"] for item in place.door.data("ListRevisions", ContextId=place.context)]
    assert "local versions" in notes


def test_what_is_in_the_way_of_a_part_is_told_and_left_alone(place: Place, other: Place) -> None:
    shutil.rmtree(other.folder / "sub")
    (other.folder / "sub").write_text("a file")
    entry = other.sync("sub/deep/c", mode="download")
    assert [path for path, _ in entry["skipped"]] == ["sub"]
    assert (other.folder / "sub").read_text() == "a file"


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_path_that_never_was_is_a_failure_that_names_it(place: Place, mode: str) -> None:
    entry = place.sync("sub/typo", mode=mode)
    assert entry["status"] == "Failed"
    assert "'sub/typo'" in entry["errorMessage"]


def test_a_path_may_be_longer_than_a_mount_path(place: Place) -> None:
    long = "/".join(["directory" * 10] * 20) + "/file"
    fill(place.folder, {**FILES, long: "x"})
    assert place.sync(long)["files"] == 1
    assert place.there() == sorted([*FILES, long])


def test_a_path_in_no_binding_is_refused(place: Place) -> None:
    with pytest.raises(Refused) as refused:
        place.door.sync(place.session, Path="/workshop/a")
    assert refused.value.code == "InvalidBinding.NotFound"
    with pytest.raises(Refused) as refused:
        place.door.sync(place.session, Path="/work/a", ContextId=place.door.context("another"))
    assert refused.value.code == "InvalidBinding.NotFound"


def test_a_plan_of_a_part_names_its_changes_alone(place: Place) -> None:
    fill(place.folder, dict.fromkeys(FILES, "new"))
    planned = place.door.data("PlanSync", SessionId=place.session, Path="/work/sub/deep")
    assert [change["path"] for change in planned["Changes"]] == ["sub/deep/c"]


def test_its_task_shows_under_its_path_as_it_was_spelled_and_not_under_another(place: Place) -> None:
    door, session = place.door, place.session
    door.sync(session, Path="/work//sub/b")
    assert [item["path"] for item in door.info(session, Path="/work//sub/b")] == ["/work//sub/b"]
    assert [item["path"] for item in door.info(session, Path="/work/sub/b")] == ["/work//sub/b"]
    assert {item["path"] for item in door.info(session, Path="/work")} == {"/work"}
    assert door.info(session, Path="/work/sub") == []
    assert {item["path"] for item in door.info(session)} == {"/work", "/work//sub/b"}


def test_of_many_parts_info_tells_the_latest_and_never_forgets_a_binding(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.catalog.tasks.MAX_PARTS", 2)
    for name in FILES:
        place.sync(name)
    assert [item["path"] for item in place.door.info(place.session, TaskType="upload")] == [
        "/work",
        "/work/sub/deep/c",
        "/work/subother",
    ]


def test_syncs_of_different_paths_are_different_tasks(place: Place) -> None:
    door, session = place.door, place.session
    with busy(door, place.folder):
        ids = [
            door.data("SyncContext", SessionId=session, Path=path)["TaskIds"][0]
            for path in ("/work/a", "/work/sub", "/work/sub", "/work")
        ]
    assert len(set(ids)) >= 3
    assert {entry["path"] for entry in door.wait(session, ids)} == {"/work/a", "/work/sub", "/work"}


def test_white_lists_hold_for_a_part_too(door: Door, tmp_path: Path) -> None:
    lists = {"whiteLists": [{"path": "sub", "excludePaths": ["deep"]}]}
    place = Place(door, tmp_path / "one", door.context(), bwList=lists)
    fill(place.folder, FILES)
    assert place.sync("sub")["files"] == 1
    assert place.there() == ["sub/b"]
    assert place.sync("a")["status"] == "Failed"


def test_a_part_of_what_is_packed_is_committed_alone(door: Door, tmp_path: Path) -> None:
    place = Place(door, tmp_path / "one", door.context(), uploadPolicy={"uploadMode": "Archive"})
    fill(place.folder, FILES)
    place.sync()
    fill(place.folder, {**FILES, "a": "new", "subother": "new"})
    place.sync("a")
    other = Place(door, tmp_path / "two", place.context)
    assert tree(other.folder) == {**FILES, "a": "new"}


def archive(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr("member", "packed")


EXTRACT = {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": False}


def test_a_download_of_a_part_leaves_what_archives_elsewhere_were_unpacked_to(place: Place, tmp_path: Path) -> None:
    archive(place.folder, "packed.zip")
    place.sync()
    other = Place(place.door, tmp_path / "two", place.context, extractPolicy=EXTRACT)
    assert tree(other.folder) == {**FILES, "packed/member": "packed"}
    for path in ("packed", "packed/member", "sub"):
        other.sync(path, mode="download")
    assert tree(other.folder) == {**FILES, "packed/member": "packed"}


def test_an_archive_that_is_unpacked_elsewhere_is_told_to_be_left(place: Place, tmp_path: Path) -> None:
    archive(place.folder, "packed.zip")
    place.sync()
    other = Place(place.door, tmp_path / "two", place.context, extractPolicy=EXTRACT)
    shutil.rmtree(other.folder / "packed")
    entry = other.sync("packed.zip", mode="download")
    assert [path for path, _ in entry["skipped"]] == ["packed.zip"]


def test_a_file_that_is_mapped_from_elsewhere_is_synced_alone(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "two"
    root.mkdir()
    policy = {"mappingPolicy": {"path": MOUNT}}
    door = place.door
    session = door.session(binding(place.context, "/elsewhere", **policy), Root=str(root))
    assert tree(root / "elsewhere") == FILES
    fill(root / "elsewhere", {**FILES, "a": "new", "sub/b": "new"})
    door.sync(session, Path="/elsewhere/a")
    place.sync(mode="download")
    assert tree(place.folder) == {**FILES, "a": "new"}


def test_a_part_left_to_the_next_service_is_still_that_part(tmp_path: Path) -> None:
    service = ContextService.open(tmp_path / "data", resume=True)
    place = Place(Door(service), tmp_path / "one", Door(service).context())
    fill(place.folder, FILES)
    with busy(place.door, place.folder):
        (task,) = place.door.data("SyncContext", SessionId=place.session, Path="/work/sub")["TaskIds"]
        service._runtime.close(0)
    again = ContextService.open(tmp_path / "data", resume=True)
    place.door = Door(again)
    assert [item["status"] for item in place.door.wait(place.session, [task])] == ["Success"]
    assert place.there() == ["sub/b", "sub/deep/c"]
    again.close()


def transfer(door: Door, session: str) -> dict[str, Any]:
    asked = {"SessionId": session, "ContextTypes": ["file_transfer"]}
    (found,) = door.data("GetAndLoadInternalContext", **asked)
    return dict(found)


class TestFileTransfer:
    def test_each_session_has_a_context_of_its_own(self, door: Door) -> None:
        sessions = [door.session(), door.session()]
        told = [transfer(door, session) for session in (*sessions, sessions[0])]
        assert {item["ContextPath"] for item in told} == {"/tmp/file-transfer"}
        assert told[0] == told[2] != told[1]
        assert (door.root(sessions[0]) / "tmp" / "file-transfer").is_dir()

    def test_the_type_may_come_as_rpc_spells_lists(self, door: Door) -> None:
        session = door.session()
        answer = door.data("GetAndLoadInternalContext", SessionId=session, **{"ContextTypes.1": "file_transfer"})
        assert [item["ContextType"] for item in answer] == ["file_transfer"]

    def test_it_is_not_among_its_users_contexts_and_bindings(self, door: Door) -> None:
        session = door.session(binding(door.context(), MOUNT))
        made = transfer(door, session)["ContextId"]
        assert [item["Name"] for item in door.data("ListContexts")] == ["project"]
        assert [item["Id"] for item in door.data("ListContexts", ContextType="file_transfer")] == [made]
        assert [item["Path"] for item in door.data("DescribeSessionContexts", SessionId=session)] == [MOUNT]
        assert [item["name"] for item in door.data("GetSession", SessionId=session)["contexts"]] == ["project"]
        assert [item["path"] for item in door.sync(session)] == [MOUNT]

    def test_it_ends_with_its_session(self, door: Door) -> None:
        session = door.session()
        made = transfer(door, session)["ContextId"]
        (door.root(session) / "tmp" / "file-transfer" / "file").write_text("x")
        door.sync(session, ContextId=made, Path="/tmp/file-transfer/file")
        assert door.files(made, "/tmp/file-transfer") == ["/tmp/file-transfer/file"]
        door.delete_session(session)
        with pytest.raises(Refused) as refused:
            door.data("GetContext", ContextId=made)
        assert refused.value.code == "InvalidContext.NotFound"

    def test_where_a_users_context_lies_above_its_path_that_one_is_it(self, door: Door) -> None:
        context = door.context()
        session = door.session(binding(context, "/"))
        assert transfer(door, session)["ContextId"] == context
        folder = door.root(session) / "tmp" / "file-transfer"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        (entry,) = door.sync(session, ContextId=context, Path="/tmp/file-transfer/file")
        assert (entry["status"], entry["files"]) == ("Success", 1)

    def test_another_accounts_session_is_not_found(self, door: Door) -> None:
        session = door.session()
        with pytest.raises(Refused) as refused:
            transfer(Door(door.service, "other"), session)
        assert refused.value.code == "InvalidMcpSession.NotFound"
