"""A process that is killed, at moments chosen in its code, and what the next one finds."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, binding, fill, tree

pytestmark = pytest.mark.slow

BEFORE = {"same": "same", "edited": "before", "gone": "gone", "dir/deep": "deep"}
AFTER = {"same": "same", "edited": "after", "new/file": "new", "dir/deep": "deep"}

# Runs one sync in a process that kills itself at the given moment: (module, function, before or after the call).
CHILD = """
    import importlib, json, os, signal, sys, threading
    from ctxmgr.service import ContextService

    data, session, mode, module, name, when = sys.argv[1:]

    def die(*args, **kwargs):
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    service = ContextService.open(data)
    owner = importlib.import_module("ctxmgr." + module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    setattr(owner, last, die)
    answer = service.handle("SyncContext", {"SessionId": session, "Mode": mode})
    assert answer["Success"], answer
    threading.Event().wait(30)
"""

UPLOAD_MOMENTS = [
    ("service.catalog.tasks", "start", "before"),
    ("service.catalog.tasks", "start", "after"),
    ("engine.sync.run", "scan", "after"),
    ("service.catalog.chunkindex", "CatalogChunkIndex.add", "before"),
    ("service.catalog.chunkindex", "CatalogChunkIndex.add", "after"),
    ("service.catalog.revisions", "commit", "after"),
    ("service.catalog.tasks", "succeed", "after"),
    ("engine.sync.run", "save_state", "before"),
    ("engine.sync.run", "save_state", "after"),
    ("engine.sync.narrow", "scan_differences", "after"),
    ("engine.sync.narrow", "save_state", "before"),
    ("engine.sync.narrow", "save_state", "after"),
]
IGNORING = {".ctxignore": "ignored"}
"""Has everything looked at, where otherwise only what differs is."""
DOWNLOAD_MOMENTS = [
    ("service.catalog.revisions", "commit", "after"),
    ("engine.sync.run", "apply", "before"),
    ("engine.workspace.apply", "_Work.remove", "after"),
    ("engine.sync.run", "apply", "after"),
    ("engine.sync.run", "save_state", "after"),
    ("service.catalog.tasks", "succeed", "after"),
]


def killed_at(moment: tuple[str, str, str], data: Path, session: str, mode: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(data), session, mode, *moment]
    child = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr


def ended(door: Door, session: str, task_type: str) -> list[dict[str, Any]]:
    """The session's latest tasks of a type, once they have ended."""
    return door.wait(session, [task["taskId"] for task in door.info(session, TaskType=task_type)])


@pytest.mark.parametrize("moment", UPLOAD_MOMENTS, ids="-".join)
def test_an_upload_killed_at_any_moment_leaves_a_whole_context(moment: tuple[str, str, str], tmp_path: Path) -> None:
    ignoring = IGNORING if moment[0] == "engine.sync.run" else {}
    before, after = {**BEFORE, **ignoring}, {**AFTER, **ignoring}
    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    context = door.context()
    fill(tmp_path / "one", before)
    session = door.session(binding(context), Root=str(tmp_path / "one"))
    door.sync(session)
    fill(tmp_path / "one", after)
    try:
        killed_at(moment, tmp_path / "data", session, "upload")
        (killed,) = ended(door, session, "upload")
        saved = killed["status"] == "Success"
        assert saved or killed["errorMessage"] == "interrupted: the process that ran it ended"
        (tmp_path / "two").mkdir()
        door.session(binding(context), Root=str(tmp_path / "two"))
        assert tree(tmp_path / "two") == (after if saved else before)
        (task,) = door.sync(session)
        assert (task["status"], task["nothingToSync"]) == ("Success", saved)
        (tmp_path / "three").mkdir()
        door.session(binding(context), Root=str(tmp_path / "three"))
        assert tree(tmp_path / "three") == after
        assert tree(tmp_path / "one") == after
    finally:
        service.close()


@pytest.mark.parametrize("moment", DOWNLOAD_MOMENTS, ids="-".join)
def test_a_download_killed_at_any_moment_is_repaired_by_the_next(moment: tuple[str, str, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    service = ContextService.open(data)
    door = Door(service)
    context = door.context()
    fill(tmp_path / "one", BEFORE)
    one = door.session(binding(context), Root=str(tmp_path / "one"))
    door.sync(one)
    (tmp_path / "two").mkdir()
    two = door.session(binding(context), Root=str(tmp_path / "two"))
    fill(tmp_path / "one", AFTER)
    door.sync(one)
    fill(tmp_path / "two", {**BEFORE, "edited": "here as well"})
    service.close()
    killed_at(moment, data, two, "download")
    service = ContextService.open(data)
    door = Door(service)
    try:
        assert all(task["status"] in ("Success", "Failed") for task in door.info(two))
        (task,) = door.sync(two, "download")
        assert task["status"] == "Success"
        assert tree(tmp_path / "two") == AFTER
        (tmp_path / "three").mkdir()
        door.session(binding(context), Root=str(tmp_path / "three"))
        assert tree(tmp_path / "three") == AFTER
        door.sync(two)
        door.sync(one, "download")
        assert tree(tmp_path / "one") == AFTER
    finally:
        service.close()


def test_what_a_killed_upload_committed_is_not_taken_for_a_change_later(tmp_path: Path) -> None:
    service = ContextService.open(tmp_path / "data")
    try:
        door = Door(service)
        context = door.context()
        sessions = {}
        for name in ("one", "two"):
            fill(tmp_path / name, {})
            sessions[name] = door.session(binding(context), Root=str(tmp_path / name))
        fill(tmp_path / "one", {"a": "first", "gone": "x"})
        door.sync(sessions["one"])
        fill(tmp_path / "one", {"a": "second", "new": "x"})
        killed_at(("engine.sync.narrow", "save_state", "before"), tmp_path / "data", sessions["one"], "upload")
        door.sync(sessions["two"], "download")
        fill(tmp_path / "two", {"a": "of two", "gone": "again"})
        door.sync(sessions["two"])
        (task,) = door.sync(sessions["one"])
        assert (task["status"], task["nothingToSync"]) == ("Success", True)
        door.sync(sessions["one"], "download")
        assert tree(tmp_path / "one") == {"a": "of two", "gone": "again"}
    finally:
        service.close()


def test_a_session_whose_last_upload_was_killed_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    service = ContextService.open(data)
    try:
        door = Door(service)
        fill(tmp_path / "one", BEFORE)
        session = door.session(binding(door.context()), Root=str(tmp_path / "one"))
        child = textwrap.dedent(CHILD).replace('"SyncContext"', '"DeleteSessionAsync"')
        command = [sys.executable, "-c", child, str(data), session, "upload", "engine.sync.run", "load_state", "after"]
        assert subprocess.run(command, timeout=60, capture_output=True).returncode == -signal.SIGKILL
        assert [task["status"] for task in ended(door, session, "upload")] == ["Failed"]
        detail = door.data("GetSessionDetail", SessionId=session)
        assert detail["Status"] == "RUNNING"
        assert "interrupted" in detail["EndReason"]
        assert door.delete_session(session)["Status"] == "FINISH"
    finally:
        service.close()
