"""A proxy between nodes and their service, which knows when a task runs, and kills at a message of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Final, NamedTuple

from ctxmgr import nodewire
from ctxmgr.service.api.registry import ACTIONS

from .forward import forward
from .scripted import Dropped, Raw, Recorded, ScriptedServer

__all__ = ["MOMENTS", "Marksman", "Shot"]

MOMENTS: Final = ("before", "during", "after")
"""Of a message: it has not reached the service; the service has it and has not answered; the answer is on its way."""
_OF_NO_TASK: Final = frozenset({"hello", "attach", "take", "leave", "answer", "start"})


class Shot(NamedTuple):
    """A kill at a message of a running task.

    Attributes:
        number: which message after the task's start, or after the shot before; from 1.
        moment: of the message, see ``MOMENTS``.
        victim: ``service``, or ``node``: then what follows is aimed at the next task.
        kill: kills, and returns once that is done.
    """

    number: int
    moment: str
    victim: str
    kill: Callable[[], None]


class Marksman:
    """Hands on what comes, in both directions, and kills as it was told to.

    Attributes:
        hits: how many kills came while a task ran: its start was answered, and its end had not been sent.
        messages: how many messages the last task has sent since its start.
    """

    def __init__(self, server: ScriptedServer, port: int) -> None:
        """Hand on from a server.

        Args:
            port: of loopback, where the service listens.
        """
        self.hits = 0
        self.messages = 0
        self._behind = f"127.0.0.1:{port}"
        self._guard = threading.Lock()
        self._runs = False
        self._shots: list[Shot] = []
        self._left = 0
        self._fired: list[threading.Thread] = []
        for action in ACTIONS:
            server.script(action, self._hand_on)
        for call in nodewire.CALLS:
            server.script(f"/node/{call}", self._hand_on if call in _OF_NO_TASK else self._observe)
        server.script("/node/start", self._start)

    def aim(self, shots: Sequence[Shot]) -> None:
        """Kill so in the next task, one shot after the other; what was aimed before is over when this returns."""
        for thread in self._fired:
            thread.join()
        with self._guard:
            self._fired.clear()
            self._runs = False
            self._shots = list(shots)

    @property
    def unspent(self) -> list[Shot]:
        """The shots for which no message has come yet."""
        with self._guard:
            return list(self._shots)

    def _start(self, request: Recorded) -> Raw | Dropped:
        answer = self._hand_on(request)
        with self._guard:
            self._runs = isinstance(answer, Raw) and answer.status == 200
            self.messages = self._left = 0
        return answer

    def _observe(self, request: Recorded) -> Raw | Dropped:
        shot = self._shot_at(request)
        if shot is None:
            return self._hand_on(request)
        if shot.moment == "before":
            self._fire(shot)
            return Dropped()
        if shot.moment == "during":
            return self._hand_on(request, lambda: self._fire(shot))
        answer = self._hand_on(request)
        self._fired.append(threading.Thread(target=self._fire, args=(shot,), name="shot"))
        self._fired[-1].start()
        return answer

    def _shot_at(self, request: Recorded) -> Shot | None:
        """Count a message of a running task, and return the shot that is aimed at it."""
        with self._guard:
            if not self._runs:
                return None
            self.messages += 1
            self._left += 1
            shot = self._shots.pop(0) if self._shots and self._left >= self._shots[0].number else None
            if _ends_task(request) and (shot is None or shot.moment != "before"):
                self._runs = False
            return shot

    def _fire(self, shot: Shot) -> None:
        # No message is handed on meanwhile, so none that ends the task.
        with self._guard:
            self.hits += self._runs
            self._left = 0
            shot.kill()
            if shot.victim == "node":
                self._runs = False

    def _hand_on(self, request: Recorded, sent: Callable[[], None] = lambda: None) -> Raw | Dropped:
        try:
            return forward(self._behind, request, sent=sent)
        except (OSError, HTTPException):
            return Dropped()


def _ends_task(request: Recorded) -> bool:
    if request.action == "/node/fail":
        return True
    return request.action == "/node/commit" and nodewire.decode(request.body, nodewire.Commit).outcome is not None
