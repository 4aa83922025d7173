"""The way to the door for nodes: what is sent again, what is not, and what becomes of every kind of answer."""

from __future__ import annotations

import threading

import pytest

from ctxmgr import nodewire
from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.engine.sync.task import TaskInterrupted
from ctxmgr.errors import ServiceError
from ctxmgr.filedigests import content_digest
from ctxmgr.node.door import Door, Unreachable
from ctxmgr.protocol import Reply
from tests.support.scriptedwire import Script, ScriptedWire, lost, refusing, said, unsent

DONE = said(nodewire.Done())
START = nodewire.Start("node-1", "t-1")
PROXY = Reply(502, {"Content-Type": "text/html"}, b"<h1>Bad Gateway</h1>")


class Pauses(threading.Event):
    """What ends pauses; nobody really waits."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.taken.append(timeout or 0.0)
        return self.is_set()


def called(*answers: Script, message: nodewire.Message = START, patience: float = 60.0) -> ScriptedWire:
    """Send a message through a door with these answers behind it."""
    wire = ScriptedWire(*answers)
    Door(wire, Pauses()).call(message, nodewire.Done, patience=patience)
    return wire


class TestSendingAgain:
    @pytest.mark.parametrize(
        "failure",
        [
            lost(),
            unsent(),
            PROXY,
            refusing("ServiceUnavailable", 503),
            refusing("Throttling", 429),
            refusing(nodewire.DAMAGED, 400),
            said(b"\xc1"),
            Reply(200, {"Content-Type": nodewire.CONTENT_TYPE, "Content-Digest": content_digest(b"")}, b"\x80"),
        ],
        ids=["lost", "unsent", "proxy", "closed", "throttled", "damaged there", "garbled", "damaged here"],
    )
    def test_what_may_pass_is_sent_again(self, failure: Script) -> None:
        assert len(called(failure, failure, DONE).asked) == 3

    @pytest.mark.parametrize(
        ("code", "status"),
        [("InvalidContext.NotFound", 404), ("Forbidden.Key", 403), ("InsufficientStorage", 507), ("Invalid", 413)],
    )
    def test_a_refusal_is_not(self, code: str, status: int) -> None:
        wire = ScriptedWire(refusing(code, status))
        with pytest.raises(ServiceError, match=code) as raised:
            Door(wire, Pauses()).call(START, nodewire.Done)
        assert (raised.value.code, len(wire.asked)) == (code, 1)

    def test_a_second_sending_says_so_once_the_first_may_have_come(self) -> None:
        assert [each.again for each in called(unsent(), lost(), DONE).asked] == [False, False, True]

    def test_a_message_that_is_the_same_twice_is_sent_as_it_is(self) -> None:
        message = nodewire.Fail("node-1", "t-1", "why")
        assert called(lost(), DONE, message=message).asked == [message, message]

    def test_it_pauses_longer_each_time_and_as_long_as_it_is_told(self) -> None:
        pauses = Pauses()
        told = refusing("Throttling", 429, **{"Retry-After": "7"})
        Door(ScriptedWire(lost(), lost(), lost(), told, DONE), pauses).call(START, nodewire.Done)
        assert pauses.taken[0] < pauses.taken[2] < pauses.taken[3] == 7

    def test_it_is_given_up_in_the_end(self) -> None:
        with pytest.raises(Unreachable, match=r"did not answer the call 'start': the connection broke"):
            called(lost(), patience=0)


class TestRefusals:
    def test_a_task_that_ended_is_interrupted(self) -> None:
        with pytest.raises(TaskInterrupted):
            called(refusing(nodewire.TASK_INTERRUPTED, 409))

    def test_a_head_that_moved_is_told_apart(self) -> None:
        with pytest.raises(HeadMoved):
            called(refusing(nodewire.HEAD_MOVED, 409))

    def test_progress_that_cannot_be_told_is_no_failure(self) -> None:
        Door(ScriptedWire(lost()), Pauses()).tell(nodewire.Report("node-1", "t-1"))

    def test_progress_of_a_task_that_ended_is_interrupted(self) -> None:
        with pytest.raises(TaskInterrupted):
            Door(ScriptedWire(refusing(nodewire.TASK_INTERRUPTED, 409)), Pauses()).tell(nodewire.Report("node-1", "t"))


class TestClosing:
    def test_nothing_is_sent_by_a_node_that_is_closed(self) -> None:
        closing = threading.Event()
        closing.set()
        wire = ScriptedWire(DONE)
        with pytest.raises(TaskInterrupted):
            Door(wire, closing).call(START, nodewire.Done)
        assert wire.asked == []

    def test_what_breaks_because_of_it_is_interrupted(self) -> None:
        closing = threading.Event()

        def close(message: object) -> Reply:
            closing.set()
            raise lost()

        with pytest.raises(TaskInterrupted):
            Door(ScriptedWire(close), closing).call(START, nodewire.Done)
