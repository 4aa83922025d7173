"""Syncs through the service's door, on real directories."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from sqlalchemy import event, select, update

from ctxmgr.engine.manifest.errors import WorkspaceChanged
from ctxmgr.engine.sync import run
from ctxmgr.engine.sync.conflicts import Conflicts, MergeConflict
from ctxmgr.engine.workspace.apply import apply
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import revisions
from ctxmgr.service.catalog.schema import files
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, Refused, binding, busy, fill, tree


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


def session_at(door: Door, context_id: str, root: Path, **policy: object) -> str:
    root.mkdir(parents=True, exist_ok=True)
    return door.session(binding(context_id, "/", **policy), Root=str(root))


def test_an_upload_appears_in_the_next_session(door: Door, tmp_path: Path) -> None:
    context = door.context()
    files = {"a.txt": "one", "deep/er/b.txt": "two", "empty.txt": ""}
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", files)
    (task,) = door.sync(session)
    assert (task["status"], task["files"], task["bytes"], task["revision"]) == ("Success", 3, 6, 1)
    session_at(door, context, tmp_path / "two")
    assert tree(tmp_path / "two") == files


def test_a_poll_for_a_task_asks_the_catalog_one_question(tmp_path: Path) -> None:
    door = Door(ContextService.open(tmp_path / "data"))
    session = session_at(door, door.context(), tmp_path / "one")
    (task,) = door.sync(session)
    asked: list[str] = []
    runtime = door.service._runtime
    runtime.end_lost_tasks(now=True)
    runtime._checked = float("inf")
    event.listen(
        runtime.catalog._backend.reader, "before_cursor_execute", lambda *given: asked.append(given[2].split()[0])
    )
    named = json.dumps([task["taskId"]])
    assert door.info(session, TaskIds=named) == [task]
    assert asked == ["SELECT"]
    refused = door.service.handle("GetContextInfo", {"SessionId": session, "TaskIds": named}, account="another")
    assert refused["Code"] == "InvalidMcpSession.NotFound"
    door.service.close()


def test_a_sync_that_finds_nothing_makes_no_revision_and_says_so(door: Door, tmp_path: Path) -> None:
    session = session_at(door, door.context(), tmp_path / "one")
    fill(tmp_path / "one", {"a": "a"})
    door.sync(session)
    (task,) = door.sync(session)
    assert (task["status"], task["nothingToSync"], task["revision"], task["unchanged"]) == ("Success", True, 1, 1)


def test_a_deleted_file_is_deleted_from_the_context(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "a", "b": "b"})
    door.sync(session)
    fill(tmp_path / "one", {"b": "b"})
    (task,) = door.sync(session)
    assert task["deleted"] == 1
    assert door.files(context) == ["/b"]


def test_a_deleted_file_stays_in_the_context_where_the_policy_says_so(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one", deletePolicy={"syncLocalFile": False})
    fill(tmp_path / "one", {"a": "a"})
    door.sync(session)
    fill(tmp_path / "one", {})
    door.sync(session)
    assert door.files(context) == ["/a"]


def test_a_download_brings_what_another_session_changed_and_removes_what_it_deleted(door: Door, tmp_path: Path) -> None:
    context = door.context()
    one = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "a", "b": "b"})
    door.sync(one)
    two = session_at(door, context, tmp_path / "two")
    fill(tmp_path / "one", {"b": "changed"})
    door.sync(one)
    (task,) = door.sync(two, "download")
    assert (task["files"], task["deleted"]) == (1, 1)
    assert tree(tmp_path / "two") == {"b": "changed"}


def test_a_download_puts_the_local_version_it_replaces_into_the_history(door: Door, tmp_path: Path) -> None:
    context = door.context()
    one = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "first"})
    door.sync(one)
    two = session_at(door, context, tmp_path / "two")
    fill(tmp_path / "one", {"a": "of one"})
    fill(tmp_path / "two", {"a": "of two"})
    door.sync(one)
    (task,) = door.sync(two, "download")
    assert (task["status"], task["revision"]) == ("Success", 4)
    assert tree(tmp_path / "two") == {"a": "of one"}
    catalog = door.service._runtime.catalog
    with catalog.read() as connection:
        kept, now = (revisions.manifest(connection, context, "/", revision=number)[b"a"].digest for number in (3, 4))
    assert (kept, now) == (blake3(b"of two").digest(), blake3(b"of one").digest())


def test_uploads_of_two_workspaces_are_both_in_the_context(door: Door, tmp_path: Path) -> None:
    context = door.context()
    names = [f"w{number}" for number in range(4)]
    sessions = {}
    for name in names:
        sessions[name] = session_at(door, context, tmp_path / name)
        fill(tmp_path / name, {name: name})
    triggered = [(s, door.data("SyncContext", SessionId=s)["TaskIds"]) for s in sessions.values()]
    ended = [task for session, ids in triggered for task in door.wait(session, ids)]
    assert [task["status"] for task in ended] == ["Success"] * 4
    assert door.files(context) == [f"/{name}" for name in names]
    assert sorted(task["revision"] for task in ended) == [1, 2, 3, 4]


def test_a_context_bound_at_a_path_keeps_its_files_below_that_path(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = door.session(binding(context, "/tmp/data"))
    root = door.root(session)
    fill(root / "tmp/data", {"a/b.txt": "b"})
    fill(root / "elsewhere", {"not": "bound"})
    door.sync(session)
    assert door.files(context) == ["/tmp", "/tmp/data", "/tmp/data/a", "/tmp/data/a/b.txt"]
    assert door.files(context, "/tmp/data") == ["/tmp/data/a", "/tmp/data/a/b.txt"]
    other = door.session(binding(context, "/other"))
    assert tree(door.root(other)) == {}
    whole = door.session(binding(context, "/"))
    assert tree(door.root(whole)) == {"tmp/data/a/b.txt": "b"}


def test_a_file_in_the_context_gives_way_to_a_mount_path_that_needs_a_directory_there(
    door: Door, tmp_path: Path
) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"tmp": "a file"})
    door.sync(session)
    deeper = door.session(binding(context, "/tmp/data"))
    fill(door.root(deeper) / "tmp/data", {"x": "x"})
    (task,) = door.sync(deeper)
    assert task["status"] == "Success"
    session_at(door, context, tmp_path / "fresh")
    assert tree(tmp_path / "fresh") == {"tmp/data/x": "x"}


def test_an_empty_directory_is_filled_again_though_a_session_synced_there_before(door: Door, tmp_path: Path) -> None:
    context = door.context()
    root = tmp_path / "one"
    session = session_at(door, context, root)
    fill(root, {"a": "a"})
    door.sync(session)
    door.delete_session(session)
    fill(root, {})
    session = session_at(door, context, root)
    assert tree(root) == {"a": "a"}


def test_an_empty_directory_bound_anew_deletes_nothing_at_its_first_upload(door: Door, tmp_path: Path) -> None:
    context = door.context()
    root = tmp_path / "one"
    session = session_at(door, context, root)
    fill(root, {"a": "a"})
    door.sync(session)
    door.delete_session(session)
    fill(root, {})
    session = session_at(door, context, root, downloadPolicy={"autoDownload": False})
    door.sync(session)
    assert door.files(context) == ["/a"]


def test_a_download_into_a_directory_that_lost_all_its_files_brings_them_back(door: Door, tmp_path: Path) -> None:
    session = session_at(door, door.context(), tmp_path / "one")
    fill(tmp_path / "one", {"a": "a"})
    door.sync(session)
    fill(tmp_path / "one", {})
    door.sync(session, "download")
    assert tree(tmp_path / "one") == {"a": "a"}


def test_a_workspace_that_is_gone_fails_the_upload_and_deletes_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "a"})
    door.sync(session)
    (tmp_path / "one").rename(tmp_path / "away")
    (task,) = door.sync(session)
    assert task["status"] == "Failed"
    assert "does not exist" in task["errorMessage"]
    assert door.files(context) == ["/a"]


def test_what_cannot_be_synced_is_told_and_hinders_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "a"})
    os.mkfifo(tmp_path / "one" / "pipe")
    (task,) = door.sync(session)
    assert task["status"] == "Success"
    assert [path for path, _ in task["skipped"]] == ["pipe"]
    assert door.files(context) == ["/a"]


def test_a_file_name_that_is_not_utf8_is_synced_and_listed(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    name = os.fsdecode(b"caf\xe9\n")
    (tmp_path / "one" / name).write_text("x")
    door.sync(session)
    assert door.files(context) == [f"/{name}"]
    session_at(door, context, tmp_path / "two")
    assert tree(tmp_path / "two") == {name: "x"}


def test_a_plan_is_shown_and_changes_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"gone": "g", "same": "s"})
    door.sync(session)
    fill(tmp_path / "one", {"same": "s", "new": "new!"})
    planned = door.data("PlanSync", SessionId=session)
    changes = [(change["path"], change["action"], change["size"]) for change in planned["Changes"]]
    assert changes == [("gone", "drop", 0), ("new", "put", 4)]
    assert planned["Unchanged"] == 1
    assert door.files(context) == ["/gone", "/same"]


def test_a_plan_shows_a_conflict(door: Door, tmp_path: Path) -> None:
    context = door.context()
    one, two = session_at(door, context, tmp_path / "one"), session_at(door, context, tmp_path / "two")
    fill(tmp_path / "one", {"a": "of one"})
    fill(tmp_path / "two", {"a": "of two, longer"})
    door.sync(one)
    planned = door.data("PlanSync", SessionId=two, Mode="download")
    assert [(change["path"], change["action"]) for change in planned["Changes"]] == [("a", "conflict")]


def test_a_task_that_has_not_begun_is_shared_by_the_next_trigger(door: Door, tmp_path: Path) -> None:
    session = session_at(door, door.context(), tmp_path / "one")
    (tmp_path / "one" / "file").write_text("x")
    with busy(door, tmp_path / "one"):
        (running,) = door.data("SyncContext", SessionId=session)["TaskIds"]
        while door.info(session, TaskIds=[running])[0]["status"] == "Waiting":
            pass
        (second,) = door.data("SyncContext", SessionId=session)["TaskIds"]
        (third,) = door.data("SyncContext", SessionId=session)["TaskIds"]
        (other,) = door.data("SyncContext", SessionId=session, Mode="download")["TaskIds"]
        (after,) = door.data("SyncContext", SessionId=session)["TaskIds"]
    assert len({running, second, other, after}) == 4
    assert third == second
    ended = door.wait(session, [running, second, other, after])
    assert [task["status"] for task in ended] == ["Success"] * 4


def test_an_unbound_path_is_refused_with_what_is_bound(door: Door, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    session = door.session(binding(door.context(), "/work"), Root=str(tmp_path / "one"))
    with pytest.raises(Refused, match=r"/nowhere.*/work") as refused:
        door.sync(session, Path="/nowhere")
    assert refused.value.code == "InvalidBinding.NotFound"


def test_a_context_deleted_under_a_session_fails_its_sync(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "a"})
    with busy(door, tmp_path / "one"):
        ids = door.data("SyncContext", SessionId=session)["TaskIds"]
        door.data("DeleteContext", Id=context)
    (task,) = door.wait(session, ids)
    assert task["status"] == "Failed"
    assert "InvalidContext.NotFound" in task["errorMessage"]


def test_a_download_of_swapped_chunk_lists_fails_and_names_the_file(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "first", "b": "other"})
    door.sync(session)
    door.data("DeleteSessionAsync", SessionId=session)
    with door.service._runtime.catalog.write() as connection:
        rows = {row.path: row.chunks for row in connection.execute(select(files.c.path, files.c.chunks))}
        for path, other in ((b"/a", b"/b"), (b"/b", b"/a")):
            connection.execute(update(files).where(files.c.path == path).values(chunks=rows[other]))
    root = tmp_path / "two"
    root.mkdir()
    two = door.data("CreateMcpSession", PersistenceDataList=[binding(context)], Root=str(root))
    (task,) = door.wait(two["SessionId"], two["TaskIds"])
    assert task["status"] == "Failed"
    # Whichever of the two lies first in the pack.
    assert re.search("the content of '[ab]' is damaged", task["errorMessage"])
    assert "no file was replaced with it" in task["errorMessage"]
    assert tree(root) == {}


def test_only_a_download_can_discard(door: Door, tmp_path: Path) -> None:
    session = session_at(door, door.context(), tmp_path / "one")
    for action in ("SyncContext", "PlanSync"):
        with pytest.raises(Refused, match="the parameter DiscardLocal is 'true', and must be left out"):
            door.data(action, SessionId=session, DiscardLocal="true")


def test_a_queued_download_that_discards_is_not_shared_with_one_that_does_not(door: Door, tmp_path: Path) -> None:
    session = session_at(door, door.context(), tmp_path / "one")
    with busy(door, tmp_path / "one"):
        (running,) = door.data("SyncContext", SessionId=session)["TaskIds"]
        while door.info(session, TaskIds=[running])[0]["status"] == "Waiting":
            pass
        asked = {"SessionId": session, "Mode": "download"}
        (plain,) = door.data("SyncContext", **asked)["TaskIds"]
        (discarding,) = door.data("SyncContext", **asked, DiscardLocal="true")["TaskIds"]
        assert door.data("SyncContext", **asked, DiscardLocal="true")["TaskIds"] == [discarding]
    assert plain != discarding


def test_discarding_leaves_what_the_white_lists_do_not_select(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one", bwList={"whiteLists": [{"path": "/in/deep"}]})
    fill(tmp_path / "one", {"in/deep/a": "a", "in/other": "other", "out": "out"})
    door.sync(session)
    fill(tmp_path / "one", {"in/deep/a": "broken", "in/deep/b": "b", "in/other": "changed", "out": "changed"})
    (task,) = door.sync(session, "download", DiscardLocal="true")
    assert tree(tmp_path / "one") == {"in/deep/a": "a", "in/other": "changed", "out": "changed"}
    assert sorted(each["path"] for each in task["conflicts"]) == ["in/deep/a", "in/deep/b"]
    assert task["keptLocal"] == 0


def test_a_download_that_fails_after_it_kept_local_versions_tells_where_they_are(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = door.context()
    session = session_at(door, context, tmp_path / "one")
    fill(tmp_path / "one", {"a": "a"})
    door.sync(session)
    fill(tmp_path / "one", {"a": "mine"})

    def failing(*args: object, **kwargs: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(run, "apply", failing)
    (task,) = door.sync(session, "download", DiscardLocal="true")
    assert (task["status"], [each["revision"] for each in task["conflicts"]]) == ("Failed", [2])
    found = door.data("DescribeContextFile", ContextId=context, FilePath="/a", Revision="2")
    assert found["Digest"] == blake3(b"mine").hexdigest()


def test_a_conflict_that_an_earlier_attempt_decided_is_told(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = door.context()
    one, two = session_at(door, context, tmp_path / "one"), session_at(door, context, tmp_path / "two")
    fill(tmp_path / "one", {"a": "of one"})
    fill(tmp_path / "two", {"a": "of two"})
    door.sync(one)
    attempts = []

    def changed_meanwhile(*args: Any, **kwargs: Any) -> Any:
        written = apply(*args, **kwargs)
        attempts.append(written)
        if len(attempts) == 1:
            raise WorkspaceChanged(b"b", "changed after it was scanned")
        return written

    monkeypatch.setattr(run, "apply", changed_meanwhile)
    (task,) = door.sync(two, "download")
    assert (len(attempts), task["status"]) == (2, "Success")
    assert [(each["path"], each["revision"]) for each in task["conflicts"]] == [("a", 2)]


def test_a_conflict_below_a_mount_names_the_path_in_the_context(door: Door, tmp_path: Path) -> None:
    context = door.context()
    sessions = []
    for name in ("one", "two"):
        (tmp_path / name / "m").mkdir(parents=True)
        sessions.append(door.session(binding(context, "/m"), Root=str(tmp_path / name)))
        fill(tmp_path / name / "m", {"a": f"of {name}"})
    door.sync(sessions[0])
    (task,) = door.sync(sessions[1])
    told = {"contextId": context, "mount": "/m", "path": "a", "contextPath": "/m/a"}
    assert task["conflicts"] == [{**told, "winner": "local", "kind": "file", "revision": 1, "copy": ""}]


def test_a_version_in_a_pack_has_a_revision_and_no_path(door: Door, tmp_path: Path) -> None:
    context = door.context()
    policy = {"uploadPolicy": {"uploadMode": "Archive"}}
    one, two = (session_at(door, context, tmp_path / name, **policy) for name in ("one", "two"))
    fill(tmp_path / "one", {"a": "of one"})
    fill(tmp_path / "two", {"a": "of two"})
    door.sync(one)
    (task,) = door.sync(two)
    assert [(each["revision"], each["contextPath"]) for each in task["conflicts"]] == [(1, "")]


def test_of_very_many_conflicts_the_first_are_told_and_all_are_counted() -> None:
    found = Conflicts()
    found.add(MergeConflict(f"{number:06}", "local") for number in range(12_000))
    values = found.values()
    assert (len(json.loads(values["conflicts"])), values["conflicts_total"]) == (10_000, 12_000)
    again = Conflicts(values["conflicts"], values["conflicts_total"])
    again.add([MergeConflict("000001", "local")])
    assert again.values() == values


def test_conflicts_of_very_long_paths_are_told_as_far_as_an_answer_goes() -> None:
    found = Conflicts()
    found.add(MergeConflict(f"{number:06}" + "x" * 4000, "local") for number in range(1_000))
    values = found.values()
    assert 0 < len(json.loads(values["conflicts"])) < values["conflicts_total"] == 1_000
    assert len(values["conflicts"]) < 4 << 20
