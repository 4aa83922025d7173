"""What contexts hold, followed from what was known: pages, restored services, answers that lie."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ctxmgr import nodewire
from ctxmgr.engine.manifest.entries import FILE, IMPLIED, Entry
from ctxmgr.errors import ServiceError
from ctxmgr.node.contextstore import HttpContextStore
from ctxmgr.node.door import Door
from ctxmgr.node.manifests import Manifests
from ctxmgr.protocol import Reply
from tests.support.scriptedwire import Script, ScriptedWire, refusing, said

CONTEXT = "SdkCtx-1"
WELCOME = nodewire.Welcome(1, 30_000, 10_000, nodewire.PIECE_BYTES, nodewire.READ_BYTES)
A = Entry(FILE, 0o644, 2, 3, b"a" * 32, (b"a" * 32,))
B = msgspec.structs.replace(A, mtime_ns=3)


class Node:
    """A store of a node's, with these answers behind it."""

    def __init__(self, folder: Path, *answers: Script) -> None:
        self.wire = ScriptedWire(*answers)
        self.store = HttpContextStore(Door(self.wire, threading.Event()), WELCOME, Manifests(folder))

    def held(self, *paths: str) -> tuple[int, tuple[dict[bytes, Entry], ...]]:
        origins = self.store.origins(CONTEXT, paths or ("/",))
        return origins.head, origins.rows


def page(head: int, entries: dict[bytes, Entry | None], *, key: str = "k", **more: Any) -> Reply:
    told = {"full": False, "end": True, **more}
    return said(nodewire.ChangesPage(head, f"{key}{head}", entries=nodewire.pack(list(entries.items())), **told))


def test_what_is_known_need_not_come_again(tmp_path: Path) -> None:
    Node(tmp_path, page(1, {b"a": A, b"b": A})).held()
    later = Node(tmp_path, page(3, {b"a": None, b"c": B}))
    assert later.held() == (3, ({b"b": A, b"c": B},))
    assert [(asked.known, asked.known_key) for asked in later.wire.asked] == [(1, "k1")]


def test_directories_that_are_implied_are_added_and_never_remembered(tmp_path: Path) -> None:
    assert Node(tmp_path, page(1, {b"d/a": A})).held() == (1, ({b"d": IMPLIED, b"d/a": A},))
    assert Node(tmp_path, page(2, {b"d/a": None})).held() == (2, ({},))


def test_pages_are_of_the_first_ones_head_and_go_on_where_it_says(tmp_path: Path) -> None:
    node = Node(
        tmp_path,
        page(2, {b"a": A}, end=False, next_after=b"a"),
        page(2, {b"b": A}, end=False, next_origin=1),
        page(2, {b"c": B}, origin=1, in_the_way=[b"x"]),
    )
    assert node.held("/one", "/two") == (2, ({b"a": A, b"b": A}, {b"c": B}))
    assert [(asked.at, asked.origin, asked.after) for asked in node.wire.asked] == [
        (0, 0, b""),
        (2, 0, b"a"),
        (2, 1, b""),
    ]


def test_a_service_that_was_restored_is_read_anew(tmp_path: Path) -> None:
    Node(tmp_path, page(7, {b"a": A})).held()
    assert Node(tmp_path, page(2, {b"b": B}, full=True)).held() == (2, ({b"b": B},))


def test_a_service_that_is_restored_between_two_pages_is_read_anew(tmp_path: Path) -> None:
    node = Node(
        tmp_path,
        page(2, {b"a": A}, end=False, next_after=b"a"),
        page(2, {b"b": A}, key="other"),
        page(2, {b"c": B}, key="other", full=True),
    )
    assert node.held() == (2, ({b"c": B},))


def test_a_revision_that_goes_between_two_pages_is_read_anew(tmp_path: Path) -> None:
    gone = refusing("InvalidRevision.NotFound", 404)
    node = Node(tmp_path, page(2, {b"a": A}, end=False, next_after=b"a"), gone, page(3, {b"c": B}))
    assert node.held() == (3, ({b"c": B},))


@pytest.mark.parametrize(
    "lie",
    [
        page(1, {}, end=False),
        page(1, {}, origin=1),
        said(nodewire.ChangesPage(1, "k", full=False, entries=b"rubbish", end=True)),
    ],
    ids=["no end", "a path that was not asked for", "rubbish"],
)
def test_pages_that_can_not_be_are_an_error(tmp_path: Path, lie: Reply) -> None:
    with pytest.raises(ServiceError, match="can't be used"):
        Node(tmp_path, lie).held()


def test_what_a_workspace_uploaded_comes_in_pages(tmp_path: Path) -> None:
    pages = [
        nodewire.EntriesPage(nodewire.pack([[b"a", A]]), b"a"),
        nodewire.EntriesPage(nodewire.pack([[b"b", None]]), end=True),
    ]
    store = Node(tmp_path, *map(said, pages)).store
    assert store.uploaded_since(CONTEXT, "/", workspace="w", revision=1) == {b"a": A, b"b": None}


def test_a_service_that_does_not_know_keys_tells_none_and_may_have_changed(tmp_path: Path) -> None:
    node = Node(tmp_path, *[refusing("InvalidPath.NotFound", 404)] * 2)
    assert node.store.key(CONTEXT, 1) is None
    assert not node.store.is_unchanged(CONTEXT, ["/"], revision=1, key="k", packs=[])


def test_more_packs_than_a_message_takes_are_not_asked_about(tmp_path: Path) -> None:
    node = Node(tmp_path)
    packs = [str(number) for number in range(nodewire.MAX_PACKS + 1)]
    assert not node.store.is_unchanged(CONTEXT, ["/"], revision=1, key="k", packs=packs)
    assert node.wire.asked == []
