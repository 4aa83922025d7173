"""The messages between nodes and their service, and what is packed in them."""

from __future__ import annotations

from io import BytesIO

import msgspec
import pytest
import zstandard

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.engine.sync.conflicts import Conflicts, MergeConflict
from ctxmgr.engine.sync.task import Outcome, Progress, Task
from ctxmgr.nodewire import (
    ACCEPTED_PATHS,
    CALLS,
    Garbled,
    Take,
    Taken,
    decode,
    encode,
    pack,
    pack_blocks,
    read_blocks,
    unpack,
)
from ctxmgr.nodewire.objects import blocks_of, outcome_message, outcome_of, task_message, task_of

A = Entry(FILE, 0o644, 2, 3, b"a" * 32, (b"a" * 32,))


class TestMessages:
    def test_what_a_side_does_not_know_is_ignored_and_what_it_misses_has_its_default(self) -> None:
        newer = msgspec.msgpack.encode({"node": "n", "host": "h", "pid": 1, "moon": "full"})
        assert decode(newer, Take) == Take("n", "h", 1)

    def test_garbage_is_told_as_such(self) -> None:
        with pytest.raises(Garbled, match="no message of the kind Take"):
            decode(b"\xc1garbage", Take)
        with pytest.raises(Garbled, match="pid"):
            decode(msgspec.msgpack.encode({"node": "n", "host": "h", "pid": "one"}), Take)

    def test_what_is_nested_too_deeply_is_told_as_such(self) -> None:
        with pytest.raises(Garbled, match="recursion"):
            decode(b"\x81\xa4moon" + 100_000 * b"\x91" + b"\xc0", Take)

    def test_text_that_is_not_utf8_is_told_as_such(self) -> None:
        with pytest.raises(Garbled):
            decode(b"\x81\xa4node\xa2\xff\xfe", Take)

    def test_an_empty_answer_is_small(self) -> None:
        assert len(encode(Taken(30_000))) < 20

    def test_every_call_has_a_message_of_its_own(self) -> None:
        assert len({request for request, _ in CALLS.values()}) == len(CALLS)


class TestPacking:
    def test_what_is_packed_is_read_back(self) -> None:
        entries = [(b"\xff", A), (b"gone", None)]
        assert unpack(pack(entries), list[tuple[bytes, Entry | None]]) == entries

    def test_more_than_the_receiver_takes_is_not_packed(self) -> None:
        with pytest.raises(Garbled, match="at most 10"):
            pack(b"x" * 10, most=10)

    def test_more_than_the_bound_is_refused_without_being_held(self) -> None:
        bomb = zstandard.ZstdCompressor().compress(bytes(200 << 20))
        with pytest.raises(Garbled, match="more than 1000 bytes"):
            unpack(bomb, bytes, most=1_000)

    def test_a_frame_that_asks_for_much_memory_is_refused(self) -> None:
        parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        frame = packer.compress(msgspec.msgpack.encode(b"x")) + packer.flush()
        with pytest.raises(Garbled, match="no zstd"):
            unpack(frame, bytes)

    @pytest.mark.parametrize("data", [b"", b"garbage", pack([1, 2, 3])[:-2]])
    def test_what_is_cut_off_or_no_zstd_is_refused(self, data: bytes) -> None:
        with pytest.raises(Garbled):
            unpack(data, list[int])


class TestBlocks:
    def changes(self) -> list[RowChange]:
        put = {b"%d" % number: A for number in range(4_500)}
        return [
            RowChange("/data", put, [b"gone", b"lost"], {b"1", b"gone", b"lost"}, "upload", "w"),
            RowChange("/", {b"d": Entry(DIRECTORY, 0o755)}, [], ()),
        ]

    def test_changes_are_told_in_blocks_and_read_back(self) -> None:
        changes = self.changes()
        data = b"".join(pack_blocks(blocks_of(changes)))
        blocks = list(read_blocks(BytesIO(data), most=1 << 30))
        assert [block.change for block in blocks] == [0, 0, 0, 1]
        first = [block for block in blocks if block.change == 0]
        assert dict(each for block in first for each in block.put) == changes[0].put
        assert [path for block in first for path in block.drop] == [b"gone", b"lost"]
        assert {path for block in first for path in block.current} == changes[0].current
        assert {(block.mount, block.note, block.workspace) for block in first} == {("/data", "upload", "w")}

    def test_many_chunks_make_a_block_of_their_own(self) -> None:
        large = msgspec.structs.replace(A, chunks=(b"c" * 32,) * 30_000)
        blocks = list(blocks_of([RowChange("/", {b"a": large, b"b": large}, [], ())]))
        assert [[path for path, _ in block.put] for block in blocks] == [[b"a"], [b"b"]]

    def test_a_change_without_paths_is_told(self) -> None:
        assert len(list(blocks_of([RowChange("/", {}, [], ())]))) == 1

    def test_more_than_the_bound_is_refused(self) -> None:
        data = b"".join(pack_blocks(blocks_of(self.changes())))
        with pytest.raises(Garbled, match="larger than they may be"):
            list(read_blocks(BytesIO(data), most=100_000))

    def test_more_paths_than_memory_has_room_for_are_refused_before_they_are_read(self) -> None:
        count = ACCEPTED_PATHS + 1
        lists: dict[str, list[object]] = {"put": [(b"", Entry("", 0))], "drop": [b""], "current": [b""]}
        for name, items in lists.items():
            block = msgspec.msgpack.encode({"change": 0, "mount": "/", name: count * items})
            data = zstandard.compress(len(block).to_bytes(4, "little") + block)
            with pytest.raises(Garbled, match=rf"length <= {ACCEPTED_PATHS}.*{name}"):
                list(read_blocks(BytesIO(data), most=1 << 30))

    def test_what_is_cut_off_is_refused(self) -> None:
        data = b"".join(pack_blocks(blocks_of(self.changes())))
        with pytest.raises(Garbled, match="cut off"):
            list(read_blocks(BytesIO(data[: len(data) // 2]), most=1 << 30))


class TestObjects:
    def test_a_task_goes_there_and_back(self) -> None:
        met = Conflicts()
        met.add([MergeConflict("a", "context", "file", 1, "/a")])
        task = Task("task-1", "s-1", "c-1", "/m", "/m/x", "download", True, node_id="n", discard=True, conflicts=met)
        back = task_of(task_message(task), "n")
        assert back.conflicts.values() == met.values()
        assert (back.id, back.path, back.delete, back.discard, back.node_id) == ("task-1", "/m/x", True, True, "n")

    def test_an_outcome_goes_there_and_back(self) -> None:
        none = Conflicts()
        outcome = Outcome(1, 2, 3, 4, 5, '[["a", "b"]]', False, Progress(1, 2, 3, 4), 6, none)
        assert outcome_of(outcome_message(outcome), none) == outcome
