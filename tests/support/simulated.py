"""Tasks that take their time, on a scripted server: started by SyncContext, told and parked for by GetContextInfo."""

from __future__ import annotations

import itertools
import json
import threading
import time

from .answers import Document, entry, listed, started
from .scripted import Recorded, ScriptedServer

__all__ = ["ParkedTask", "SharedTasks", "SimulatedTasks"]


class SimulatedTasks:
    """Tasks that each end successfully some seconds after they were started.

    Args:
        seconds: how long each takes; may be changed for those to come.
        parks: whether GetContextInfo honours ``WaitMs``.
    """

    def __init__(self, server: ScriptedServer, seconds: float, *, parks: bool = True) -> None:
        self.seconds = seconds
        self._parks = parks
        self._ends: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._closing = server.closing
        server.script("SyncContext", self._start)
        server.script("GetContextInfo", self._tell)

    def _start(self, request: Recorded) -> Document:
        task_id = f"t-{next(self._numbers)}"
        self._ends[task_id] = time.monotonic() + self.seconds
        return started(task_id)

    def _tell(self, request: Recorded) -> Document:
        asked = json.loads(request.parameters.get("TaskIds", "null"))
        known = [task_id for task_id in asked if task_id in self._ends] if asked is not None else list(self._ends)
        if self._parks and known:
            first_end = min(self._ends[task_id] for task_id in known) - time.monotonic()
            self._closing.wait(min(first_end, int(request.parameters.get("WaitMs", "0")) / 1000))
        now = time.monotonic()
        return listed(*(self._entry(task_id, now) for task_id in known))

    def _entry(self, task_id: str, now: float) -> Document:
        return entry("Success" if now >= self._ends[task_id] else "Running", task_id=task_id)


class SharedTasks:
    """Tasks that all succeed as soon as one request asks for that many of them, and never otherwise."""

    def __init__(self, server: ScriptedServer, together: int) -> None:
        self._together = together
        self._ended = threading.Event()
        numbers = itertools.count(1)
        server.script("SyncContext", lambda request: started(f"t-{next(numbers)}"))
        server.script("GetContextInfo", self._tell)

    def _tell(self, request: Recorded) -> Document:
        asked = json.loads(request.parameters.get("TaskIds", "[]"))
        if len(asked) >= self._together:
            self._ended.set()
        self._ended.wait(int(request.parameters.get("WaitMs", "0")) / 1000)
        status = "Success" if self._ended.is_set() else "Running"
        return listed(*(entry(status, task_id=task_id) for task_id in asked))


class ParkedTask:
    """A first task, ``t-1``, that goes on while the server runs; all others have succeeded when they are asked for.

    Attributes:
        parked: whether a request for the first alone is here, which is parked until the server stops.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self.parked = False
        self._closing = server.closing
        numbers = itertools.count(1)
        server.script("SyncContext", lambda request: started(f"t-{next(numbers)}"))
        server.script("GetContextInfo", self._tell)

    def _tell(self, request: Recorded) -> Document:
        asked = json.loads(request.parameters.get("TaskIds", "[]"))
        if asked == ["t-1"]:
            self.parked = True
            self._closing.wait()
        return listed(*(entry("Running" if each == "t-1" else "Success", task_id=each) for each in asked))
