"""The way past the service: what is sent and read there, and when it is given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.sync.task import TaskInterrupted
from ctxmgr.errors import ConnectionFailed, ProtocolError, RequestTimeout, ServiceError, TransportError
from ctxmgr.node import direct
from ctxmgr.node.direct import Direct
from ctxmgr.node.door import Door
from ctxmgr.protocol import Reply
from tests.support.scriptedwire import ScriptedWire, refusing, said

PACK = SealedPack("0" * 64, b"content", [])
LARGE = 300 << 10
CHALLENGE = b"c" * 32


class Store(ScriptedWire):
    """A service and a store behind it.

    Attributes:
        sent, read: the URLs that were used.
    """

    def __init__(self, *failures: TransportError, answer: Callable[[Any], Reply] | None = None) -> None:
        super().__init__(answer or self._answer)
        self._failures = list(failures)
        self._urls = 0
        self.sent: list[str] = []
        self.read: list[tuple[str, int, int]] = []

    def put(self, url: str, data: bytes) -> None:
        self.sent.append(url)
        self._fail()

    def get(self, url: str, start: int, end: int) -> bytes:
        self.read.append((url, start, end))
        self._fail()
        return bytes([start % 256]) * (end - start)

    def calls(self, kind: type[nodewire.Message]) -> int:
        return sum(isinstance(message, kind) for message in self.asked)

    def _fail(self) -> None:
        if self._failures:
            raise self._failures.pop(0)

    def _answer(self, message: Any) -> Reply:
        self._urls += 1
        if isinstance(message, nodewire.PutUrl):
            return said(nodewire.UploadUrl(f"https://store/{self._urls}", CHALLENGE))
        if isinstance(message, nodewire.GetUrls):
            told = {pack: f"https://store/{pack}/{self._urls}" for pack in message.packs if pack != "shared"}
            return said(nodewire.PackUrls(told, 600))
        return said(nodewire.Done())


def over(store: Store, *, offered: bool = True) -> Direct:
    return Direct(Door(store, threading.Event()), offered=offered)


def broken() -> ConnectionFailed:
    return ConnectionFailed("the connection broke")


def answered(status: int) -> ProtocolError:
    return ProtocolError(f"HTTP {status}", http_status=status)


def test_a_pack_that_was_sent_is_proven() -> None:
    store = Store()
    assert over(store).put(PACK)
    assert store.sent == ["https://store/1"]
    proof = blake3(PACK.data, key=CHALLENGE).digest()
    assert store.asked[-1] == nodewire.StorePack(PACK.name, len(PACK.data), proof=proof)


def test_what_was_not_offered_is_not_asked_for() -> None:
    store = Store()
    way = over(store, offered=False)
    assert not way.put(PACK)
    assert way.read([Located("pack", 0, LARGE, LARGE)]) == {}
    assert store.asked == []


@pytest.mark.parametrize("passing", [broken(), answered(503), answered(403)], ids=str)
def test_what_passes_is_tried_once_more_by_a_new_url(passing: TransportError) -> None:
    store = Store(passing)
    assert over(store).put(PACK)
    assert store.sent == ["https://store/1", "https://store/2"]
    store = Store(passing)
    assert over(store).read([Located("pack", 7, LARGE, LARGE)])
    assert [url for url, *_ in store.read] == ["https://store/pack/1", "https://store/pack/2"]


@pytest.mark.parametrize(
    "lasting", [ConnectionFailed("no connection", received=False), RequestTimeout("silent"), answered(400)], ids=str
)
def test_what_lasts_closes_the_way_for_a_while(lasting: TransportError, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    store = Store(lasting)
    way = over(store)
    place = Located("pack", 0, LARGE, LARGE)
    assert not way.put(PACK)
    assert not way.put(PACK)
    assert way.read([place]) == {}
    assert len(store.sent) == store.calls(nodewire.PutUrl) == 1
    now += direct.AWAY_SECONDS
    assert way.put(PACK)
    assert way.read([place])


def test_a_pack_that_did_not_arrive_whole_is_sent_again_and_then_goes_through_the_service() -> None:
    def answer(message: Any) -> Reply:
        if isinstance(message, nodewire.PutUrl):
            return said(nodewire.UploadUrl("https://store/1", CHALLENGE))
        return refusing("InvalidStage.NotFound")

    store = Store(answer=answer)
    way = over(store)
    assert not way.put(PACK)
    assert len(store.sent) == 2
    assert not way.put(PACK)
    assert len(store.sent) == 2


def test_what_the_service_refuses_is_refused() -> None:
    def answer(message: Any) -> Reply:
        if isinstance(message, nodewire.PutUrl):
            return said(nodewire.UploadUrl("https://store/1", CHALLENGE))
        return refusing("InvalidPack.Malformed")

    with pytest.raises(ServiceError, match="because of InvalidPack"):
        over(Store(answer=answer)).put(PACK)


def test_a_service_that_knows_no_such_call_has_no_urls() -> None:
    store = Store(answer=lambda message: refusing("InvalidPath.NotFound", 404))
    way = over(store)
    assert not way.put(PACK)
    assert way.read([Located("pack", 0, LARGE, LARGE)]) == {}
    assert (store.sent, store.read) == ([], [])


def test_large_pieces_are_read_and_small_ones_are_left() -> None:
    store = Store()
    together = [Located("pack", 10, LARGE, LARGE), Located("pack", 20 + LARGE, 5, 9)]
    small = Located("other", 0, 100, 100)
    found = over(store).read([together[1], small, together[0]])
    assert store.read == [("https://store/pack/1", 10, 25 + LARGE)]
    assert {place: len(data) for place, data in found.items()} == {together[0]: LARGE, together[1]: 5}


def test_the_url_of_a_pack_is_asked_for_once_also_where_it_has_none() -> None:
    store = Store()
    way = over(store)
    for _ in range(3):
        assert way.read([Located("pack", 0, LARGE, LARGE)])
        assert way.read([Located("shared", 0, LARGE, LARGE)]) == {}
    assert store.calls(nodewire.GetUrls) == 2


@pytest.mark.parametrize("status", [404, 416])
def test_a_pack_that_is_gone_is_left_and_the_way_stays_open(status: int) -> None:
    store = Store(answered(status))
    way = over(store)
    assert way.read([Located("pack", 0, LARGE, LARGE)]) == {}
    assert way.read([Located("other", 0, LARGE, LARGE)])


def test_what_is_under_way_when_the_node_is_closed_is_interrupted() -> None:
    closing = threading.Event()
    store = Store(broken())
    way = Direct(Door(store, closing), offered=True)
    put = store.put

    def close(url: str, data: bytes) -> None:
        closing.set()
        put(url, data)

    store.put = close  # type: ignore[method-assign] # the node is closed meanwhile
    with pytest.raises(TaskInterrupted):
        way.put(PACK)
