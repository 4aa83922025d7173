"""Commits of nodes over real sockets: all or nothing, sent twice, and nothing that a lying node says is taken."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import zstandard
from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.nodewire import objects
from ctxmgr.testing import Service

from .anywhere import ctxmgr_service
from .asking import Asker
from .nodeasking import SpeakingNode, changing, file_of, packed, refused, refusing
from .serving import serving

__all__ = ["ctxmgr_service"]

A = file_of(b"content")
KEY = "akm-0123456789"


def _link(change: int, number: int) -> Entry:
    return Entry(LINK, 0o777, target=blake3(b"%d %d" % (change, number)).digest().replace(b"\0", b"x"))


class TestCommit:
    def test_a_revision_and_the_end_of_its_task_are_one(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        task = node.begun(session)
        node.store(b"content")
        node.commit(task, changing({b"d": Entry(DIRECTORY, 0o755), b"d/a": A}))
        assert ctxmgr_service.service.outcome(task)["status"] == "Success"
        listed = asker.data("DescribeContextFiles", ContextId=asker.context(), ParentFolderPath="/d")
        assert [file["FilePath"] for file in listed] == ["/d/a"]

    @pytest.mark.parametrize("again", [False, True])
    def test_one_that_ends_a_task_can_be_sent_twice(self, node: SpeakingNode, asker: Asker, again: bool) -> None:
        task = node.begun(node.session())
        node.store(b"content")
        node.commit(task, changing({b"a": A}))
        node.commit(task, changing({b"a": A}), again=again)
        assert len(asker.data("ListRevisions", ContextId=asker.context())) == 1

    def test_one_that_goes_on_can_be_sent_twice_even_after_others_went_on(
        self, node: SpeakingNode, asker: Asker
    ) -> None:
        node.store(b"content")
        task = node.begun(node.session())
        first = (changing({b"a": A}), changing({b"b": A}))
        node.commit(task, *first, done=False)
        other = node.begun(node.session())
        node.commit(other, changing({b"c": A}), head=2)
        node.commit(task, *first, done=False, again=True)
        with refusing("Head.Moved"):
            node.commit(task, *first, done=False)
        assert node.changes(asker.context())[0].head == 3

    def test_an_earlier_head_is_refused_and_nothing_changes(self, node: SpeakingNode, asker: Asker) -> None:
        node.store(b"content")
        node.commit(node.begun(node.session()), changing({b"a": A}))
        task = node.begun(node.session())
        with refusing("Head.Moved") as caught:
            node.commit(task, changing({b"b": A}))
        assert caught.value.status == 409
        assert [path for path, _ in node.changes(asker.context())[1]] == [b"a"]

    def test_changes_that_are_large_are_staged_before(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        task = node.begun(session)
        node.store(b"content")
        put = {b"f%06d" % number: msgspec.structs.replace(A, mtime_ns=number) for number in range(30_000)}
        data = packed(changing(put))
        name = blake3(data).hexdigest()
        middle = len(data) // 2
        stage = nodewire.Stage(name, len(data), 0, data[:middle])
        assert node.say(stage, nodewire.Staged).present == middle
        assert node.say(stage, nodewire.Staged).present == middle
        message = nodewire.Commit(node.id, task, 0, staged=name, outcome=nodewire.OutcomeMessage(1))
        assert refused(node, message).code == "InvalidStage.NotFound"
        node.say(stage, nodewire.Staged)
        assert node.say(nodewire.Stage(name, len(data), middle, data[middle:]), nodewire.Staged).present == len(data)
        node.do(message)
        node.do(message)
        page, told = node.changes(asker.context())
        assert (page.head, page.end) == (1, False)
        assert len(told) == 20_000
        assert list(ctxmgr_service.folder.joinpath("staged").glob("*/*")) == []

    def test_several_changes_that_are_large_come_whole(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        task = node.begun(session)
        node.store(b"content")
        # Link targets that do not compress, so that no change fits into one reading of the file.
        puts = [
            {b"%d/f%06d" % (change, number): _link(change, number) for number in range(7_000)} for change in range(3)
        ]
        for put, change in zip(puts, range(3), strict=True):
            put[b"%d" % change] = Entry(DIRECTORY, 0o755)
        data = packed(*map(changing, puts))
        name = blake3(data).hexdigest()
        node.say(nodewire.Stage(name, len(data), 0, data), nodewire.Staged)
        node.do(nodewire.Commit(node.id, task, 0, staged=name, outcome=nodewire.OutcomeMessage(3)))
        page, told = node.changes(asker.context())
        found = dict(told)
        while not page.end:
            page, told = node.changes(asker.context(), at=page.head, origin=page.next_origin, after=page.next_after)
            found.update(told)
        assert page.head == 3
        assert found == puts[0] | puts[1] | puts[2]

    def test_without_changes_any_head_will_do(self, ctxmgr_service: Service, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        node.do(nodewire.Commit(node.id, task, 7, outcome=nodewire.OutcomeMessage(7, nothing_to_sync=True)))
        assert ctxmgr_service.service.outcome(task)["nothing_to_sync"]

    def test_a_context_that_was_deleted_is_told(self, node: SpeakingNode, asker: Asker) -> None:
        context = asker.context("short-lived")
        task = node.begun(node.session(context))
        node.store(b"content")
        asker.data("DeleteContext", Id=context)
        with refusing("InvalidContext.NotFound"):
            node.commit(task, changing({b"a": A}))

    def test_paths_that_no_directory_could_have_are_refused(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        paths = [b"", b"/", b"/a", b"a/", b"a//b", b".", b"..", b"a/../b", b"a/./b", b"a\0b", b"x" * 256]
        paths += [b"/".join([b"x" * 200] * 21), b"a/.ctxmgr-tmp-0123456789abcdef/b"]
        for path in paths:
            for change in (changing({path: Entry(DIRECTORY, 0o755)}), RowChange("/", {}, [path], ())):
                with refusing("InvalidFile.Malformed"):
                    node.commit(task, change)

    def test_mount_paths_that_are_not_normal_are_refused(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        for mount in ("", "data", "/a/../b", "/a/", "//", "/a\0"):
            with refusing("InvalidParameter.Malformed"):
                node.commit(task, changing({b"a": Entry(DIRECTORY, 0o755)}, mount=mount))

    def test_entries_that_nothing_could_be_are_refused(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        node.store(b"content")
        wrong = [
            Entry("socket", 0o644),
            Entry(DIRECTORY, 0o200000),
            Entry(DIRECTORY, -1),
            Entry(DIRECTORY, 0o755, size=1),
            Entry(DIRECTORY, 0o755, target=b"x"),
            Entry(DIRECTORY, 0o755, mtime_ns=1 << 63),
            Entry(LINK, 0o777),
            Entry(LINK, 0o777, target=b"a\0b"),
            Entry(LINK, 0o777, target=b"x" * 4097),
            Entry(LINK, 0o777, target=b"x", digest=b"x" * 32),
            Entry(FILE, 0o644, size=7),
            Entry(FILE, 0o644, size=7, digest=A.digest),
            Entry(FILE, 0o644, size=-7, digest=A.digest, chunks=A.chunks),
            Entry(FILE, 0o644, size=0, digest=A.digest, chunks=A.chunks),
            Entry(FILE, 0o644, size=7, digest=b"x" * 31, chunks=A.chunks),
            Entry(FILE, 0o644, size=7, digest=b"x" * 32, chunks=A.chunks),
            Entry(FILE, 0o644, size=7, digest=A.digest, chunks=(A.digest[:31],)),
            Entry(FILE, 0o644, size=8, digest=A.digest, chunks=A.chunks),
            Entry(FILE, 0o644, size=15, digest=A.digest, chunks=A.chunks * 2),
            Entry(FILE, 0o644, size=7, digest=A.digest, chunks=A.chunks, target=b"elsewhere"),
        ]
        for entry in wrong:
            with refusing("InvalidFile.Malformed"):
                node.commit(task, changing({b"a": entry}))

    def test_a_chunk_that_was_not_stored_is_refused(self, node: SpeakingNode, session: str) -> None:
        with refusing("InvalidChunk.NotFound") as caught:
            node.commit(node.begun(session), changing({b"a": A}))
        assert f"'a' has the chunk {A.digest.hex()}" in str(caught.value)

    @pytest.mark.parametrize("paths", [1, objects.BLOCK_PATHS], ids=["a block each", "together"])
    @pytest.mark.parametrize(
        "changes",
        [
            [changing({b"a": A, b"a/b": A})],
            [changing({b"b": A, b"b/a": Entry(DIRECTORY, 0o755), b"b/a/c": A})],
            [changing({b"a": A}), changing({b"a/b/c": A})],
            [changing({b"a/b/c": A}), changing({b"a": A})],
            [changing({b"a/b/c": A}), changing({b"a/b": Entry(LINK, 0o777, target=b"x")}, mount="/")],
            [changing({b"\xff/b": A}), changing({b"\xff": A})],
            [changing({b"a": A}), changing({b"b": A}, mount="/a/c"), changing({b"a": A})],
        ],
    )
    def test_what_is_no_tree_is_refused(
        self,
        node: SpeakingNode,
        asker: Asker,
        session: str,
        monkeypatch: pytest.MonkeyPatch,
        changes: list[RowChange],
        paths: int,
    ) -> None:
        monkeypatch.setattr(objects, "BLOCK_PATHS", paths)
        task = node.begun(session)
        node.store(b"content")
        with refusing("InvalidFile.Conflict"):
            node.commit(task, *changes)
        assert node.changes(asker.context())[0].head == 0

    def test_a_file_may_take_the_place_of_a_directory_and_back(
        self, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        task = node.begun(session)
        node.store(b"content")
        folder = Entry(DIRECTORY, 0o755)
        node.commit(
            task,
            changing({b"a": folder, b"a/b": A, b"a-b": A}),
            changing({b"a": A}, b"a/b", current=(b"a",)),
            changing({b"a": folder, b"a/b": A}, current=(b"a",)),
        )
        assert [path for path, _ in node.changes(asker.context())[1]] == [b"a", b"a-b", b"a/b"]

    def test_a_path_that_is_there_already_has_to_be_named_as_such(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        node.store(b"content")
        node.commit(task, changing({b"a": A}), done=False)
        with refusing("InvalidFile.Conflict"):
            node.commit(task, changing({b"a": A}), head=1)

    def test_a_bomb_in_the_place_of_changes_is_refused(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        bomb = zstandard.ZstdCompressor().compress(b"\xff\xff\xff\xff" + bytes(300 << 20))
        for changes in (bomb, b"garbage", zstandard.ZstdCompressor().compress(b"\x05\0\0\0garba")):
            message = nodewire.Commit(node.id, task, 0, changes)
            assert refused(node, message).code == "InvalidMessage.Malformed"

    @pytest.mark.parametrize(
        "outcome",
        [
            nodewire.OutcomeMessage(-1),
            nodewire.OutcomeMessage(1, files=1 << 63),
            nodewire.OutcomeMessage(1, skipped="{}"),
            nodewire.OutcomeMessage(1, skipped="[[1, 2]]"),
            nodewire.OutcomeMessage(1, skipped="[" * 100_000),
        ],
        ids=str,
    )
    def test_an_outcome_that_is_none_is_refused(
        self, node: SpeakingNode, session: str, outcome: nodewire.OutcomeMessage
    ) -> None:
        message = nodewire.Commit(node.id, node.begun(session), 0, outcome=outcome)
        assert refused(node, message).code == "InvalidParameter.Malformed"

    @pytest.mark.parametrize("conflicts", ["", "[1]", '[{"path": "a"}]', '[{"path": "a", "winner": "b", "x": 1}]'])
    def test_conflicts_that_can_not_be_read_are_refused(self, node: SpeakingNode, session: str, conflicts: str) -> None:
        message = nodewire.Commit(node.id, node.begun(session), 0, conflicts=conflicts)
        assert refused(node, message).code == "InvalidParameter.Malformed"


def peak_memory(process: int) -> int:
    """Return the most bytes that a process has ever had in memory."""
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.slow
def test_a_large_commit_takes_the_memory_of_one_block(tmp_path: Path) -> None:
    count = 200_000
    put = {b"d%04d/f%07d" % (at // 100, at): msgspec.structs.replace(A, mtime_ns=at * 12_345) for at in range(count)}
    changes = packed(changing(put))
    name = blake3(changes).hexdigest()
    with serving(tmp_path / "data", CTXMGR_API_KEY=KEY) as service, Asker(service.address, KEY) as asker:
        node = SpeakingNode(asker)
        task = node.begun(node.session())
        node.store(b"content")
        for start in range(0, len(changes), nodewire.PIECE_BYTES):
            piece = changes[start : start + nodewire.PIECE_BYTES]
            node.say(nodewire.Stage(name, len(changes), start, piece), nodewire.Staged)
        before = peak_memory(service.process.pid)
        node.do(nodewire.Commit(node.id, task, 0, staged=name, outcome=nodewire.OutcomeMessage(1)))
        # All entries at once would take about 900 bytes each.
        assert peak_memory(service.process.pid) - before < 60 << 20
