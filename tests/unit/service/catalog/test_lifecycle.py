"""recyclePolicy: files whose time is over are ended, counted from their upload, and stay in the history."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from ctxmgr.service import ContextService
from ctxmgr.service.care.turns import alone
from ctxmgr.service.catalog import lifecycle as recycling
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.lifecycle import DAY_MS, sweep
from ctxmgr.service.catalog.retries import Retries
from ctxmgr.service.catalog.schema import revisions
from ctxmgr.service.tasks.sweeper import Sweeper
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, binding, fill, tree


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


def recycle(lifecycle: str, *paths: str) -> dict[str, object]:
    policy: dict[str, object] = {"lifecycle": f"Lifecycle_{lifecycle}"}
    return {"recyclePolicy": policy | ({"paths": list(paths)} if paths else {})}


def kept(door: Door, root: Path, files: dict[str, str], **policy: object) -> tuple[str, str]:
    context = door.context()
    fill(root, files)
    session = door.session(binding(context, "/", **policy), Root=str(root))
    door.sync(session)
    return context, session


def bind_anew(door: Door, context: str, session: str, **policy: object) -> None:
    door.data("UnbindContexts", SessionId=session, ContextId=context)
    bound = [binding(context, "/", **policy)]
    door.wait(session, door.data("BindContexts", SessionId=session, PersistenceDataList=bound)["TaskIds"])


def after(door: Door, days: float) -> int:
    return sweep(door.service._runtime.catalog, now_ms() + int(days * DAY_MS), Retries("sweep {}"))


def test_files_are_ended_when_their_time_is_over_and_not_before(door: Door, tmp_path: Path) -> None:
    context, _ = kept(door, tmp_path / "w", {"a": "1", "sub/b": "2"}, **recycle("3Days"))
    assert after(door, 2.9) == 0
    assert door.files(context) == ["/a", "/sub", "/sub/b"]
    assert after(door, 3.1) == 2
    assert door.files(context) == ["/sub"]
    assert after(door, 3.1) == 0


def test_what_was_ended_is_in_the_history(door: Door, tmp_path: Path) -> None:
    context, _ = kept(door, tmp_path / "w", {"a": "1"}, **recycle("1Day", ""))
    after(door, 2)
    revisions = door.data("ListRevisions", ContextId=context)
    assert [(revision["Revision"], revision["Note"]) for revision in revisions] == [(2, "recycle"), (1, "upload")]
    (task,) = door.data("RestoreContext", Id=context, Revision="1")["TaskIds"]
    watch = door.service.watch("GetContextInfo", {"ContextId": context, "TaskIds": f'["{task}"]', "WaitMs": "9000"})
    assert watch is not None
    called = threading.Event()
    watch.subscribe(called.set)
    while not watch.ready():
        assert called.wait(30)
        called.clear()
    assert door.files(context) == ["/a"]


def test_the_clock_is_the_upload_not_the_files_own_time(door: Door, tmp_path: Path) -> None:
    context, session = kept(door, tmp_path / "w", {"old": "1"}, **recycle("1Day"))
    assert after(door, 0.5) == 0
    fill(tmp_path / "w", {"old": "changed, so uploaded anew"})
    door.sync(session)
    with door.service._runtime.catalog.write() as connection:
        connection.execute(update(revisions).where(revisions.c.number == 1).values(created_ms=0))
    assert after(door, 0) == 0
    assert door.files(context) == ["/old"]


def test_only_the_given_paths_are_recycled_and_the_longest_counts(door: Door, tmp_path: Path) -> None:
    files = {"logs/a": "", "logs/keep/b": "", "logs.txt": "", "other/c": "", "one": ""}
    context, session = kept(door, tmp_path / "w", files, **recycle("1Day", "/logs", "one"))
    bind_anew(door, context, session, **recycle("Forever", "/logs/keep"))
    assert after(door, 400) == 2
    assert door.files(context) == ["/logs", "/logs.txt", "/logs/keep", "/logs/keep/b", "/other", "/other/c"]


def test_a_later_policy_replaces_an_earlier_one(door: Door, tmp_path: Path) -> None:
    context, session = kept(door, tmp_path / "w", {"a": "1"}, **recycle("1Day"))
    bind_anew(door, context, session, **recycle("Forever"))
    assert after(door, 4000) == 0
    bind_anew(door, context, session)
    assert after(door, 4000) == 0, "a binding that does not say changes nothing"


def test_the_rules_outlive_the_session_and_end_with_the_context(door: Door, tmp_path: Path) -> None:
    context, session = kept(door, tmp_path / "w", {"a": "1"}, **recycle("1Day"))
    door.delete_session(session)
    assert after(door, 2) == 1
    door.data("DeleteContext", Id=context)
    with door.service._runtime.catalog.read() as connection:
        assert not recycling.has_rules(connection)


def test_a_workspace_does_not_bring_back_what_was_recycled(door: Door, tmp_path: Path) -> None:
    context, session = kept(door, tmp_path / "w", {"a": "1", "b": "2"}, **recycle("1Day", "a"))
    after(door, 2)
    fill(tmp_path / "w", {"a": "1", "b": "changed"})
    door.sync(session)
    assert door.files(context) == ["/b"]
    fill(tmp_path / "w", {"a": "changed", "b": "changed"})
    door.sync(session)
    assert door.files(context) == ["/a", "/b"]
    assert tree(tmp_path / "w") == {"a": "changed", "b": "changed"}


def test_a_service_sweeps_by_itself(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    """Also after it was closed and opened again, without being asked for anything."""
    context, _ = kept(door, tmp_path / "w", {"a": "1"}, **recycle("1Day"))
    door.service.close()
    swept = threading.Event()

    def later() -> int:
        return int(2 * DAY_MS) + now_ms()

    def sweep_and_tell(*arguments: object, original: object = recycling.sweep) -> int:
        count = original(*arguments)  # type: ignore[operator]  # it is the function
        swept.set()
        return int(count)

    monkeypatch.setattr("ctxmgr.service.tasks.upkeep.now_ms", later)
    monkeypatch.setattr(recycling, "sweep", sweep_and_tell)
    again = ContextService.open(tmp_path / "data", **elsewhere)
    try:
        assert swept.wait(30)
        assert Door(again).files(context) == []
    finally:
        again.close()


def test_one_process_sweeps_at_a_time(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sweeper, "begin", lambda sweeper: None)
    context, _ = kept(door, tmp_path / "w", {"a": "1"}, **recycle("1Day"))
    monkeypatch.setattr("ctxmgr.service.tasks.upkeep.now_ms", lambda: int(2 * DAY_MS) + now_ms())
    runtime = door.service._runtime
    sweep_here = runtime.upkeep.sweeper._job
    with alone(runtime.catalog, runtime.folder.locks, "recycle"):
        sweep_here()
        assert door.files(context) == ["/a"]
    sweep_here()
    assert door.files(context) == []


def test_no_thread_is_made_where_nothing_is_ever_recycled(door: Door, tmp_path: Path) -> None:
    kept(door, tmp_path / "w", {"a": "1"}, **recycle("Forever"))
    door.service.close()
    assert door.service._runtime.upkeep.sweeper._thread is None
