"""Chunks into packs, and out again."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3

from ctxmgr.engine.content import chunks
from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.content.packs import Located, SealedPack, seal
from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.storage.blobstore import BlobStore
from tests.support.memorycontent import MemoryContent


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs" if request.param == "folder" else "memory:///")


@pytest.fixture
def content(store: BlobStore) -> MemoryContent:
    return MemoryContent(store)


def digest(data: bytes) -> bytes:
    return blake3(data).digest()


def entry(*chunks: bytes) -> Entry:
    whole = b"".join(chunks)
    return Entry(FILE, 0o644, 1, len(whole), digest(whole), tuple(digest(chunk) for chunk in chunks))


def read(content: MemoryContent, files: dict[bytes, Entry]) -> dict[bytes, bytes]:
    return {path: b"".join(pieces) for path, pieces in BlobReader(content).contents(files)}


def test_what_lies_elsewhere_since_it_was_located_is_read_from_there(content: MemoryContent) -> None:
    chunks = [b"one" * 100, b"two" * 100]
    content.put(seal(chunks, [(digest(chunks[0]), 0, 300, 300), (digest(chunks[1]), 300, 300, 300)]))
    (old,) = content.packs.packs()
    found = BlobReader(content).contents({b"a": entry(*chunks)})
    content.put(seal(chunks[::-1], [(digest(chunks[1]), 0, 300, 300), (digest(chunks[0]), 300, 300, 300)]))
    content.packs.delete(old.name)
    assert [b"".join(pieces) for _, pieces in found] == [b"".join(chunks)]


def test_what_was_stored_is_read_back(content: MemoryContent) -> None:
    writer = PackWriter(content, pack_size=1000)
    noise = random.Random(1)
    chunks = [noise.randbytes(noise.randrange(1, 400)) for _ in range(100)]
    for chunk in chunks:
        assert writer.add(chunk) == digest(chunk)
    writer.flush()
    files = {b"small%d" % number: entry(chunk) for number, chunk in enumerate(chunks)}
    files[b"large"] = entry(*chunks)
    files[b"backwards"] = entry(*reversed(chunks))
    files[b"repeated"] = entry(*chunks[:3] * 3)
    files[b"empty"] = entry()
    contents = read(content, files)
    assert contents.keys() == files.keys()
    assert all(digest(contents[path]) == files[path].digest for path in files)
    assert len(list(content.packs.packs())) > 10


def test_a_pack_of_tiny_chunks_is_closed_before_they_are_too_many(
    content: MemoryContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "PACK_CHUNKS", 10)
    writer = PackWriter(content)
    for number in range(35):
        writer.add(b"%d" % number)
    writer.flush()
    assert len(list(content.packs.packs())) == 4


class Ledger(MemoryContent):
    """A store that says what was put into it, as often as it was."""

    def __init__(self, packs: BlobStore) -> None:
        super().__init__(packs)
        self.stored: list[bytes] = []

    def put(self, pack: SealedPack) -> None:
        self.stored += [digest for digest, *_ in pack.rows]
        super().put(pack)


def test_a_chunk_is_stored_once(store: BlobStore) -> None:
    ledger = Ledger(store)
    for _ in range(2):
        writer = PackWriter(ledger)
        for chunk in (b"one", b"two", b"one"):
            writer.add(chunk)
        writer.flush()
    assert ledger.stored == [digest(b"one"), digest(b"two")]
    assert len(list(store.packs())) == 1


def test_an_interrupted_upload_goes_on_where_it_stopped(store: BlobStore) -> None:
    ledger = Ledger(store)
    noise = random.Random(1)
    chunks = [noise.randbytes(100) for _ in range(50)]
    killed = PackWriter(ledger, pack_size=1000)
    for chunk in chunks:
        killed.add(chunk)
    for thread in threading.enumerate():
        if thread.name == "ctxmgr-content":
            thread.join()
    assert 0 < len(ledger.stored) < len(chunks)
    successor = PackWriter(ledger, pack_size=1000)
    for chunk in chunks:
        successor.add(chunk)
    successor.flush()
    assert ledger.stored == [digest(chunk) for chunk in chunks]
    assert digest(read(ledger, {b"x": entry(*chunks)})[b"x"]) == entry(*chunks).digest


def test_an_index_lost_can_be_rebuilt_from_the_packs(store: BlobStore, content: MemoryContent) -> None:
    writer = PackWriter(content, pack_size=100)
    chunks = [b"%d" % number * 30 for number in range(20)]
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    rebuilt = MemoryContent(store)
    for pack in store.packs():
        store.verify(pack)
        rebuilt.add(pack.name, store.table(pack))
    wanted = [digest(chunk) for chunk in chunks]
    assert rebuilt.locate(wanted) == content.locate(wanted)


def test_a_pack_of_the_first_version_is_read(content: MemoryContent) -> None:
    data = bytes.fromhex(
        "6f6e6574687265659292c420d33fb48ab5adff269ae172b29a6913ff04f6f266207a7a8e976f2ecd571d44920392c420dbec0e689fb63bd7"
        "29147727129d854e9d590ab620a18bbbcb3317d268d6fd7205490000006374787061636b31"
    )
    name = digest(data).hex()
    content.packs.put(name, data)
    (pack,) = content.packs.packs()
    content.packs.verify(pack)
    content.add(name, content.packs.table(pack))
    assert read(content, {b"x": entry(b"one", b"three")}) == {b"x": b"onethree"}


def test_what_does_not_get_smaller_is_stored_as_it_is_and_the_rest_compressed(content: MemoryContent) -> None:
    writer = PackWriter(content)
    noise, text = random.Random(1).randbytes(5000), b"a line like others\n" * 300
    for chunk in (noise, text):
        writer.add(chunk)
    writer.flush()
    (one, other) = (content.chunks[digest(chunk)] for chunk in (noise, text))
    assert (one.stored, one.length) == (5000, 5000)
    assert other.stored < other.length / 20
    assert read(content, {b"x": entry(noise, text)}) == {b"x": noise + text}


def test_a_large_chunk_of_which_a_part_gets_smaller_is_compressed(content: MemoryContent) -> None:
    noise = random.Random(1).randbytes(600_000)
    chunks = [noise, noise[:300_000] + bytes(300_000), bytes(300_000) + noise[:300_000]]
    writer = PackWriter(content)
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    assert [content.chunks[digest(chunk)].stored // 100_000 for chunk in chunks] == [6, 3, 3]
    assert read(content, {b"x": entry(*chunks)}) == {b"x": b"".join(chunks)}


@pytest.mark.parametrize(
    "stored",
    [
        zstandard.compress(bytes(100)),
        zstandard.compress(bytes(9))[:-1],
        zstandard.compress(bytes(9)) + b"more",
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(9)),
        zstandard.compress(b"otherwise"),
        b"no zstd",
    ],
    ids=["of another length", "cut off", "with something behind it", "without its length", "of others", "of none"],
)
def test_a_compressed_chunk_that_is_not_what_it_should_be_is_an_error(content: MemoryContent, stored: bytes) -> None:
    pack = seal([stored], [(digest(bytes(9)), 0, len(stored), 9)])
    content.put(pack)
    with pytest.raises(ContentError, match=rf"'x' is damaged, in pack {pack.name}: chunk {digest(bytes(9)).hex()}"):
        read(content, {b"x": entry(bytes(9))})


def test_a_chunk_that_was_damaged_on_the_way_is_read_again(
    content: MemoryContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = PackWriter(content)
    parts = [b"one" * 100, b"two" * 100]
    for part in parts:
        writer.add(part)
    writer.flush()
    plain, asked = content.read, list[int]()

    def damaging(places: Sequence[Located]) -> Sequence[memoryview]:
        asked.append(len(places))
        found = plain(places)
        return found if len(asked) > 1 else [found[0], memoryview(bytes(found[1])[:-1] + b"?")]

    monkeypatch.setattr(content, "read", damaging)
    assert read(content, {b"x": entry(*parts)}) == {b"x": b"".join(parts)}
    assert asked == [2, 1]


def test_no_more_memory_is_taken_than_the_largest_chunk_has(content: MemoryContent) -> None:
    bomb = zstandard.compress(bytes(64 << 20))
    name = digest(bytes(64 << 20))
    content.put(seal([bomb], [(name, 0, len(bomb), 64 << 20)]))
    with pytest.raises(ContentError, match="does not expand to 67108864 bytes"):
        read(content, {b"x": Entry(FILE, 0o644, 1, 64 << 20, name, (name,))})


class Stubborn(MemoryContent):
    """A store of which one call fails until it is told not to."""

    failing = ""

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        if self.failing == "missing":
            raise ContentError("the disk is full")
        return super().missing(digests)

    def put(self, pack: SealedPack) -> None:
        if self.failing == "put":
            raise ContentError("the disk is full")
        super().put(pack)


@pytest.mark.parametrize("failing", ["missing", "put"])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_writer_that_failed_to_store_can_try_again(store: BlobStore, failing: str, count: int) -> None:
    stubborn = Stubborn(store)
    writer = PackWriter(stubborn, pack_size=10)
    chunks = [b"%d" % number * 10 for number in range(count)]
    stubborn.failing = failing
    left = iter(chunks)

    def store_all() -> None:
        for chunk in left:
            writer.add(chunk)
        writer.flush()

    for _ in range(2):
        with pytest.raises(ContentError, match="the disk is full"):
            store_all()
    stubborn.failing = ""
    store_all()
    assert read(stubborn, {b"x": entry(*chunks)}) == {b"x": b"".join(chunks)}


def test_a_writer_holds_no_more_than_a_few_batches_that_are_not_packed(
    content: MemoryContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Latest:
        """A call that is made when it is waited for."""

        def __init__(self, call: Callable[[], None]) -> None:
            self.call = call
            waiting.append(self)

        def result(self) -> None:
            if self in waiting:
                waiting.remove(self)
                self.call()

    waiting: list[Latest] = []
    monkeypatch.setattr(chunks, "Later", Latest)
    writer = PackWriter(content, pack_size=10)
    for number in range(6):
        writer.add(b"%d" % number * 10)
        assert len(waiting) == min(number + 1, 2)


def test_a_failed_put_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlobStore.open(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ContentError, match="No space left on device"):
        store.put("ab" * 32, b"data")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_pack_is_fsynced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlobStore.open(tmp_path)
    happened: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        happened.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        happened.append("name")
        replace(source, target)

    store.put("ab" * 32, b"first in its folder")
    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    store.put("ab" + "0" * 62, b"data")
    assert happened == ["file", "name", "directory"]


def damage(folder: Path, change: bytes | None) -> None:
    (pack,) = (path for path in folder.rglob("*") if path.is_file())
    if change is None:
        pack.unlink()
    else:
        pack.write_bytes(change)


@pytest.mark.parametrize("damaged", [None, b"", b"shor", b"x" * 200])
@pytest.mark.parametrize("pieces", [(b"content",), (b"con", b"tent")])
def test_damaged_content_is_an_error_that_names_the_file(
    tmp_path: Path, damaged: bytes | None, pieces: tuple[bytes, ...]
) -> None:
    content = MemoryContent(BlobStore.open(tmp_path))
    writer = PackWriter(content)
    for piece in pieces:
        writer.add(piece)
    writer.flush()
    damage(tmp_path, damaged)
    with pytest.raises(ContentError, match=r"the content of 'd/x\.txt'"):
        read(content, {b"d/x.txt": entry(*pieces)})


@pytest.mark.parametrize(
    "damaged", [b"", b"x" * 200, b"\xff\xff\xff\xffctxpack2", b"\x01\x00\x00\x00ctxpack2", b"\x00" * 9 + b"ctxpack9"]
)
def test_a_damaged_pack_has_no_table(tmp_path: Path, damaged: bytes) -> None:
    store = BlobStore.open(tmp_path)
    writer = PackWriter(MemoryContent(store))
    writer.add(b"content")
    writer.flush()
    damage(tmp_path, damaged)
    (pack,) = store.packs()
    with pytest.raises(ContentError, match=pack.name):
        store.table(pack)
    if damaged:
        with pytest.raises(ContentError, match="is damaged"):
            store.verify(pack)


def test_content_that_is_not_stored_is_reported_before_anything_is_read(tmp_path: Path) -> None:
    reader = BlobReader(MemoryContent(BlobStore.open(tmp_path)))
    with pytest.raises(ContentError, match=r"'x'.* is not stored"):
        reader.contents({b"x": entry(b"nowhere")})


def test_content_of_the_wrong_length_is_reported(content: MemoryContent) -> None:
    writer = PackWriter(content)
    writer.add(b"content")
    writer.flush()
    wrong = Entry(FILE, 0o644, 1, 99, digest(b"content"), (digest(b"content"),))
    with pytest.raises(ContentError, match="7 bytes stored instead of 99"):
        BlobReader(content).contents({b"x": wrong})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all reads from a store."""
    sizes: list[int] = []
    plain = BlobStore.read

    def count(self: BlobStore, name: str, start: int, end: int) -> memoryview:
        sizes.append(end - start)
        return plain(self, name, start, end)

    monkeypatch.setattr(BlobStore, "read", count)
    return sizes


def test_files_that_lie_together_are_read_together(content: MemoryContent, reads: list[int]) -> None:
    writer = PackWriter(content)
    chunks = [b"%d" % number for number in range(500)]
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    read(content, {chunk: entry(chunk) for chunk in chunks if chunk != b"250"})
    assert len(reads) == 1


@pytest.mark.parametrize("as_one_file", [True, False])
def test_no_read_is_larger_than_memory_is_meant_to_be(
    content: MemoryContent, reads: list[int], as_one_file: bool
) -> None:
    writer = PackWriter(content, pack_size=1 << 30)
    noise = random.Random(1)
    chunks = [bytes([number]) + noise.randbytes((1 << 20) - 1) for number in range(20)]
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    read(content, {b"x": entry(*chunks)} if as_one_file else {b"%d" % chunk[0]: entry(chunk) for chunk in chunks})
    assert reads == [8 << 20, 8 << 20, 4 << 20]


def test_a_large_hole_between_two_files_is_not_read(content: MemoryContent, reads: list[int]) -> None:
    writer = PackWriter(content)
    for chunk in (b"before", random.Random(1).randbytes(100_000), b"after"):
        writer.add(chunk)
    writer.flush()
    read(content, {b"a": entry(b"before"), b"b": entry(b"after")})
    assert reads == [6, 5]


def test_a_chunk_that_waits_for_its_pack_is_not_stored_again(store: BlobStore) -> None:
    ledger = Ledger(store)
    writer = PackWriter(ledger)
    for number in (*range(1000), *range(1000)):
        writer.add(b"%d" % number)
    writer.flush()
    assert len(ledger.stored) == 1000


def test_a_question_to_the_store_is_about_many_chunks(store: BlobStore) -> None:
    questions: list[int] = []

    class Counting(MemoryContent):
        def missing(self, digests: Collection[bytes]) -> set[bytes]:
            questions.append(len(digests))
            return super().missing(digests)

    writer = PackWriter(Counting(store))
    for number in range(2500):
        writer.add(b"%d" % number)
    writer.flush()
    assert questions == [1000, 1000, 500]


@pytest.mark.parametrize("location", ["ftp://nowhere/at/all", "/dev/null/blobs"])
def test_a_location_that_can_be_no_store_is_refused(location: str) -> None:
    with pytest.raises(ContentError, match=location):
        BlobStore.open(location)


def test_what_killed_writers_left_is_swept_after_a_day(tmp_path: Path) -> None:
    BlobStore.open(tmp_path)
    old, new = tmp_path / "unfinished/old", tmp_path / "unfinished/new"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    BlobStore.open(tmp_path)
    assert not old.exists()
    assert new.exists()
