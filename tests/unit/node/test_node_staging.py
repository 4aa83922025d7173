"""What is sent in pieces: from where the service has it, and again where it was lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.node.door import Door
from ctxmgr.node.staging import Staging
from ctxmgr.protocol import Reply
from tests.support.scriptedwire import ScriptedWire, said

DATA = bytes(range(100))
NAME = blake3(DATA).hexdigest()


class Stages:
    """A service that keeps what is staged.

    Attributes:
        there: what it has.
    """

    def __init__(self, there: bytes = b"", *, keeps: bool = True) -> None:
        self.there = there
        self._keeps = keeps

    def __call__(self, message: Any) -> Reply:
        assert (message.name, message.size) == (NAME, len(DATA))
        if self._keeps and message.offset == len(self.there):
            self.there += message.piece
        return said(nodewire.Staged(len(self.there)))


class Sent:
    """The message that the data belongs to; it is refused so often."""

    def __init__(self, stages: Stages, refusals: int = 0) -> None:
        self._stages = stages
        self._refusals = refusals
        self.calls: list[tuple[bytes, str]] = []

    def __call__(self, data: bytes, name: str) -> None:
        self.calls.append((data, name))
        if self._refusals:
            self._refusals -= 1
            self._stages.there = b""
            raise ServiceError("InvalidStage.NotFound", "send it again")


def delivered(stages: Stages, sent: Sent, *, piece: int = 30, room: int = 0) -> list[int]:
    """Deliver the data; return where each piece began."""
    wire = ScriptedWire(stages)
    Staging(Door(wire, threading.Event()), piece).deliver(DATA, sent, room=room)
    return [message.offset for message in wire.asked]


def test_what_fits_goes_with_its_message() -> None:
    sent = Sent(Stages())
    assert delivered(Stages(), sent, piece=100) == []
    assert sent.calls == [(DATA, "")]


def test_room_for_the_rest_of_the_message_is_left() -> None:
    sent = Sent(Stages())
    assert delivered(Stages(), sent, piece=100, room=1) == [0]
    assert sent.calls == [(b"", NAME)]


def test_what_does_not_fit_goes_before_in_pieces() -> None:
    stages = Stages()
    assert delivered(stages, Sent(stages)) == [0, 30, 60, 90]
    assert stages.there == DATA


def test_it_goes_on_with_what_the_service_has_not_yet() -> None:
    stages = Stages(DATA[:75])
    assert delivered(stages, Sent(stages)) == [0, 75]
    assert stages.there == DATA


def test_what_was_lost_meanwhile_is_sent_again() -> None:
    stages = Stages()
    assert delivered(stages, Sent(stages, refusals=1)) == [0, 30, 60, 90, 0, 30, 60, 90]


def test_what_is_lost_again_and_again_is_given_up() -> None:
    stages = Stages()
    with pytest.raises(ServiceError, match="send it again"):
        delivered(stages, Sent(stages, refusals=9))


def test_a_service_that_takes_nothing_is_given_up() -> None:
    stages = Stages(keeps=False)
    with pytest.raises(ServiceError, match="100 bytes, and has 0 of them"):
        delivered(stages, Sent(stages))


def test_a_service_that_loses_what_it_takes_is_given_up() -> None:
    class Forgetful(Stages):
        def __call__(self, message: Any) -> Reply:
            if message.offset:
                self.there = b""
            return super().__call__(message)

    stages = Forgetful()
    with pytest.raises(ServiceError, match="whatever is sent"):
        delivered(stages, Sent(stages))
