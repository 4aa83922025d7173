"""Chunks into packs, and out again."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from blake3 import blake3

from ctxmgr.engine.content.chunks import BlobReader, ChunkRow, Located, Pack, PackWriter
from ctxmgr.engine.content.packs import Stamp
from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.storage.blobstore import BlobStore
from tests.support.memoryindex import MemoryIndex


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs" if request.param == "folder" else "memory:///")


def digest(data: bytes) -> bytes:
    return blake3(data).digest()


def entry(*chunks: bytes) -> Entry:
    whole = b"".join(chunks)
    return Entry(FILE, 0o644, 1, len(whole), digest(whole), tuple(digest(chunk) for chunk in chunks))


def read(store: BlobStore, index: MemoryIndex, files: dict[bytes, Entry]) -> dict[bytes, bytes]:
    return {path: b"".join(pieces) for path, pieces in BlobReader(store, index).contents(files)}


def test_what_was_stored_is_read_back(store: BlobStore) -> None:
    index = MemoryIndex()
    writer = PackWriter(store, index, pack_size=1000)
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
    contents = read(store, index, files)
    assert contents.keys() == files.keys()
    assert all(digest(contents[path]) == files[path].digest for path in files)
    assert len(list(store.packs())) > 10


def test_nothing_is_in_the_index_before_it_is_in_the_store(store: BlobStore) -> None:
    class Watchful(MemoryIndex):
        def add(self, pack: Pack, chunks: Sequence[ChunkRow], stamp: Stamp | None = None) -> None:
            assert pack in list(store.packs())
            super().add(pack, chunks, stamp)

    index = Watchful()
    writer = PackWriter(store, index)
    writer.add(b"x")
    assert not index.locate([digest(b"x")])
    writer.flush()
    assert index.locate([digest(b"x")])


class Ledger(MemoryIndex):
    """An index that says what was stored, as often as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[bytes] = []

    def add(self, pack: Pack, chunks: Sequence[ChunkRow], stamp: Stamp | None = None) -> None:
        self.stored += [digest for digest, _, _ in chunks]
        super().add(pack, chunks, stamp)


def test_a_chunk_is_stored_once(store: BlobStore) -> None:
    index = Ledger()
    for _ in range(2):
        writer = PackWriter(store, index)
        for chunk in (b"one", b"two", b"one"):
            writer.add(chunk)
        writer.flush()
    assert index.stored == [digest(b"one"), digest(b"two")]
    assert len(list(store.packs())) == 1


def test_an_interrupted_upload_goes_on_where_it_stopped(store: BlobStore) -> None:
    index = Ledger()
    chunks = [bytes([number]) * 100 for number in range(50)]
    killed = PackWriter(store, index, pack_size=1000)
    for chunk in chunks:
        killed.add(chunk)
    assert index.stored
    successor = PackWriter(store, index, pack_size=1000)
    for chunk in chunks:
        successor.add(chunk)
    successor.flush()
    assert index.stored == [digest(chunk) for chunk in chunks]
    assert digest(read(store, index, {b"x": entry(*chunks)})[b"x"]) == entry(*chunks).digest


def test_an_index_lost_can_be_rebuilt_from_the_packs(store: BlobStore) -> None:
    index = MemoryIndex()
    writer = PackWriter(store, index, pack_size=100)
    chunks = [b"%d" % number * 30 for number in range(20)]
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    rebuilt = MemoryIndex()
    for pack in store.packs():
        store.verify(pack)
        rebuilt.add(pack, store.table(pack))
    wanted = [digest(chunk) for chunk in chunks]
    assert rebuilt.locate(wanted) == index.locate(wanted)


class Stubborn:
    """A store that fails until it is told not to."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self.failing = True

    def put(self, name: str, data: bytes) -> None:
        if self.failing:
            raise ContentError("the disk is full")
        self.store.put(name, data)

    def stamp(self, name: str) -> Stamp | None:
        return self.store.stamp(name)


def test_a_writer_that_failed_to_store_can_try_again(store: BlobStore) -> None:
    index = MemoryIndex()
    stubborn = Stubborn(store)
    writer = PackWriter(stubborn, index, pack_size=10)  # type: ignore[arg-type]  # all of the store that a writer uses
    chunks = [b"0123456789", b"abcdefghij", b"ABCDEFGHIJ"]

    def add_all() -> None:
        for chunk in chunks:
            writer.add(chunk)

    with pytest.raises(ContentError, match="the disk is full"):
        add_all()
    stubborn.failing = False
    add_all()
    writer.flush()
    assert read(store, index, {b"x": entry(*chunks)}) == {b"x": b"".join(chunks)}


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
    store, index = BlobStore.open(tmp_path), MemoryIndex()
    writer = PackWriter(store, index)
    for piece in pieces:
        writer.add(piece)
    writer.flush()
    damage(tmp_path, damaged)
    with pytest.raises(ContentError, match=r"the content of 'd/x\.txt'"):
        read(store, index, {b"d/x.txt": entry(*pieces)})


@pytest.mark.parametrize("damaged", [b"", b"x" * 200, b"\xff\xff\xff\xffctxpack1", b"\x01\x00\x00\x00ctxpack1"])
def test_a_damaged_pack_has_no_table(tmp_path: Path, damaged: bytes) -> None:
    store = BlobStore.open(tmp_path)
    writer = PackWriter(store, MemoryIndex())
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
    reader = BlobReader(BlobStore.open(tmp_path), MemoryIndex())
    with pytest.raises(ContentError, match=r"'x'.* is not stored"):
        reader.contents({b"x": entry(b"nowhere")})


def test_content_of_the_wrong_length_is_reported(store: BlobStore) -> None:
    index = MemoryIndex()
    writer = PackWriter(store, index)
    writer.add(b"content")
    writer.flush()
    wrong = Entry(FILE, 0o644, 1, 99, digest(b"content"), (digest(b"content"),))
    with pytest.raises(ContentError, match="7 bytes stored instead of 99"):
        BlobReader(store, index).contents({b"x": wrong})


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


def test_files_that_lie_together_are_read_together(store: BlobStore, reads: list[int]) -> None:
    index = MemoryIndex()
    writer = PackWriter(store, index)
    chunks = [b"%d" % number for number in range(500)]
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    read(store, index, {chunk: entry(chunk) for chunk in chunks if chunk != b"250"})
    assert len(reads) == 1


@pytest.mark.parametrize("as_one_file", [True, False])
def test_no_read_is_larger_than_memory_is_meant_to_be(store: BlobStore, reads: list[int], as_one_file: bool) -> None:
    index = MemoryIndex()
    writer = PackWriter(store, index, pack_size=1 << 30)
    chunks = [bytes([number]) * (1 << 20) for number in range(20)]
    for chunk in chunks:
        writer.add(chunk)
    writer.flush()
    read(store, index, {b"x": entry(*chunks)} if as_one_file else {b"%d" % chunk[0]: entry(chunk) for chunk in chunks})
    assert reads == [8 << 20, 8 << 20, 4 << 20]


def test_a_large_hole_between_two_files_is_not_read(store: BlobStore, reads: list[int]) -> None:
    index = MemoryIndex()
    writer = PackWriter(store, index)
    for chunk in (b"before", b"hole" * 100_000, b"after"):
        writer.add(chunk)
    writer.flush()
    read(store, index, {b"a": entry(b"before"), b"b": entry(b"after")})
    assert reads == [6, 5]


def test_a_chunk_that_waits_for_its_pack_is_not_stored_again(store: BlobStore) -> None:
    index = Ledger()
    writer = PackWriter(store, index)
    for number in (*range(1000), *range(1000)):
        writer.add(b"%d" % number)
    writer.flush()
    assert len(index.stored) == 1000


def test_a_question_to_the_index_is_about_many_chunks(store: BlobStore) -> None:
    questions: list[int] = []

    class Counting(MemoryIndex):
        def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
            questions.append(len(digests))
            return super().locate(digests)

    writer = PackWriter(store, Counting())
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
