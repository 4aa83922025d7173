"""Small files that take their final names at once in new directories, and what a killed writer leaves of them."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from blake3 import blake3

from ctxmgr.engine.manifest.entries import FILE, Entry, Fingerprint, fingerprint
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError
from ctxmgr.engine.workspace import fresh
from ctxmgr.engine.workspace.dirfd import Tree
from ctxmgr.engine.workspace.filewriter import NOTE_SIZE, NOTHING, NUMBER, SLOT_SIZE, Batch, NewFile
from ctxmgr.engine.workspace.fresh import filling, remove_unfinished

OLD = 1_000_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "node/journal"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    return root


@pytest.fixture(params=["in this process", "in processes"])
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    separate: bool = request.param == "in processes"
    monkeypatch.setattr(fresh, "_WORTH_A_PROCESS", 0 if separate else 1 << 30)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    return separate


def entry(content: bytes, mode: int = 0o644) -> Entry:
    digest = blake3(content).digest()
    return Entry(FILE, mode, OLD, len(content), digest, (digest,) if content else ())


def pieces(content: bytes) -> Iterator[memoryview]:
    return iter([memoryview(content)] if content else [])


def write(root: Path, journal: Path, files: dict[bytes, tuple[bytes, int]]) -> dict[bytes, Fingerprint]:
    """Make files, and return what was said of them."""
    made: dict[bytes, Fingerprint] = {}

    def note(path: bytes, entry: Entry, seen: Fingerprint) -> None:
        made[path] = seen

    with Tree(os.fsencode(root)) as tree, filling(tree, journal, len(files), note) as new:
        for path, (content, mode) in files.items():
            new.add(path, entry(content, mode), pieces(content))
    return made


def test_files_are_made_with_content_mode_and_time(root: Path, journal: Path, processes: bool) -> None:
    files = {b"d/%d" % number: (bytes([number % 256]) * number * 10, 0o600 + number % 64) for number in range(300)}
    files |= {b"top": (b"", 0o444), b"sticky": (b"x", 0o1777), b"d/\xff": (b"y", 0o640)}
    before = os.umask(0o027)
    try:
        made = write(root, journal, files)
    finally:
        os.umask(before)
    assert made.keys() == files.keys()
    for path, (content, mode) in files.items():
        file = root / os.fsdecode(path)
        status = file.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, OLD), path
        assert made[path] == fingerprint(status)
        assert file.read_bytes() == content
    assert not journal.exists()


class TestBatches:
    @pytest.fixture
    def batches(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int]]:
        """The directory and the number of files of each batch."""
        made: list[tuple[bytes, int]] = []

        class Noted(Batch):
            def __init__(self, directory: bytes, begun_ns: int, files: Sequence[NewFile]) -> None:
                super().__init__(directory, begun_ns, files)
                made.append((directory, len(files)))

        monkeypatch.setattr(fresh, "_WORTH_A_PROCESS", 0)
        monkeypatch.setattr(fresh, "Batch", Noted)
        return made

    def test_files_of_one_directory_are_made_together_though_others_come_between(
        self, root: Path, journal: Path, batches: list[tuple[bytes, int]]
    ) -> None:
        (root / "e").mkdir()
        names = [b"%s/%d" % (directory, number) for number in range(20) for directory in (b"d", b"e")]
        assert write(root, journal, {name: (name, 0o644) for name in names}).keys() == set(names)
        assert sorted(batches) == [(b"d", 20), (b"e", 20)]

    def test_more_batches_than_are_begun_at_a_time_have_their_own_content(
        self, root: Path, journal: Path, batches: list[tuple[bytes, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fresh, "_BATCH_FILES", 2)
        files = {b"d/%d" % number: (b"%d" % number * 100, 0o644) for number in range(100)}
        write(root, journal, files)
        assert len(batches) == 50
        assert {path: (root / os.fsdecode(path)).read_bytes() for path in files} == {
            path: content for path, (content, _) in files.items()
        }

    def test_what_waits_is_bounded(
        self, root: Path, journal: Path, batches: list[tuple[bytes, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fresh, "_GATHERED_BYTES", 100)
        (root / "e").mkdir()
        names = [b"%s/%d" % (directory, number) for number in range(4) for directory in (b"d", b"e")]
        write(root, journal, {name: (bytes(30), 0o644) for name in names})
        assert sum(count for _, count in batches) == 8
        assert max(count for _, count in batches) <= 100 / 30


def test_what_has_taken_a_name_is_left_alone(root: Path, journal: Path, processes: bool) -> None:
    (root / "d/2").write_bytes(b"the user's")
    with pytest.raises(WorkspaceChanged, match=r"'d/2' .*appeared"):
        write(root, journal, {b"d/%d" % number: (b"ours", 0o644) for number in range(5)})
    assert (root / "d/2").read_bytes() == b"the user's"
    assert not journal.exists()


def test_a_link_that_has_taken_a_name_is_not_followed(root: Path, journal: Path, processes: bool) -> None:
    (root / "d/link").symlink_to("../elsewhere")
    with pytest.raises(WorkspaceChanged, match="appeared"):
        write(root, journal, {b"d/link": (b"ours", 0o644)})
    assert not (root / "elsewhere").exists()


def test_a_full_disk_leaves_no_part_of_a_file(root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(descriptor, data[:-1])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(WorkspaceError, match=r"'d/x' .*No space left on device"):
        write(root, journal, {b"d/x": (b"12345", 0o644)})
    assert os.listdir(root / "d") == []


def test_where_no_process_can_be_started_files_are_made_in_this_one(
    root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr("sys.executable", str(root / "no-such-python"))
    assert write(root, journal, {b"d/x": (b"1", 0o644)}).keys() == {b"d/x"}


def test_a_writer_that_ends_is_no_success(root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(WorkspaceError, match="has ended"):
        write(root, journal, {b"d/x": (b"1", 0o644)})


def note_of(names: list[bytes], number: int, *, begun_ns: int | None = None) -> bytes:
    """What a writer has noted when it is killed while it makes a file that comes to hold ``1234567890``."""
    begun = time.time_ns() if begun_ns is None else begun_ns
    batch = Batch(b"d", begun, [(name, 0o644, OLD, 10) for name in names]).pack()
    return ((NUMBER.pack(number) + batch).ljust(NOTE_SIZE, b"\0") + b"1234567890").ljust(SLOT_SIZE, b"\0")


def test_what_a_killed_writer_left_half_written_is_removed_and_nothing_else(root: Path, journal: Path) -> None:
    for name in ("whole", "torn", "other"):
        (root / "d" / name).write_bytes(b"12345")
    os.utime(root / "d/whole", ns=(OLD, OLD))
    journal.parent.mkdir()
    names = [b"whole", b"torn", b"other"]
    journal.write_bytes(note_of(names, 1) + note_of(names, 0) + note_of(names, NOTHING))
    remove_unfinished(str(root), journal)
    assert sorted(os.listdir(root / "d")) == ["other", "whole"]
    assert not journal.exists()


@pytest.mark.parametrize("change", ["longer", "later", "another", "link", "gone"])
def test_what_a_user_made_of_it_meanwhile_stays(root: Path, journal: Path, change: str) -> None:
    file = root / "d/torn"
    begun = time.time_ns()
    if change == "longer":
        file.write_bytes(b"longer than what was to be written")
    elif change == "later":
        file.write_bytes(b"12345")
        begun -= 3600 * 10**9
    elif change == "another":
        file.write_bytes(b"another")
    elif change == "link":
        file.symlink_to("elsewhere")
    there = os.listdir(root / "d")
    journal.parent.mkdir()
    journal.write_bytes(note_of([b"torn"], 0, begun_ns=begun))
    remove_unfinished(str(root), journal)
    assert os.listdir(root / "d") == there


@pytest.mark.parametrize(
    "notes", [b"", b"\0" * SLOT_SIZE, b"\xff" * SLOT_SIZE, bytes(range(256)) * 256, b"\1\0\0\0abc"]
)
def test_notes_that_a_power_cut_has_spoilt_are_ignored(root: Path, journal: Path, notes: bytes) -> None:
    (root / "d/x").write_bytes(b"1")
    journal.parent.mkdir()
    journal.write_bytes(notes)
    remove_unfinished(str(root), journal)
    assert os.listdir(root / "d") == ["x"]
    assert not journal.exists()
