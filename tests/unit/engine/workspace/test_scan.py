"""What a workspace has, and how little is read to know it."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from blake3 import blake3

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, Fingerprint, fingerprint
from ctxmgr.engine.manifest.errors import WorkspaceChanged, WorkspaceError
from ctxmgr.engine.workspace import ingest as ingest_module
from ctxmgr.engine.workspace import scan as scan_module
from ctxmgr.engine.workspace.dirfd import Tree
from ctxmgr.engine.workspace.scan import Scan, scan, store_files
from ctxmgr.engine.workspace.state import WorkspaceState
from ctxmgr.service.storage.blobstore import BlobStore
from tests.support.memorycontent import MemoryContent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest.fixture
def owned() -> Iterator[Path]:
    """A directory in which permissions count, also where the tests run as root."""
    directory = Path(tempfile.mkdtemp())
    superuser = os.geteuid() == 0
    if superuser:
        os.chown(directory, 65534, 65534)
        os.seteuid(65534)
    try:
        yield directory
    finally:
        if superuser:
            os.seteuid(0)
        shutil.rmtree(directory)


class Counted:
    """How much a scan had to read."""

    def __init__(self) -> None:
        self.files = self.bytes = 0

    def __call__(self, files: int, size: int) -> None:
        self.files += files
        self.bytes += size


def remembered(found: Scan) -> WorkspaceState:
    """A state as after a sync of everything that was found."""
    seen = {path: None if path in found.racy else found.fingerprints.get(path) for path in found.manifest}
    return WorkspaceState(1, {path: (entry, seen[path]) for path, entry in found.manifest.items()})


def settle(root: Path) -> WorkspaceState:
    return remembered(scan(root, WorkspaceState()))


def digest(data: bytes) -> bytes:
    return blake3(data).digest()


def test_files_directories_and_links_are_found_with_all_that_is_kept(root: Path) -> None:
    (root / "d/empty").mkdir(parents=True)
    (root / "d/file").write_bytes(b"text")
    (root / "d/file").chmod(0o4751)
    os.utime(root / "d/file", ns=(1, 123456789))
    (root / "nothing").touch(0o600)
    (root / "d").chmod(0o711)
    (root / "link").symlink_to("../outside")
    counted = Counted()
    found = scan(root, WorkspaceState(), progress=counted)
    assert found.manifest[b"d"] == Entry(DIRECTORY, 0o711)
    assert found.manifest[b"d/empty"].kind == DIRECTORY
    content = digest(b"text")
    assert found.manifest[b"d/file"] == Entry(FILE, 0o4751, 123456789, 4, content, (content,))
    assert found.manifest[b"nothing"].chunks == ()
    assert found.manifest[b"nothing"].digest == digest(b"")
    assert found.manifest[b"link"].kind == LINK
    assert found.manifest[b"link"].target == b"../outside"
    assert (counted.files, counted.bytes) == (2, 4)
    assert found.manifest.keys() == {b"d", b"d/empty", b"d/file", b"nothing", b"link"}


def test_any_file_name_is_found(root: Path) -> None:
    for name in (b"\xff\xfe", b"new\nline", b"-", b"..."):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).touch()
    assert scan(root, WorkspaceState()).manifest.keys() == {b"\xff\xfe", b"new\nline", b"-", b"..."}


def test_links_to_directories_are_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret").touch()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(".")
    assert scan(root, WorkspaceState()).manifest.keys() == {b"link", b"loop"}


def test_what_is_no_file_is_skipped_and_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        found = scan(root, WorkspaceState())
    assert sorted(found.skipped) == [(b"pipe", "is a FIFO"), (b"sock", "is a socket")]
    assert found.manifest == {}


def test_an_unchanged_file_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "x").write_bytes(b"text")
    known = settle(root)

    def forbidden(*arguments: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("ctxmgr.engine.workspace.scan.ingest", forbidden)
    counted = Counted()
    found = scan(root, known, progress=counted)
    assert found.manifest == known.base()
    assert counted.files == 0
    assert all(found.manifest[path] is entry for path, (entry, _) in known.files.items())


@pytest.mark.parametrize("what", ["content", "mode", "time", "replacement"])
def test_any_change_shows(root: Path, what: str) -> None:
    file = root / "x"
    file.write_bytes(b"text")
    os.utime(file, ns=(5, 5))
    known = settle(root)
    if what == "content":
        # The same size and the same time as before: only the time of change tells.
        file.write_bytes(b"TEXT")
        os.utime(file, ns=(5, 5))
    elif what == "mode":
        file.chmod(0o600)
    elif what == "time":
        os.utime(file, ns=(6, 6))
    else:
        (root / "new").write_bytes(b"TEXT")
        os.utime(root / "new", ns=(5, 5))
        os.replace(root / "new", file)
    counted = Counted()
    found = scan(root, known, progress=counted)
    assert counted.files == 1
    assert found.manifest != known.base()


def test_a_write_right_after_the_scan_is_never_hidden(root: Path) -> None:
    file = root / "x"
    for number in range(20):
        file.write_bytes(b"%04d" % number)
        os.utime(file, ns=(5, 5))
        known = settle(root)
        file.write_bytes(b"%04d" % (number + 5000))
        os.utime(file, ns=(5, 5))
        assert scan(root, known).manifest[b"x"].digest == digest(b"%04d" % (number + 5000))


def test_a_burst_of_new_files_waits_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    for number in range(50):
        (root / str(number)).touch()
    found = scan(root, WorkspaceState())
    assert len(waits) == 1
    assert 0 < waits[0] <= 0.0201
    assert found.racy == found.manifest.keys()


def test_a_file_from_the_future_is_read_without_a_long_wait_and_read_again_next_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "x").touch()
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    found = scan(root, WorkspaceState())
    assert waits == [pytest.approx(0.02, abs=0.001)]
    assert found.racy == {b"x"}
    counted = Counted()
    scan(root, remembered(found), progress=counted)
    assert counted.files == 1


@pytest.mark.parametrize(("seconds", "racy"), [(0.9, {b"link", b"x"}), (1.9, {b"link", b"x"}), (2.1, set())])
def test_on_a_file_system_of_whole_seconds_a_write_may_stay_hidden_for_two(
    root: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, racy: set[bytes]
) -> None:
    changed_ns = 10**18

    def whole_seconds(status: os.stat_result) -> Fingerprint:
        return msgspec.structs.replace(fingerprint(status), ctime_ns=changed_ns)

    for module in (scan_module, ingest_module):
        monkeypatch.setattr(module, "fingerprint", whole_seconds)
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns + int(seconds * 10**9))
    (root / "x").touch()
    (root / "link").symlink_to("x")
    assert scan(root, WorkspaceState()).racy == racy


def test_times_beyond_what_is_kept_count_as_the_nearest_that_is() -> None:
    def told(mtime_ns: int) -> int:
        status = SimpleNamespace(st_mode=0o100644, st_size=1, st_mtime_ns=mtime_ns, st_ctime_ns=3, st_ino=4)
        return fingerprint(cast("os.stat_result", status)).mtime_ns

    latest = (1 << 63) - 1
    assert [told(time) for time in (-(10**20), -latest, -5, latest, latest + 1)] == [
        -latest,
        -latest,
        -5,
        latest,
        latest,
    ]


def test_a_large_file_is_cut_where_its_content_says(root: Path, tmp_path: Path) -> None:
    body = random.Random(1).randbytes(6 << 20)
    (root / "one").write_bytes(body)
    (root / "two").write_bytes(b"inserted" + body)
    content = MemoryContent(BlobStore.open(tmp_path / "blobs"))
    writer = PackWriter(content)
    found = scan(root, WorkspaceState(), writer=writer)
    writer.flush()
    one, two = found.manifest[b"one"], found.manifest[b"two"]
    assert len(one.chunks) > 2
    assert len(set(one.chunks) & set(two.chunks)) >= len(one.chunks) - 1
    assert one.digest == digest(body)
    assert sum(pack.size for pack in content.packs.packs()) < 1.5 * len(body)
    for path, pieces in BlobReader(content).contents(found.manifest):
        assert digest(b"".join(pieces)) == found.manifest[path].digest


def test_a_file_is_cut_the_same_with_and_without_a_writer(root: Path, tmp_path: Path) -> None:
    (root / "x").write_bytes(random.Random(2).randbytes(3 << 20))
    writer = PackWriter(MemoryContent(BlobStore.open(tmp_path / "blobs")))
    assert scan(root, WorkspaceState()).manifest == scan(root, WorkspaceState(), writer=writer).manifest


class Meddler:
    """A writer in whose shadow another program writes to the file."""

    def __init__(self, file: Path, times: int) -> None:
        self.file = file
        self.times = times

    def add(self, data: bytes) -> bytes:
        if self.times:
            self.times -= 1
            with self.file.open("ab") as stream:
                stream.write(b"more")
        return digest(data)


@pytest.mark.parametrize("size", [10, 2 << 20])
def test_a_file_that_changes_while_it_is_read_is_read_again(root: Path, size: int) -> None:
    file = root / "x"
    file.write_bytes(b"0" * size)
    writer = Meddler(file, 2)
    found = scan(root, WorkspaceState(), writer=writer)  # type: ignore[arg-type]  # all of a writer that a scan uses
    assert found.manifest[b"x"].digest == digest(file.read_bytes())
    assert found.manifest[b"x"].size == file.stat().st_size == size + 8


def test_a_file_that_keeps_changing_is_an_error_that_names_it(root: Path) -> None:
    file = root / "busy.log"
    file.write_bytes(b"0")
    writer = Meddler(file, 1000)
    with pytest.raises(WorkspaceError, match=r"'busy\.log' .*keeps changing"):
        scan(root, WorkspaceState(), writer=writer)  # type: ignore[arg-type]  # all of a writer that a scan uses
    assert writer.times == 1000 - ingest_module.ATTEMPTS


def test_a_file_that_grows_faster_than_it_is_read_comes_to_an_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root / "busy.log"
    file.write_bytes(bytes(2 << 20))
    plain = os.readv

    def growing(descriptor: int, buffers: list[memoryview]) -> int:
        count = plain(descriptor, buffers)
        with file.open("ab") as more:
            more.write(bytes(count))
        assert file.stat().st_size < 1 << 28, "no end of it is seen"
        return count

    monkeypatch.setattr(os, "readv", growing)
    with pytest.raises(WorkspaceError, match=r"'busy\.log' .*keeps changing"):
        scan(root, WorkspaceState())


def test_what_disappears_during_the_scan_was_never_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "d").mkdir()
    (root / "d/x").touch()
    (root / "y").touch()
    plain = ingest_module.ingest

    def vanish(tree: Tree, path: bytes, *rest: object) -> object:
        (root / os.fsdecode(path)).unlink()
        return plain(tree, path, *rest)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("ctxmgr.engine.workspace.scan.ingest", vanish)
    found = scan(root, WorkspaceState())
    assert found.manifest.keys() == {b"d"}
    assert not found.fingerprints


def test_a_file_that_becomes_a_link_is_not_read_through_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "x").touch()
    plain = ingest_module.ingest

    def swap(tree: Tree, path: bytes, *rest: object) -> object:
        (root / "x").unlink()
        (root / "x").symlink_to("/etc/passwd")
        return plain(tree, path, *rest)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("ctxmgr.engine.workspace.scan.ingest", swap)
    with pytest.raises(WorkspaceChanged, match=r"'x' .*symbolic link"):
        scan(root, WorkspaceState())


@pytest.mark.parametrize("when", ["listed", "read"])
def test_a_directory_that_becomes_a_link_is_not_entered(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (root / "d/e").mkdir(parents=True)
    (root / "d/e/x").write_bytes(b"inside")
    (tmp_path / "secrets/e").mkdir(parents=True)
    (tmp_path / "secrets/e/x").write_bytes(b"secret")
    plain_directory = Tree.directory
    listed = 0

    def swap(tree: Tree, path: bytes) -> int:
        nonlocal listed
        listed += 1
        if listed == (2 if when == "listed" else 4):
            (root / "d").rename(tmp_path / "moved")
            (root / "d").symlink_to(tmp_path / "secrets")
            while tree._open:
                tree.forget(next(iter(tree._open)))
        return plain_directory(tree, path)

    monkeypatch.setattr(Tree, "directory", swap)
    with pytest.raises(WorkspaceChanged, match=r"'d' .*symbolic link"):
        scan(root, WorkspaceState())


def test_a_directory_that_disappears_during_the_scan_was_never_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "d").mkdir()
    (root / "x").touch()
    plain_directory = Tree.directory

    def vanish(tree: Tree, path: bytes) -> int:
        if path == b"d":
            (root / "d").rmdir()
        return plain_directory(tree, path)

    monkeypatch.setattr(Tree, "directory", vanish)
    assert scan(root, WorkspaceState()).manifest.keys() == {b"x"}


def test_paths_longer_than_the_kernel_takes_in_one_call_are_scanned(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    for _ in range(30):
        os.mkdir("n" * 200)
        os.chdir("n" * 200)
    Path("x").write_bytes(b"deep")
    found = scan(root, WorkspaceState())
    assert len(found.manifest) == 31
    assert max(map(len, found.manifest)) > 4096


def test_a_file_that_becomes_a_fifo_does_not_hang_the_scan(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "x").touch()
    plain = ingest_module.ingest

    def swap(tree: Tree, path: bytes, *rest: object) -> object:
        (root / "x").unlink()
        os.mkfifo(root / "x")
        return plain(tree, path, *rest)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("ctxmgr.engine.workspace.scan.ingest", swap)
    with pytest.raises(WorkspaceChanged, match=r"'x' .*no regular file"):
        scan(root, WorkspaceState())


def test_leftovers_of_a_killed_sync_are_never_seen_and_swept_when_asked(root: Path) -> None:
    leftover, lookalike = root / ".ctxmgr-tmp-0123456789abcdef", root / ".ctxmgr-tmp-notes"
    leftover.touch()
    lookalike.touch()
    assert scan(root, WorkspaceState()).manifest.keys() == {b".ctxmgr-tmp-notes"}
    assert leftover.exists()
    scan(root, WorkspaceState(), sweep=True)
    assert not leftover.exists()
    assert lookalike.exists()


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_root_that_is_no_directory_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "nope"
    if kind == "file":
        path.touch()
    with pytest.raises(WorkspaceError, match="nope"):
        scan(path, WorkspaceState())


@pytest.mark.parametrize("linked", ["alias", "alias/below"])
def test_a_link_in_the_path_of_the_root_is_not_followed(root: Path, tmp_path: Path, linked: str) -> None:
    (root / "below").mkdir()
    (tmp_path / "alias").symlink_to(root)
    with pytest.raises(WorkspaceError, match="is not a directory"):
        scan(tmp_path / linked, WorkspaceState())


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_can_not_be_read_is_an_error_that_names_it(owned: Path, kind: str) -> None:
    secret = owned / "secret"
    secret.touch() if kind == "file" else secret.mkdir()
    secret.chmod(0)
    try:
        with pytest.raises(WorkspaceError, match=r"'secret' .*can't be (read|opened): Permission denied"):
            scan(owned, WorkspaceState())
    finally:
        secret.chmod(0o700)


def test_progress_is_told_and_can_stop_the_scan(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d/x").write_bytes(b"1234")
    told: list[tuple[int, int]] = []
    scan(root, WorkspaceState(), progress=lambda files, size: told.append((files, size)))
    assert [sum(column) for column in zip(*told, strict=True)] == [1, 4]

    def stop(files: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(root, WorkspaceState(), progress=stop)


def test_files_of_a_scan_can_be_stored_afterwards(root: Path, tmp_path: Path) -> None:
    (root / "d").mkdir()
    (root / "d/x").write_bytes(b"text")
    found = scan(root, WorkspaceState())
    content = MemoryContent(BlobStore.open(tmp_path / "blobs"))
    writer = PackWriter(content)
    stored = store_files(root, found, found.manifest, writer)
    writer.flush()
    assert stored == {b"d/x": found.manifest[b"d/x"]}
    assert content.locate([digest(b"text")])


@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_changed_after_the_scan_is_not_stored_as_what_was_scanned(
    root: Path, tmp_path: Path, gone: bool
) -> None:
    (root / "x").write_bytes(b"text")
    found = scan(root, WorkspaceState())
    (root / "x").unlink() if gone else (root / "x").write_bytes(b"later")
    writer = PackWriter(MemoryContent(BlobStore.open(tmp_path / "blobs")))
    with pytest.raises(WorkspaceChanged, match=r"'x' .*changed after it was scanned"):
        store_files(root, found, [b"x"], writer)


def test_a_known_entry_without_a_fingerprint_is_read(root: Path) -> None:
    (root / "x").write_bytes(b"text")
    known = WorkspaceState(1, {b"x": (Entry(FILE, 0o644, 1, 4, b"old" * 11, ()), None)})
    assert scan(root, known).manifest[b"x"].digest == digest(b"text")
    assert isinstance(scan(root, known).fingerprints[b"x"], Fingerprint)
