"""What a service that resumes leaves to the next one at its end: each task is run to its end, once, under its id."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import Connection, delete

from ctxmgr.engine.workspace.locks import held
from ctxmgr.service import ContextService
from ctxmgr.service.catalog.schema import sessions as session_rows
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.tasks import resuming
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, binding, busy, encoded, fill, tree


class Opener(Protocol):
    def __call__(self, *, resume: bool = True) -> Door: ...


@pytest.fixture
def opened(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Opener]:
    with ExitStack() as stack:

        def open_one(*, resume: bool = True) -> Door:
            service = ContextService.open(tmp_path / "data", workers=1, resume=resume, **elsewhere)
            stack.callback(service.close, 0.0)
            return Door(service)

        yield open_one


@pytest.fixture
def blocked(opened: Opener, tmp_path: Path) -> Iterator[threading.Event]:
    """Syncs of the directory "one" wait until the event is set."""
    ready, free = threading.Event(), threading.Event()

    def hold() -> None:
        with held(DataFolder.open(tmp_path / "data").workspace_lock(str(tmp_path / "one")), lambda: None):
            ready.set()
            free.wait(60)
        ready.clear()

    opened().service.close()
    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(30)
    yield free
    free.set()
    thread.join()


class Left:
    """A server's data folder after its end: one sync was running, and another was queued."""

    def __init__(self, opened: Opener, root: Path) -> None:
        fill(root, {"a": "a"})
        door = opened()
        self.context = door.context()
        made = door.data("CreateMcpSession", Root=str(root))
        self.session = str(made["SessionId"])
        bound = [binding(self.context, uploadPolicy={"autoUpload": True})]
        self.ids = door.data("BindContexts", SessionId=self.session, PersistenceDataList=bound)["TaskIds"]
        while [task["status"] for task in door.info(self.session, TaskIds=self.ids)] != ["Running"]:
            assert not door.park(SessionId=self.session, TaskIds=self.ids, WaitMs=1)
        self.ids += door.data("SyncContext", SessionId=self.session)["TaskIds"]
        self.watch = door.service.watch(
            "GetContextInfo", encoded({"SessionId": self.session, "TaskIds": self.ids, "WaitMs": 10_000})
        )
        self.door = door

    def close(self) -> Left:
        self.door.service.close(0.0)
        return self


@pytest.fixture
def left(opened: Opener, blocked: threading.Event, tmp_path: Path) -> Left:
    return Left(opened, tmp_path / "one").close()


def statuses(door: Door, left: Left) -> list[str]:
    return [task["status"] for task in door.info(left.session, TaskIds=left.ids)]


def kept(door: Door, left: Left) -> list[tuple[str, str]]:
    """Each task's status and owner as the catalog has them."""
    rows = [door.service.outcome(task_id) for task_id in left.ids]
    return [(row["status"], row["node_id"]) for row in rows]


def test_what_is_not_done_at_the_end_waits_without_an_owner(opened: Opener, left: Left) -> None:
    assert kept(opened(resume=False), left) == [("Waiting", "")] * 2


def test_the_next_start_finishes_the_same_tasks(opened: Opener, left: Left, blocked: threading.Event) -> None:
    blocked.set()
    door = opened()
    ended = door.wait(left.session, left.ids)
    assert [(task["taskId"], task["taskType"], task["status"]) for task in ended] == [
        (left.ids[0], "download", "Success"),
        (left.ids[1], "upload", "Success"),
    ]
    assert door.files(left.context) == ["/a"]


def test_a_start_resumes_before_anyone_asks(opened: Opener, left: Left) -> None:
    node = opened().service._runtime.node.id
    assert [owner for _, owner in kept(opened(resume=False), left)] == [node, node]


def test_who_waits_is_told_at_the_end(opened: Opener, blocked: threading.Event, tmp_path: Path) -> None:
    left = Left(opened, tmp_path / "one")
    assert left.watch is not None
    assert not left.watch.ready()
    told = threading.Event()
    left.watch.subscribe(told.set)
    left.close()
    assert told.is_set()
    assert left.watch.ready()


def test_tasks_that_are_left_once_more_are_still_done(opened: Opener, left: Left, blocked: threading.Event) -> None:
    opened().service.close(0.0)
    blocked.set()
    assert {task["status"] for task in opened().wait(left.session, left.ids)} == {"Success"}


def test_two_starts_at_once_run_each_task_once(
    opened: Opener, left: Left, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    taken = resuming.take_over
    together = threading.Barrier(2, timeout=30)

    def noted(connection: Connection, node_id: str, home: str) -> list[resuming.Queued]:
        found = taken(connection, node_id, home)
        begun.extend(queued.task.id for queued in found)
        return found

    def are_left(connection: object, home: str) -> bool:
        together.wait()
        return True

    with monkeypatch.context() as patch:
        patch.setattr("ctxmgr.service.tasks.resuming.take_over", noted)
        patch.setattr("ctxmgr.service.tasks.resuming.are_left", are_left)
        doors: list[Door] = []
        threads = [threading.Thread(target=lambda: doors.append(opened())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    blocked.set()
    assert sorted(begun) == sorted(left.ids)
    for door in doors:
        assert {task["status"] for task in door.wait(left.session, left.ids)} == {"Success"}


def test_a_server_that_runs_takes_over_what_another_leaves(
    opened: Opener, blocked: threading.Event, tmp_path: Path
) -> None:
    other = opened()
    left = Left(opened, tmp_path / "one").close()
    blocked.set()
    assert {task["status"] for task in other.wait(left.session, left.ids)} == {"Success"}


def test_a_service_that_does_not_resume_runs_them_once_they_are_asked_for(
    opened: Opener, left: Left, blocked: threading.Event
) -> None:
    blocked.set()
    door = opened(resume=False)
    assert {task["status"] for task in door.wait(left.session, left.ids)} == {"Success"}


def test_a_service_that_does_not_resume_leaves_what_it_took_over_and_fails_its_own(
    opened: Opener, left: Left, blocked: threading.Event
) -> None:
    door = opened(resume=False)
    assert statuses(door, left)[1] == "Waiting"
    own = door.data("SyncContext", SessionId=left.session, Mode="download")["TaskIds"]
    door.service.close(0.0)
    left.ids += own
    assert kept(opened(resume=False), left)[:2] == [("Waiting", "")] * 2
    assert kept(opened(resume=False), left)[2][0] == "Failed"


def test_a_thread_that_outlives_its_service_changes_nothing_of_a_task_that_another_has(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.tasks.runtime.STOP_TIMEOUT", 0.0)
    fill(tmp_path / "one", {"a": "a"})
    first = opened()
    context = first.context()
    session = first.session(binding(context), Root=str(tmp_path / "one"))
    reached, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def fails_late(*arguments: object, **more: object) -> None:
        reached.set()
        go_on.wait(30)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("ctxmgr.engine.sync.run.load_state", fails_late)
        ids = first.data("SyncContext", SessionId=session)["TaskIds"]
        assert reached.wait(30)
        first.service.observe(lambda task_id: over.set())
        first.service.close(0.0)
    second = opened()
    go_on.set()
    assert over.wait(30)
    assert [task["status"] for task in second.wait(session, ids)] == ["Success"]


def test_a_restore_that_was_left_goes_back_to_its_revision(
    opened: Opener, blocked: threading.Event, tmp_path: Path
) -> None:
    door = opened()
    restored = door.context("restored")
    (tmp_path / "two").mkdir()
    session = door.session(binding(restored), Root=str(tmp_path / "two"))
    for name in ("first", "second"):
        fill(tmp_path / "two", {name: name})
        door.sync(session)
    left = Left(opened, tmp_path / "one")
    (task,) = left.door.data("RestoreContext", Id=restored, Revision=1)["TaskIds"]
    left.close()
    assert door.service.outcome(task)["status"] == "Waiting"
    blocked.set()
    last = opened()
    while not last.service.outcome(task)["finished_ms"]:
        assert last.park(ContextId=restored, TaskIds=[task], WaitMs=30_000)
    assert last.files(restored) == ["/first"]


def test_tasks_of_a_session_that_is_gone_fail_with_the_reason(opened: Opener, left: Left) -> None:
    other = opened(resume=False)
    with other.service._runtime.catalog.write() as connection:
        connection.execute(delete(session_rows).where(session_rows.c.id == left.session))
    opened()
    rows = [other.service.outcome(task_id) for task_id in left.ids]
    assert {row["status"] for row in rows} == {"Failed"}
    assert all(f"there is no session '{left.session}'" in row["error"] for row in rows)


def test_tasks_of_a_context_that_is_gone_fail_with_the_reason(
    opened: Opener, left: Left, blocked: threading.Event
) -> None:
    opened(resume=False).data("DeleteContext", Id=left.context)
    blocked.set()
    ended = opened().wait(left.session, left.ids)
    assert {task["status"] for task in ended} == {"Failed"}
    assert all(f"there is no context '{left.context}'" in task["errorMessage"] for task in ended)


def test_a_deleted_sessions_upload_goes_on_and_the_session_ends(
    opened: Opener, blocked: threading.Event, tmp_path: Path
) -> None:
    left = Left(opened, tmp_path / "one")
    left.door.data("DeleteSessionAsync", SessionId=left.session)
    left.close()
    blocked.set()
    door = opened()
    detail = door.data("GetSessionDetail", SessionId=left.session)
    while detail["Status"] == "DELETING":
        with suppress(AssertionError):  # it ended before there was anything to wait for
            door.park(SessionId=left.session, WaitMs=30_000)
        detail = door.data("GetSessionDetail", SessionId=left.session)
    assert (detail["Status"], detail["EndReason"]) == ("FINISH", "deleted")
    assert door.files(left.context) == ["/a"]


def test_a_download_that_discards_still_does_when_it_is_resumed(opened: Opener, tmp_path: Path) -> None:
    root = tmp_path / "one"
    fill(root, {"a": "a"})
    door = opened()
    session = door.session(binding(door.context()), Root=str(root))
    door.sync(session)
    fill(root, {"a": "broken"})
    with busy(door, root):
        (asked,) = door.data("SyncContext", SessionId=session, Mode="download", DiscardLocal="true")["TaskIds"]
        door.service.close(0.0)
    (task,) = opened().wait(session, [asked])
    assert (task["status"], tree(root)) == ("Success", {"a": "a"})
