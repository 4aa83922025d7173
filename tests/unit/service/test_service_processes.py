"""Several services on one data folder, as several processes have them, and the end of a service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.service import ContextService
from ctxmgr.service.tasks.peers import Peers
from ctxmgr.service.tasks.watch import Watch
from tests.support.keeping import Elsewhere
from tests.support.servers import Database
from tests.unit.service.servicedoor import PATIENCE, Door, binding, busy, encoded, fill

pytestmark = pytest.mark.slow


@pytest.fixture
def doors(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[tuple[Door, Door]]:
    services = [ContextService.open(tmp_path / "data", **elsewhere) for _ in range(2)]
    yield Door(services[0]), Door(services[1])
    for service in services:
        service.close()


def test_a_task_of_another_process_is_seen_to_its_end(
    doors: tuple[Door, Door], tmp_path: Path, elsewhere: Elsewhere
) -> None:
    here, there = doors
    fill(tmp_path / "one", {"a": "a"})
    session = here.session(binding(here.context()), Root=str(tmp_path / "one"))
    with busy(here, tmp_path / "one"):
        ids = there.data("SyncContext", SessionId=session)["TaskIds"]
        watch = here.service.watch("GetContextInfo", encoded({"SessionId": session, "TaskIds": ids, "WaitMs": 10_000}))
        assert watch is not None
        assert (watch.poll is None) == bool(elsewhere)
        assert not watch.ready()
    assert [task["status"] for task in here.wait(session, ids)] == ["Success"]


def test_a_watch_of_tasks_that_run_here_needs_no_polling(doors: tuple[Door, Door], tmp_path: Path) -> None:
    here, _ = doors
    fill(tmp_path / "one", {"a": "a"})
    session = here.session(binding(here.context()), Root=str(tmp_path / "one"))
    with busy(here, tmp_path / "one"):
        ids = here.data("SyncContext", SessionId=session)["TaskIds"]
        watch = here.service.watch("GetContextInfo", encoded({"SessionId": session, "TaskIds": ids, "WaitMs": 70_000}))
        assert watch is not None
        assert (watch.poll, watch.timeout, watch.ready()) == (None, 60.0, False)
    assert [task["status"] for task in here.wait(session, ids)] == ["Success"]


@pytest.fixture
def apart(tmp_path: Path, database: Database, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Door]]:
    """Services of data folders of their own over one catalog and one store, which only learn what they are told."""
    monkeypatch.setattr(Peers, "look", lambda _: None)
    with ExitStack() as stack:
        doors = []
        for name in ("one", "two"):
            service = ContextService.open(tmp_path / name, lease=600, resume=True, catalog=database.url, store=bucket)
            stack.callback(service.close)
            doors.append(Door(service))
        yield doors


def parked(door: Door, session: str, ids: list[str]) -> tuple[Watch, threading.Semaphore]:
    """Return what a request for the end of tasks waits for, and what is released when it is to look again."""
    watch = door.service.watch("GetContextInfo", encoded({"SessionId": session, "TaskIds": ids, "WaitMs": 60_000}))
    assert watch is not None
    told = threading.Semaphore(0)
    watch.subscribe(told.release)
    return watch, told


def test_who_waits_at_one_service_is_told_when_a_task_ends_at_another(apart: list[Door], tmp_path: Path) -> None:
    here, there = apart
    session = here.session(binding(here.context()))
    fill(here.root(session), {"a": "a"})
    with busy(here, here.root(session)):
        ids = here.data("SyncContext", SessionId=session)["TaskIds"]
        watch, told = parked(there, session, ids)
        assert not watch.ready()
    while not watch.ready():
        assert told.acquire(timeout=PATIENCE)


def test_who_waits_at_another_service_does_not_wait_for_what_a_sync_notes_after_its_end(
    apart: list[Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = apart
    session = here.session(binding(here.context()))
    fill(here.root(session), {"a": "a"})
    noted = threading.Event()

    class Kept(dict[str, Monitor]):
        def pop(self, *args: Any) -> Any:
            noted.wait(2 * PATIENCE)
            return super().pop(*args)

    monkeypatch.setattr(here.service._runtime, "_live", Kept())
    with busy(here, here.root(session)):
        ids = here.data("SyncContext", SessionId=session)["TaskIds"]
        watch, told = parked(there, session, ids)
    try:
        while not watch.ready():
            assert told.acquire(timeout=PATIENCE)
    finally:
        noted.set()
    assert [task["status"] for task in here.wait(session, ids)] == ["Success"]


def test_a_sync_asked_of_one_service_runs_at_once_at_another_that_has_the_directory(apart: list[Door]) -> None:
    here, there = apart
    session = here.session(binding(here.context()))
    fill(here.root(session), {"a": "a"})
    assert [task["status"] for task in there.sync(session)] == ["Success"]


def test_two_processes_sync_one_directory_in_turn(doors: tuple[Door, Door], tmp_path: Path) -> None:
    context = doors[0].context()
    fill(tmp_path / "one", {str(number): "x" * number for number in range(50)})
    session = doors[0].session(binding(context), Root=str(tmp_path / "one"))
    triggered = [(door, door.data("SyncContext", SessionId=session)["TaskIds"]) for door in doors * 3]
    ended = [task for door, ids in triggered for task in door.wait(session, ids)]
    assert {task["status"] for task in ended} == {"Success"}
    assert doors[1].data("GetContext", ContextId=context)["Revision"] == 1


def test_a_name_taken_by_two_processes_at_once_is_one_context(doors: tuple[Door, Door]) -> None:
    found: list[str] = []
    together = threading.Barrier(2)

    def get(door: Door) -> None:
        together.wait()
        found.extend(door.context(f"name-{number}") for number in range(10))

    threads = [threading.Thread(target=get, args=(door,)) for door in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found))) == (20, 10)


def test_many_processes_make_a_data_folder_together(tmp_path: Path) -> None:
    program = """
        import sys
        from ctxmgr.service import ContextService
        sys.stdin.read()
        service = ContextService.open(sys.argv[1])
        print(service.handle("GetContext", {"Name": "one", "AllowCreate": "true"})["Data"]["Id"])
        service.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "data")]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    answers = [child.communicate(timeout=60) for child in children]
    assert {child.returncode for child in children} == {0}, answers
    assert len({out for out, _ in answers}) == 1


def test_closing_fails_what_did_not_end(
    doors: tuple[Door, Door], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.tasks.runtime.GRACE", 0.05)
    here, there = doors
    fill(tmp_path / "one", {"a": "a"})
    session = here.session(binding(here.context()), Root=str(tmp_path / "one"))
    with busy(there, tmp_path / "one"):
        ids = here.data("SyncContext", SessionId=session)["TaskIds"]
        ids += here.data("SyncContext", SessionId=session, Mode="download")["TaskIds"]
        told = threading.Event()
        watch = here.service.watch("GetContextInfo", encoded({"SessionId": session, "TaskIds": ids, "WaitMs": 10_000}))
        assert watch is not None
        watch.subscribe(told.set)
        here.service.close()
        here.service.close()
    assert told.is_set()
    assert watch.ready()
    ended = there.info(session, TaskIds=ids)
    assert [task["status"] for task in ended] == ["Failed", "Failed"]
    assert all(task["errorMessage"].startswith("interrupted: the service was closed") for task in ended)
    answer = here.service.handle("ListContexts", {})
    assert answer["Code"] == "ServiceUnavailable.Closed"


def test_a_process_that_exits_with_a_sync_running_neither_hangs_nor_leaves_it_running(
    doors: tuple[Door, Door], tmp_path: Path, elsewhere: Elsewhere
) -> None:
    here, _ = doors
    fill(tmp_path / "one", {"a": "a"})
    session = here.session(binding(here.context()), Root=str(tmp_path / "one"))
    program = """
        import json, sys
        from ctxmgr.service import ContextService
        service = ContextService.open(sys.argv[1], **json.loads(sys.argv[3]))
        print(service.handle("SyncContext", {"SessionId": sys.argv[2]})["Success"])
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "data"), session]
    command.append(json.dumps(elsewhere))
    with busy(here, tmp_path / "one"):
        child = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (child.returncode, child.stdout, child.stderr) == (0, "True\n", "")
    (task,) = here.info(session, TaskType="upload")
    assert (task["status"], task["errorMessage"][:12]) == ("Failed", "interrupted:")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_of_the_process_is_refused_and_ends_nothing(doors: tuple[Door, Door]) -> None:
    here, _ = doors
    here.context()
    process = os.fork()
    if process == 0:
        answer = here.service.handle("ListContexts", {})
        here.service.close()
        os._exit(0 if answer["Code"] == "ServiceUnavailable.Forked" else 1)
    assert os.waitpid(process, 0)[1] == 0
    assert here.answer("ListContexts")["TotalCount"] == 1


def test_a_failure_that_cannot_be_recorded_is_told_and_recorded_later(
    doors: tuple[Door, Door], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = doors
    fill(tmp_path / "one", {"a": "a"})
    session = here.session(binding(here.context()), Root=str(tmp_path / "one"))
    monkeypatch.setattr("ctxmgr.service.tasks.runtime.SECONDS_BETWEEN_CHECKS", 0.0)

    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ctxmgr.engine.sync.run.load_state", full)
        patch.setattr("ctxmgr.service.catalog.tasks.fail", full)
        ids = here.data("SyncContext", SessionId=session)["TaskIds"]
        assert here.park(SessionId=session, TaskIds=ids, WaitMs=10_000)
        (task,) = here.info(session, TaskIds=ids)
        assert task["status"] == "Failed"
        assert "No space left" in task["errorMessage"]
        assert there.info(session, TaskIds=ids)[0]["status"] == "Running"
    here.info(session)
    assert there.info(session, TaskIds=ids)[0]["errorMessage"] == task["errorMessage"]


def test_a_task_that_was_queued_and_never_begun_fails(
    doors: tuple[Door, Door], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = doors
    fill(tmp_path / "one", {"a": "a"})
    session = here.session(binding(here.context()), Root=str(tmp_path / "one"))

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ctxmgr.workers.Workers.submit", stop)
        with pytest.raises(KeyboardInterrupt):
            here.data("SyncContext", SessionId=session)
    monkeypatch.setattr("ctxmgr.service.tasks.runtime.SECONDS_BETWEEN_CHECKS", 0.0)
    (task,) = here.info(session, TaskType="upload")
    assert (task["status"], task["errorMessage"][:12]) == ("Failed", "interrupted:")
    assert here.sync(session)[0]["status"] == "Success"


def test_a_node_that_cant_be_looked_at_keeps_no_request_from_its_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = (Door(ContextService.open(tmp_path / "data")) for _ in range(2))
    lock = tmp_path / "data" / "nodes" / f"{there.service._runtime.node.id}.lock"
    lock.unlink()
    lock.mkdir()
    here.service._runtime.end_lost_tasks(now=True)
    assert here.context()
    ContextService.open(tmp_path / "data").close()
    assert all(there.service._runtime.node.id in message for message in caplog.messages)
    assert len(caplog.messages) == 2, "once for each service that looked"
    lock.rmdir()
    for door in (here, there):
        door.service.close()
