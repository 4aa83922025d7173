"""Chunks and packs of nodes over real sockets, and what one account gets of another: nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
import zstandard
from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import seal
from ctxmgr.testing import Service

from .asking import Asker
from .nodeasking import SpeakingNode, changing, file_of, one_pack, refused, refusing

A = file_of(b"content")


class TestContent:
    def test_a_pack_is_stored_and_its_chunks_are_read(self, node: SpeakingNode) -> None:
        contents = [b"one", b"two" * 1000, b"three"]
        digests = [blake3(content).digest() for content in contents]
        assert node.missing(*digests) == set(digests)
        pack = node.store(*contents)
        node.do(nodewire.StorePack(pack.name, len(pack.data), pack.data))
        assert node.missing(*digests, b"x" * 32) == {b"x" * 32}
        places = [node.locate(*digests, b"x" * 32)[digest] for digest in digests]
        asked = nodewire.encode(nodewire.Read([(place.pack, place.offset, place.stored) for place in places]))
        answer = node.post("read", asked)
        assert "content-digest" not in answer.headers, "each chunk is compared with its name: the rest costs time alone"
        stored = answer.content
        assert stored == b"".join(pack.data[place.offset : place.offset + place.stored] for place in places)
        assert [place.length for place in places] == [3, 3000, 5]

    def test_a_pack_that_was_staged_is_stored(self, ctxmgr_service: Service, node: SpeakingNode) -> None:
        pack = one_pack(b"content")
        node.say(nodewire.Stage(pack.name, len(pack.data), 0, pack.data), nodewire.Staged)
        node.do(nodewire.StorePack(pack.name, len(pack.data)))
        assert node.missing(A.digest) == set()
        assert list(ctxmgr_service.folder.joinpath("staged").glob("*/*")) == []
        node.do(nodewire.StorePack(pack.name, len(pack.data)))
        other = one_pack(b"other content")
        assert refused(node, nodewire.StorePack(other.name, len(other.data))).code == "InvalidStage.NotFound"

    def test_a_place_stays_what_it_is_when_another_node_stores_the_same(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker
    ) -> None:
        node.store(b"content")
        place = node.locate(A.digest)[A.digest]
        SpeakingNode(asker).store(b"content", b"more")
        assert node.locate(A.digest)[A.digest] == place
        assert node.raw(nodewire.Read([(place.pack, place.offset, place.stored)])) == b"content"
        # Unless nothing is there any more.
        for pack in ctxmgr_service.folder.joinpath("blobs", "packs").glob(f"*/{place.pack}"):
            pack.unlink()
        healed = node.store(b"content", b"other")
        assert node.locate(A.digest)[A.digest].pack == healed.name

    def test_a_pack_that_lies_about_a_chunk_is_not_indexed(self, node: SpeakingNode) -> None:

        for stored, length in ((b"other content", 13), (b"content", 700), (b"conten", 7)):
            pack = seal([stored], [(A.digest, 0, len(stored), length)])
            message = nodewire.StorePack(pack.name, len(pack.data), pack.data)
            assert refused(node, message).code == "InvalidPack.Malformed"
        bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))
        pack = seal([bomb], [(blake3(bytes(64 << 20)).digest(), 0, len(bomb), 64 << 20)])
        assert refused(node, nodewire.StorePack(pack.name, len(pack.data), pack.data)).code == "InvalidPack.Malformed"
        assert node.missing(A.digest) == {A.digest}

    def test_a_pack_that_is_none_is_refused(self, node: SpeakingNode) -> None:
        whole = one_pack(b"content")
        for data in (b"x", b"garbage" * 9, whole.data[:-1], whole.data + b"x"):
            message = nodewire.StorePack(blake3(data).hexdigest(), len(data), data)
            assert refused(node, message).code == "InvalidPack.Malformed"
        for name in ("", "../../etc/passwd", "0" * 64, whole.name.upper()):
            message = nodewire.StorePack(name, len(whole.data), whole.data)
            assert refused(node, message).code == "InvalidPack.Malformed"

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 65])
    def test_a_name_that_is_none_is_not_staged(self, node: SpeakingNode, name: str) -> None:
        assert refused(node, nodewire.Stage(name, 1, 0, b"x")).code == "InvalidParameter.Malformed"
        message = nodewire.Commit(node.id, node.begun(node.session()), 0, staged=name or "x")
        assert refused(node, message).code == "InvalidStage.NotFound"

    def test_what_was_staged_wrong_is_to_be_sent_again(self, node: SpeakingNode) -> None:
        pack = one_pack(b"content")
        wrong = bytes(len(pack.data))
        node.say(nodewire.Stage(pack.name, len(wrong), 0, wrong), nodewire.Staged)
        assert refused(node, nodewire.StorePack(pack.name, len(wrong))).code == "InvalidStage.NotFound"
        assert node.say(nodewire.Stage(pack.name, len(wrong), 0), nodewire.Staged).present == 0

    def test_more_than_can_be_answered_is_refused(self, node: SpeakingNode) -> None:
        for message in (
            nodewire.Missing(b"x" * 33),
            nodewire.Locate(b"x" * 32 * (nodewire.MAX_DIGESTS + 1)),
            nodewire.Read([("0" * 64, 0, nodewire.READ_BYTES + 1)]),
        ):
            assert refused(node, message).code == "InvalidParameter.Malformed"
        assert refused(node, nodewire.Stage("0" * 64, 5 << 30, 0, b"x")).code == "InvalidStage.TooLarge"

    def test_a_pack_that_was_damaged_since_is_told(self, ctxmgr_service: Service, node: SpeakingNode) -> None:
        node.store(b"content")
        place = node.locate(A.digest)[A.digest]
        for pack in ctxmgr_service.folder.joinpath("blobs", "packs").glob("*/*"):
            pack.unlink()
        message = nodewire.Read([(place.pack, place.offset, place.stored)])
        assert refused(node, message).code == "Content.Unusable"
        assert node.missing(A.digest) == {A.digest}


class TestIsolation:
    """Two accounts, the same file: whoever knows a chunk's name gets nothing for it."""

    @pytest.fixture
    def victim(self, node: SpeakingNode) -> SpeakingNode:
        task = node.begun(node.session())
        node.store(b"content")
        node.commit(task, changing({b"secret": A}))
        return node

    @pytest.fixture
    def thief(self, ctxmgr_service: Service) -> Iterator[SpeakingNode]:
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.key("thief")) as asker:
            yield SpeakingNode(asker)

    def test_a_commit_of_a_stolen_chunk_is_refused(self, victim: SpeakingNode, thief: SpeakingNode) -> None:
        with refusing("InvalidChunk.NotFound"):
            thief.commit(thief.begun(thief.session()), changing({b"a": A}))

    def test_a_stolen_chunk_is_missing_and_nowhere(self, victim: SpeakingNode, thief: SpeakingNode) -> None:
        assert thief.missing(A.digest) == {A.digest}
        assert thief.locate(A.digest) == {}

    def test_a_place_in_anothers_pack_is_not_read(self, victim: SpeakingNode, thief: SpeakingNode) -> None:
        place = victim.locate(A.digest)[A.digest]
        stolen = nodewire.Read([(place.pack, place.offset, place.stored)])
        assert victim.raw(stolen) == b"content"
        assert refused(thief, stolen).code == "InvalidChunk.NotFound"

    def test_what_lies_beside_an_own_chunk_is_not_read_either(self, victim: SpeakingNode, thief: SpeakingNode) -> None:
        thief.store(b"content")
        place = thief.locate(A.digest)[A.digest]
        thief.raw(nodewire.Read([(place.pack, place.offset, place.stored)]))
        for offset, stored in ((0, place.stored + 1), (1, place.stored - 1), (place.offset, place.stored - 1)):
            message = nodewire.Read([(place.pack, offset, stored)])
            assert refused(thief, message).code == "InvalidChunk.NotFound"

    def test_whoever_has_the_content_itself_may_store_it_too(self, victim: SpeakingNode, thief: SpeakingNode) -> None:
        thief.store(b"content")
        thief.commit(thief.begun(thief.session()), changing({b"a": A}))

    def test_contexts_tasks_sessions_and_questions_of_others_are_not_there(
        self, victim: SpeakingNode, thief: SpeakingNode, asker: Asker, session: str
    ) -> None:
        context, task = asker.context(), victim.begun(session)
        of_contexts = (
            nodewire.Changes(context, ["/"]),
            nodewire.Uploaded(context, "/", "w", 0),
            nodewire.Held(context, [b"/secret"]),
            nodewire.Lost(context, ["/"]),
        )
        for message in of_contexts:
            assert refused(thief, message).code == "InvalidContext.NotFound"
        attach = nodewire.Attach(thief.id, session, "/", "h", 1)
        assert refused(thief, attach).code == "InvalidMcpSession.NotFound"
        assert refused(thief, nodewire.Commit(thief.id, task, 1)).code == "Task.Interrupted"
        assert refused(thief, nodewire.Report(thief.id, task)).code == "Task.Interrupted"
        assert refused(thief, nodewire.Commit(victim.id, task, 1)).code == "Node.NotFound"
        assert refused(thief, nodewire.Fail(victim.id, task, "no")).code == "Node.NotFound"
        thief.do(nodewire.Leave(victim.id))
        assert thief.take(sessions=[session]).gone == {
            session: f"there is no session '{session}', or it has ended: create another one"
        }
        assert victim.take(running=[task]).stop == []

    def test_what_one_stages_another_does_not_find(self, victim: SpeakingNode, thief: SpeakingNode) -> None:
        pack = one_pack(b"other content")
        victim.say(nodewire.Stage(pack.name, len(pack.data), 0, pack.data), nodewire.Staged)
        assert thief.say(nodewire.Stage(pack.name, len(pack.data), 0), nodewire.Staged).present == 0
        assert refused(thief, nodewire.StorePack(pack.name, len(pack.data))).code == "InvalidStage.NotFound"


def test_a_full_disk_is_told_as_such_and_leaves_nothing_half(
    ctxmgr_service: Service, node: SpeakingNode, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    pack = one_pack(b"content")
    with monkeypatch.context() as patched:
        patched.setattr("ctxmgr.service.storage.staging.os.pwrite", full)
        refusal = refused(node, nodewire.Stage(pack.name, len(pack.data), 0, pack.data))
        assert (refusal.status, refusal.code) == (507, "InsufficientStorage")
    node.say(nodewire.Stage(pack.name, len(pack.data), 0, pack.data), nodewire.Staged)
    node.do(nodewire.StorePack(pack.name, len(pack.data)))
