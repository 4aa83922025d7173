"""A way to a service's door for nodes that answers as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ctxmgr import nodewire
from ctxmgr.errors import ConnectionFailed
from ctxmgr.protocol import Answer, Reply, read_answer

__all__ = ["ScriptedWire", "lost", "refusing", "said", "unsent"]

Script = Reply | Exception | Callable[[Any], Reply]
_KINDS = {f"/node/{name}": asked for name, (asked, _) in nodewire.CALLS.items()}


def said(message: nodewire.Message | bytes) -> Reply:
    """Return an answer as a service gives it."""
    body = message if isinstance(message, bytes) else nodewire.encode(message)
    return Reply(200, {"Content-Type": "application/msgpack"}, body)


def refusing(code: str, status: int = 400, **headers: str) -> Reply:
    """Return a refusal."""
    document = {"RequestId": "R", "Success": False, "Code": code, "Message": f"because of {code}"}
    return Reply(status, {"Content-Type": "application/json", **headers}, json.dumps(document).encode())


def lost() -> ConnectionFailed:
    """Return the failure of a message whose answer was lost."""
    return ConnectionFailed("the connection broke")


def unsent() -> ConnectionFailed:
    """Return the failure of a message that was not sent."""
    return ConnectionFailed("no connection", received=False)


class ScriptedWire:
    """Answers one message after the other, the last answer again and again.

    Attributes:
        asked: the messages that came.
        closed: whether it was closed.
    """

    place = "scripted"

    def __init__(self, *answers: Script) -> None:
        self._answers = list(answers)
        self.asked: list[Any] = []
        self.closed = False

    def post(self, path: str, body: bytes, wait: float) -> Reply:
        self.asked.append(nodewire.decode(body, _KINDS[path]))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else answer(self.asked[-1])

    def put(self, url: str, data: bytes) -> None:
        raise AssertionError("nothing was offered")

    def get(self, url: str, start: int, end: int) -> bytes:
        raise AssertionError("nothing was offered")

    def read_refusal(self, reply: Reply) -> Answer:
        return read_answer(reply)

    def close(self) -> None:
        self.closed = True
