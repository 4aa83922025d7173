"""What nodes ask of contexts over real sockets: what changed, in pages, and what was held or lost."""

from __future__ import annotations

import pytest

from ctxmgr import nodewire
from ctxmgr.engine.manifest.entries import Entry
from ctxmgr.testing import Service

from .anywhere import ctxmgr_service
from .asking import Asker
from .nodeasking import SpeakingNode, changing, file_of, refused

__all__ = ["ctxmgr_service"]

A = file_of(b"content")


class TestChanges:
    @pytest.fixture
    def context(self, node: SpeakingNode, asker: Asker, session: str) -> str:
        task = node.begun(session)
        node.store(b"content")
        node.commit(task, changing({b"d/a": A, b"d/b": A, b"e": A}), done=False)
        node.commit(task, changing({b"d/c": A, b"e": A}, b"d/a", current=(b"e",)), head=1, done=False)
        return asker.context()

    def test_everything_comes_to_who_knows_nothing(self, node: SpeakingNode, context: str) -> None:
        page, told = node.changes(context)
        assert (page.head, page.full, page.end) == (2, True, True)
        assert told == [(b"d/b", A), (b"d/c", A), (b"e", A)]

    def test_who_knows_a_revision_learns_what_changed_since(self, node: SpeakingNode, context: str) -> None:
        task = node.begun(node.session())
        first, _ = node.changes(context)
        node.commit(task, changing({b"d/d": A}, b"d/b", b"e"), head=2, done=False)
        node.commit(task, changing({b"e": A}), head=3, done=False)
        page, told = node.changes(context, known=first.head, known_key=first.key)
        assert (page.head, page.full) == (4, False)
        assert told == [(b"d/b", None), (b"d/d", A), (b"e", A)]
        page, told = node.changes(context, known=page.head, known_key=page.key)
        assert (page.head, page.full, told, page.end) == (4, False, [], True)

    def test_who_knows_another_life_of_the_context_learns_everything(self, node: SpeakingNode, context: str) -> None:
        first, everything = node.changes(context)
        for known, key in ((1, first.key), (2, "of another life"), (9, first.key), (2, "")):
            page, told = node.changes(context, known=known, known_key=key)
            assert (page.full, told) == (True, everything)

    def test_each_path_is_told_by_itself_and_what_is_in_the_way_at_the_end(
        self, node: SpeakingNode, context: str
    ) -> None:
        page, told = node.changes(context, "/e/deep", "/d")
        assert (told, page.origin, page.next_origin, page.end, page.in_the_way) == ([], 0, 1, False, [])
        page, told = node.changes(context, "/e/deep", "/d", at=page.head, origin=1)
        assert (told, page.origin, page.end, page.in_the_way) == ([(b"b", A), (b"c", A)], 1, True, [b"/e"])

    def test_pages_are_of_one_revision_whatever_is_committed_meanwhile(
        self, node: SpeakingNode, asker: Asker, session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.catalog.changes.PAGE_ROWS", 10)
        task = node.begun(session)
        node.store(b"content")
        names = [b"%03d" % number for number in range(25)]
        node.commit(task, changing(dict.fromkeys(names, A)), done=False)
        page, told = node.changes(asker.context())
        node.commit(task, changing({}, *names[5:]), head=1, done=False)
        while not page.end:
            page, more = node.changes(asker.context(), at=page.head, after=page.next_after, origin=page.next_origin)
            assert len(more) <= 10
            told += more
        assert told == [(name, A) for name in names]

    def test_numbers_that_no_database_takes_are_refused(
        self, node: SpeakingNode, asker: Asker, context: str, session: str
    ) -> None:
        task = node.begun(session)
        for number in (-1, 1 << 63, (1 << 64) - 1):
            for message in (
                nodewire.Changes(context, ["/"], at=number),
                nodewire.Changes(context, ["/"], known=number),
                nodewire.Changes(context, ["/"], origin=number),
                nodewire.Uploaded(context, "/", "w", number),
                nodewire.Read([("0" * 64, number, 1)]),
                nodewire.Commit(node.id, task, number),
            ):
                assert refused(node, message).code == "InvalidMessage.Malformed"

    def test_a_revision_that_is_not_there_is_told(self, node: SpeakingNode, context: str) -> None:
        assert refused(node, nodewire.Changes(context, ["/"], at=9)).code == "InvalidRevision.NotFound"

    def test_what_a_workspace_uploaded_is_told_in_pages(
        self, node: SpeakingNode, context: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.catalog.changes.PAGE_ROWS", 1)
        found, asked = [], nodewire.Uploaded(context, "/d", "w", 1)
        while True:
            page = node.say(asked, nodewire.EntriesPage)
            found += nodewire.unpack(page.entries, list[tuple[bytes, Entry | None]])
            if page.end:
                break
            asked = nodewire.Uploaded(context, "/d", "w", 1, page.next_after)
        assert found == [(b"a", None), (b"c", A)]
        other = node.say(nodewire.Uploaded(context, "/", "another", 0), nodewire.EntriesPage)
        assert other.end

    def test_what_was_ever_held_is_told(self, node: SpeakingNode, context: str) -> None:
        for paths, held in (([b"/d/a"], True), ([b"/d"], True), ([b"/x", b"/e"], True), ([b"/x"], False)):
            assert node.say(nodewire.Held(context, paths), nodewire.Truth).value is held

    def test_nothing_is_lost_until_a_pack_is(self, ctxmgr_service: Service, node: SpeakingNode, context: str) -> None:
        assert node.say(nodewire.Lost(context, ["/"]), nodewire.Digests).digests == b""
        packs = ctxmgr_service.service._runtime._packs
        for pack in list(packs.packs()):
            packs.delete(pack.name)
        assert node.say(nodewire.Lost(context, ["/d"]), nodewire.Digests).digests == A.digest

    @pytest.mark.parametrize("paths", [[], ["relative"], ["/a/../b"], ["/"] * 1001])
    def test_paths_that_are_none_are_refused(self, node: SpeakingNode, context: str, paths: list[str]) -> None:
        for message in (nodewire.Changes(context, paths), nodewire.Lost(context, paths)):
            assert refused(node, message).code == "InvalidParameter.Malformed"
