"""Packs and reads on their way beside other work: bounded, in order, and never lost."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from functools import partial

import pytest

from ctxmgr.engine.content.aside import Outgoing, ahead
from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.errors import ContentError
from tests.support.scripted import PATIENCE


class SlowContent:
    """A store whose puts wait until they may go on, and fail as often as is said; nothing else is asked of it."""

    def __init__(self, at_once: int, failures: int = 0) -> None:
        self.at_once = at_once
        self.may_go_on = threading.Event()
        self.begun: list[str] = []
        self.stored: list[str] = []
        self.failures = failures
        self.most = 0

    def put(self, pack: SealedPack) -> None:
        self.begun.append(pack.name)
        self.most = max(self.most, len(self.begun) - len(self.stored))
        assert self.may_go_on.wait(PATIENCE)
        if self.failures:
            self.failures -= 1
            raise ContentError("not now")
        self.stored.append(pack.name)

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        return set(digests)

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        return {}

    def holders(self, digests: Collection[bytes]) -> set[str] | None:
        return None

    def read(self, places: Sequence[Located]) -> Sequence[memoryview]:
        return []


def store(outgoing: Outgoing, packs: list[SealedPack]) -> None:
    for pack in packs:
        outgoing.put(pack)
    outgoing.finish()


def packs(count: int) -> list[SealedPack]:
    return [SealedPack(str(number), b"", []) for number in range(count)]


def test_as_many_as_the_store_takes_are_on_their_way_and_no_more() -> None:
    content = SlowContent(at_once=2)
    outgoing = Outgoing(content)
    for pack in packs(2):
        outgoing.put(pack)  # would wait for ever, were they stored one by one
    content.may_go_on.set()
    store(outgoing, packs(5)[2:])
    assert (sorted(content.stored), content.most) == (["0", "1", "2", "3", "4"], 2)


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_could_not_be_stored_is_tried_again(at_once: int) -> None:
    content = SlowContent(at_once, failures=1)
    content.may_go_on.set()
    outgoing = Outgoing(content)
    with pytest.raises(ContentError, match="not now"):
        store(outgoing, packs(4))
    outgoing.finish()
    assert "0" in content.stored


def test_a_call_is_made_while_the_outcome_of_the_one_before_is_used() -> None:
    called = [threading.Event() for _ in range(3)]

    def call(number: int) -> int:
        called[number].set()
        return number

    def calls() -> Iterator[partial[int]]:
        return (partial(call, number) for number in range(3))

    outcomes = ahead(calls())
    assert next(outcomes) == 0
    assert called[1].wait(PATIENCE)
    assert not called[2].is_set()
    assert list(outcomes) == [1, 2]


def test_what_a_call_raises_comes_in_its_turn() -> None:
    def fail() -> int:
        raise ContentError("gone")

    outcomes = ahead(iter([lambda: 1, fail]))
    assert next(outcomes) == 1
    with pytest.raises(ContentError, match="gone"):
        next(outcomes)
