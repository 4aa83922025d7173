"""Content that a service elsewhere keeps: asked for in parts, read in what the way there carries."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.node import content, door
from ctxmgr.node.content import HttpContentStore
from ctxmgr.node.direct import Direct
from ctxmgr.node.door import Door
from ctxmgr.node.staging import Staging
from ctxmgr.protocol import Reply
from tests.support.scriptedwire import ScriptedWire, lost, refusing, said

MIB = 1 << 20


def store_over(wire: ScriptedWire, read_bytes: int = 8 * MIB) -> HttpContentStore:
    way = Door(wire, threading.Event())
    return HttpContentStore(way, Staging(way, nodewire.PIECE_BYTES), Direct(way, offered=False), read_bytes)


def names(count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(count)]


def read_from(message: nodewire.Read) -> Reply:
    """Answer a read: each byte of a chunk is its offset."""
    return said(b"".join(bytes([offset % 256]) * stored for _, offset, stored in message.places))


def test_many_chunks_are_asked_about_in_parts() -> None:
    wire = ScriptedWire(lambda message: said(nodewire.Digests(message.digests[:32])))
    asked = names(nodewire.MAX_DIGESTS + 1)
    assert store_over(wire).missing(asked) == {asked[0], asked[-1]}
    assert [len(message.digests) // 32 for message in wire.asked] == [nodewire.MAX_DIGESTS, 1]


def test_places_are_told_by_chunk() -> None:
    one, other = names(2)
    wire = ScriptedWire(said(nodewire.Places(nodewire.pack([[other, "pack", 7, 8, 9]]))))
    assert store_over(wire).locate([one, other]) == {other: Located("pack", 7, 8, 9)}


def test_chunks_come_in_the_order_asked_for() -> None:
    places = [Located("p", 2, 3, 3), Located("q", 1, 2, 9)]
    assert [bytes(each) for each in store_over(ScriptedWire(read_from)).read(places)] == [b"\2\2\2", b"\1\1"]


def test_what_one_answer_may_not_hold_is_asked_for_in_several() -> None:
    wire = ScriptedWire(read_from)
    places = [Located("p", at, 6 * MIB, 6 * MIB) for at in range(3)]
    assert [len(each) for each in store_over(wire).read(places)] == [6 * MIB] * 3
    assert [len(message.places) for message in wire.asked] == [1, 1, 1]


def test_what_a_proxy_cuts_is_asked_for_in_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def cutting(message: nodewire.Read) -> Reply:
        if sum(stored for _, _, stored in message.places) > MIB:
            raise lost()
        return read_from(message)

    monkeypatch.setattr(content, "_READ_PATIENCE", 0.0)
    places = [Located("p", at, MIB // 2, MIB) for at in range(16)]
    found = store_over(ScriptedWire(cutting)).read(places)
    assert [bytes(each[:1]) for each in found] == [bytes([at]) for at in range(16)]


def test_an_answer_of_another_size_is_an_error() -> None:
    with pytest.raises(ContentError, match="3 bytes came instead of 2"):
        store_over(ScriptedWire(said(b"abc"))).read([Located("p", 0, 2, 2)])


def test_a_pack_that_fits_is_one_message() -> None:
    wire = ScriptedWire(said(nodewire.Done()))
    store_over(wire).put(SealedPack("name", b"data", []))
    assert wire.asked == [nodewire.StorePack("name", 4, b"data")]


@pytest.mark.parametrize("act", ["missing", "locate", "put", "read"])
def test_a_refusal_is_an_error_that_says_why(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_over(ScriptedWire(refusing("InsufficientStorage", 507)))
    calls: dict[str, Any] = {
        "missing": lambda: store.missing(names(1)),
        "locate": lambda: store.locate(names(1)),
        "put": lambda: store.put(SealedPack("name", b"data", [])),
        "read": lambda: store.read([Located("p", 0, 1, 1)]),
    }
    with pytest.raises(ContentError, match="because of InsufficientStorage"):
        calls[act]()


def test_a_service_that_can_not_be_asked_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PATIENCE_SECONDS", 0.0)
    store = store_over(ScriptedWire(lost()))
    with pytest.raises(ContentError, match="did not answer the call 'missing': the connection broke"):
        store.missing(names(1))
