"""A process that is killed while it changes a context as a whole, or takes a file, and what the next one finds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door

pytestmark = pytest.mark.slow

# Does one thing in a process that kills itself after a call returned: (module, function).
CHILD = """
    import importlib, os, signal, sys, threading
    from ctxmgr.service import ContextService

    data, context, what, module, name = sys.argv[1:]
    service = ContextService.open(data)
    owner = importlib.import_module("ctxmgr." + module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)

    def die(*args, **kwargs):
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, last, die)
    if what == "PutFile":
        with service.write_file(context, "/new") as upload:
            upload.write(b"new")
            upload.finish()
    else:
        service.handle(what, {"Id": context, "Revision": "1"})
    threading.Event().wait(30)
"""

MOMENTS = [
    ("ClearContext", "service.catalog.tasks", "start"),
    ("ClearContext", "service.catalog.history", "go_back"),
    ("ClearContext", "service.catalog.tasks", "succeed"),
    ("RestoreContext", "service.catalog.history", "go_back"),
    ("RestoreContext", "service.catalog.tasks", "succeed"),
    ("PutFile", "service.api.transfer", "read_content"),
    ("PutFile", "service.catalog.chunkindex", "CatalogChunkIndex.add"),
    ("PutFile", "service.catalog.contextfiles", "put"),
]


@pytest.mark.parametrize("moment", MOMENTS, ids="-".join)
def test_a_change_that_is_killed_has_not_happened_and_can_be_made_again(
    moment: tuple[str, str, str], tmp_path: Path
) -> None:
    what, module, name = moment
    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    context = door.context()
    for path in ("/a", "/b"):
        with service.write_file(context, path) as upload:
            upload.write(path.encode())
            upload.finish()
    service.close()

    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path / "data"), context, what, module, name]
    child = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr

    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    assert door.files(context) == ["/a", "/b"]
    assert door.data("GetContext", ContextId=context)["State"] == "available"
    status = door.data("GetContextInfo", ContextId=context)["ContextStatus"]
    if what != "PutFile":
        (task,) = json.loads(json.loads(status)[0]["data"])
        assert (task["status"], task["errorMessage"].partition(":")[0]) == ("Failed", "interrupted")
        ids = door.data(what, Id=context, Revision=1)["TaskIds"]
        door.park(ContextId=context, TaskIds=ids, WaitMs=30_000)
        assert door.files(context) == ([] if what == "ClearContext" else ["/a"])
    service.close()


def test_files_that_are_put_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    context = door.context()
    start = threading.Barrier(8)

    def put(number: int) -> None:
        with service.write_file(context, f"/f{number}") as upload:
            upload.write(b"x" * number)
            start.wait()
            upload.finish()

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert door.files(context) == [f"/f{number}" for number in range(8)]
    assert [item["Revision"] for item in door.data("ListRevisions", ContextId=context)] == list(range(8, 0, -1))
    service.close()
