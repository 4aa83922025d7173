"""Carrying out a download's plan, on real directories and through real packs."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.content.packs import seal
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, Manifest, same
from ctxmgr.engine.manifest.errors import ContentError, WorkspaceChanged, WorkspaceError
from ctxmgr.engine.manifest.merge import Change, Plan, plan
from ctxmgr.engine.sync.plan import advance
from ctxmgr.engine.workspace import filewriter, fresh
from ctxmgr.engine.workspace.apply import apply
from ctxmgr.engine.workspace.fresh import remove_unfinished
from ctxmgr.engine.workspace.scan import Scan, scan, store_files
from ctxmgr.engine.workspace.state import WorkspaceState
from ctxmgr.service.storage.blobstore import BlobStore
from tests.support.memorycontent import MemoryContent
from tests.unit.engine.manifest.test_merge import changes_nothing
from tests.unit.engine.workspace.test_scan import Counted


class Context:
    """A context with its content, and the flows of an upload and a download as an executor runs them."""

    def __init__(self, folder: Path) -> None:
        self.stored = MemoryContent(BlobStore.open(folder))
        self.head: dict[bytes, Entry] = {}
        self.past: list[dict[bytes, Entry]] = []
        self.journal = folder / "journal"

    def revise(self, change: Change) -> None:
        self.past.append(self.head)
        self.head = {path: entry for path, entry in self.head.items() if path not in change.drop} | change.put

    def upload(self, root: Path, state: WorkspaceState) -> WorkspaceState:
        remove_unfinished(str(root), self.journal)
        writer = PackWriter(self.stored)
        found = scan(root, state, writer=writer, sweep=True)
        writer.flush()
        planned = plan(
            state.base(), found.manifest, self.head, mode="upload", skipped=[path for path, _ in found.skipped]
        )
        if not changes_nothing(planned):
            self.revise(Change(planned.put, planned.drop))
        return advance(planned, found, {}, len(self.past))

    def prepare(self, root: Path, state: WorkspaceState) -> tuple[Plan, Scan]:
        remove_unfinished(str(root), self.journal)
        found = scan(root, state, sweep=True)
        skipped = [path for path, _ in found.skipped]
        return plan(state.base(), found.manifest, self.head, mode="download", skipped=skipped), found

    def download(self, root: Path, state: WorkspaceState) -> WorkspaceState:
        planned, found = self.prepare(root, state)
        if planned.losers:
            writer = PackWriter(self.stored)
            store_files(root, found, planned.losers, writer)
            writer.flush()
            before = self.head
            self.revise(planned.keep)
            self.past.append(self.head)
            self.head = before
        written = apply(root, planned, found, BlobReader(self.stored), journal=self.journal)
        return advance(planned, found, written, len(self.past))

    def content(self, entry: Entry) -> bytes:
        ((_, pieces),) = BlobReader(self.stored).contents({b"x": entry})
        return b"".join(pieces)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path / "blobs")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


@pytest.fixture
def there(tmp_path: Path) -> Path:
    directory = tmp_path / "there"
    directory.mkdir()
    return directory


EMPTY = WorkspaceState()


def manifest(root: Path) -> Manifest:
    return scan(root, EMPTY).manifest


def equal(one: Manifest, other: Manifest) -> bool:
    return one.keys() == other.keys() and all(same(one[path], other[path]) for path in one)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(".ctxmgr-tmp-")]


def test_everything_that_is_kept_arrives(context: Context, here: Path, there: Path) -> None:
    (here / "d/empty").mkdir(parents=True)
    (here / "d/tool").write_bytes(b"#!")
    (here / "d/tool").chmod(0o4755)
    os.utime(here / "d/tool", ns=(1, 987654321))
    (here / "large").write_bytes(os.urandom(5 << 20))
    (here / "nothing").touch(0o000)
    (here / "link").symlink_to("d/gone\n")
    os.utime(here / "link", ns=(1, 5), follow_symlinks=False)
    Path(os.fsdecode(os.fsencode(here) + b"/\xff")).write_bytes(b"odd")
    (here / "d").chmod(0o555)
    context.upload(here, EMPTY)
    context.download(there, EMPTY)
    assert equal(manifest(there), manifest(here))
    assert (there / "large").read_bytes() == (here / "large").read_bytes()
    assert not leftovers(there)


def test_after_a_download_nothing_is_read_again_and_nothing_is_left_to_do(
    context: Context, here: Path, there: Path
) -> None:
    (here / "x").write_bytes(b"1")
    (here / "link").symlink_to("x")
    os.utime(here / "x", ns=(5, 5))
    context.upload(here, EMPTY)
    state = context.download(there, EMPTY)
    counted = Counted()
    scan(there, state, progress=counted)
    assert counted.files == 0
    assert context.upload(there, state).files == state.files
    assert len(context.past) == 1


def test_a_file_written_as_fresh_as_its_own_time_is_read_again(context: Context, here: Path, there: Path) -> None:
    (here / "x").write_bytes(b"1")
    os.utime(here / "x", ns=(1 << 61, 1 << 61))
    context.upload(here, EMPTY)
    state = context.download(there, EMPTY)
    assert state.files[b"x"][1] is None
    counted = Counted()
    scan(there, state, progress=counted)
    assert counted.files == 1


def test_an_edit_right_after_a_file_appears_is_seen_by_the_next_scan(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "x").write_bytes(b"theirs")
    os.utime(here / "x", ns=(5, 5))
    context.upload(here, EMPTY)
    (there / "own").touch()
    plain_link = os.link

    def link_and_edit(*arguments: Any, **options: Any) -> None:
        plain_link(*arguments, **options)
        (there / "x").write_bytes(b"user's")
        os.utime(there / "x", ns=(7, 7))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link_and_edit)
        state = context.download(there, EMPTY)
    assert state.files[b"x"][1] is None
    context.upload(there, state)
    assert context.content(context.head[b"x"]) == b"user's"


def test_a_state_that_was_not_saved_after_a_sync_leaves_nothing_to_do(
    context: Context, here: Path, there: Path
) -> None:
    (here / "x").write_bytes(b"1")
    (here / "gone").write_bytes(b"1")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "x").write_bytes(b"2")
    (here / "gone").unlink()
    context.upload(here, mine)
    context.download(there, theirs)
    revisions = len(context.past)
    assert changes_nothing(context.prepare(there, theirs)[0])
    assert not context.prepare(there, theirs)[0].conflicts
    context.upload(here, mine)
    context.upload(there, theirs)
    assert len(context.past) == revisions


def test_edits_replace_and_removals_remove(context: Context, here: Path, there: Path) -> None:
    for name in ("kept", "edited", "d/removed"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes(b"1")
    mine = context.upload(here, EMPTY)
    theirs = context.download(there, EMPTY)
    untouched = (there / "kept").stat()
    (here / "edited").write_bytes(b"2")
    shutil.rmtree(here / "d")
    context.upload(here, mine)
    context.download(there, theirs)
    assert (there / "edited").read_bytes() == b"2"
    assert not (there / "d").exists()
    assert (there / "kept").stat() == untouched


@pytest.mark.parametrize("first", [FILE, DIRECTORY, LINK])
@pytest.mark.parametrize("second", [FILE, DIRECTORY, LINK])
def test_any_kind_can_become_any_other(context: Context, here: Path, there: Path, first: str, second: str) -> None:
    def make(kind: str) -> None:
        if kind == FILE:
            (here / "p").write_bytes(b"1")
        elif kind == LINK:
            (here / "p").symlink_to(there)
        else:
            (here / "p/q").mkdir(parents=True)
            (here / "p/q/x").write_bytes(b"2")

    make(first)
    mine = context.upload(here, EMPTY)
    theirs = context.download(there, EMPTY)
    if (here / "p").is_dir() and not (here / "p").is_symlink():
        shutil.rmtree(here / "p")
    else:
        (here / "p").unlink()
    make(second)
    context.upload(here, mine)
    context.download(there, theirs)
    assert equal(manifest(there), manifest(here))


def test_a_local_version_that_loses_is_kept_in_the_context(context: Context, here: Path, there: Path) -> None:
    (here / "x").write_bytes(b"base")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "x").write_bytes(b"first")
    context.upload(here, mine)
    (there / "x").write_bytes(b"second")
    context.download(there, theirs)
    assert (there / "x").read_bytes() == b"first"
    assert context.content(context.head[b"x"]) == b"first"
    assert b"second" in [context.content(revision[b"x"]) for revision in context.past if b"x" in revision]


def edit(file: Path) -> None:
    file.write_bytes(b"the user's")


def edit_silently(file: Path) -> None:
    status = file.stat()
    file.write_bytes(b"X" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "inside").write_bytes(b"the user's")


def replace_by_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [edit, edit_silently, replace_by_directory, replace_by_link, Path.unlink])
@pytest.mark.parametrize("removed", [True, False])
def test_what_the_user_changes_after_the_scan_is_never_overwritten_nor_removed(
    context: Context, here: Path, there: Path, change: Callable[[Path], object], removed: bool
) -> None:
    (here / "x").write_bytes(b"base")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "x").unlink() if removed else (here / "x").write_bytes(b"newer")
    context.upload(here, mine)
    planned, found = context.prepare(there, theirs)
    change(there / "x")
    before = manifest(there)
    with pytest.raises(WorkspaceChanged, match="'x'"):
        apply(there, planned, found, BlobReader(context.stored))
    assert equal(manifest(there), before)
    assert not leftovers(there)
    context.download(there, theirs)
    survived = [*context.past, manifest(there)]
    assert all(any(same(tree.get(path), entry) for tree in survived) for path, entry in before.items())


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("kind", [FILE, LINK])
def test_a_change_that_does_not_show_in_a_file_that_was_scanned_too_soon_is_not_overwritten(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, kind: str, removed: bool
) -> None:
    def make(file: Path, content: str) -> None:
        file.unlink(missing_ok=True)
        file.write_text(content) if kind == FILE else file.symlink_to(content)

    make(here / "x", "base")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "x").unlink() if removed else make(here / "x", "newer")
    context.upload(here, mine)
    planned, found = context.prepare(there, theirs)
    make(there / "x", "edit")
    before = manifest(there)
    # As on a file system of whole seconds, within one of them.
    monkeypatch.setattr("ctxmgr.engine.workspace.apply.fingerprint", lambda status: found.fingerprints[b"x"])
    found.racy.add(b"x")
    with pytest.raises(WorkspaceChanged, match="changed after it was scanned"):
        apply(there, planned, found, BlobReader(context.stored))
    assert equal(manifest(there), before)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_directory_that_vanishes_while_it_is_written_to_is_planned_for_anew(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (here / "d").mkdir()
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    if kind == "file":
        (here / "d/new").write_bytes(b"new")
    else:
        (here / "d/link").symlink_to("x")
    context.upload(here, mine)
    planned, found = context.prepare(there, theirs)
    for name in ("utime", "symlink"):
        monkeypatch.setattr(os, name, _after(lambda: shutil.rmtree(there / "d", ignore_errors=True), getattr(os, name)))
    with pytest.raises(WorkspaceChanged, match="lost its directory"):
        apply(there, planned, found, BlobReader(context.stored))


def test_a_new_directory_that_vanishes_before_its_files_are_made_is_planned_for_anew(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "d").mkdir()
    (here / "d/new").write_bytes(b"new")
    context.upload(here, EMPTY)
    monkeypatch.setattr(fresh, "create", _after(lambda: shutil.rmtree(there / "d"), filewriter.create))
    with pytest.raises(WorkspaceChanged, match="lost its directory"):
        context.download(there, EMPTY)


def _after(first: Callable[[], object], call: Callable[..., Any]) -> Callable[..., Any]:
    def both(*arguments: Any, **options: Any) -> Any:
        first()
        return call(*arguments, **options)

    return both


@pytest.mark.parametrize("kind", [FILE, DIRECTORY, LINK])
def test_what_appears_after_the_scan_is_not_overwritten(context: Context, here: Path, there: Path, kind: str) -> None:
    if kind == FILE:
        (here / "x").write_bytes(b"theirs")
    elif kind == LINK:
        (here / "x").symlink_to("theirs")
    else:
        (here / "x").mkdir()
    context.upload(here, EMPTY)
    planned, found = context.prepare(there, EMPTY)
    (there / "x").write_bytes(b"the user's")
    with pytest.raises(WorkspaceChanged, match=r"'x' .*appeared"):
        apply(there, planned, found, BlobReader(context.stored))
    assert (there / "x").read_bytes() == b"the user's"
    assert not leftovers(there)


def test_a_directory_that_got_something_new_is_not_removed(context: Context, here: Path, there: Path) -> None:
    (here / "d").mkdir()
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "d").rmdir()
    context.upload(here, mine)
    planned, found = context.prepare(there, theirs)
    (there / "d/new").write_bytes(b"the user's")
    with pytest.raises(WorkspaceChanged, match=r"'d' .*something new"):
        apply(there, planned, found, BlobReader(context.stored))
    context.download(there, theirs)
    assert (there / "d/new").read_bytes() == b"the user's"


@pytest.mark.parametrize("deed", ["write", "remove", "mkdir", "chmod"])
def test_nothing_happens_behind_a_link_that_took_a_directory_place(
    context: Context, here: Path, there: Path, tmp_path: Path, deed: str
) -> None:
    (here / "d/e").mkdir(parents=True)
    (here / "d/x").write_bytes(b"1")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    if deed == "write":
        (here / "d/x").write_bytes(b"2")
    elif deed == "remove":
        (here / "d/x").unlink()
    elif deed == "mkdir":
        (here / "d/new").mkdir()
    else:
        (here / "d/e").chmod(0o700)
    context.upload(here, mine)
    planned, found = context.prepare(there, theirs)
    (there / "d").rename(tmp_path / "outside")
    (there / "d").symlink_to(tmp_path / "outside")
    before = manifest(tmp_path / "outside")
    with pytest.raises(WorkspaceChanged, match=r"'d' .*symbolic link"):
        apply(there, planned, found, BlobReader(context.stored))
    assert equal(manifest(tmp_path / "outside"), before)


def test_a_link_in_the_way_of_a_directory_is_replaced_and_kept(
    context: Context, here: Path, there: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (there / "d").symlink_to(tmp_path / "outside")
    (here / "d").mkdir()
    (here / "d/x").write_bytes(b"1")
    context.upload(here, EMPTY)
    context.download(there, EMPTY)
    assert not (there / "d").is_symlink()
    assert (there / "d/x").read_bytes() == b"1"
    assert list((tmp_path / "outside").iterdir()) == []
    assert any(revision.get(b"d", Entry("", 0)).kind == LINK for revision in context.past)


@pytest.mark.parametrize("path", [b"../x", b"/x", b"a/../../x", b"a//x", b".", b"..", b"a/.", b"x\0y"])
@pytest.mark.parametrize("kind", [FILE, DIRECTORY, LINK])
def test_no_path_leads_out_of_the_root(context: Context, there: Path, path: bytes, kind: str) -> None:
    entry = Entry(kind, 0o755, digest=blake3(b"").digest() if kind == FILE else b"", target=b"t")
    (there / "a").mkdir()
    planned = Plan(write={path: entry})
    with pytest.raises(WorkspaceError, match="leads astray"):
        apply(there, planned, scan(there, EMPTY), BlobReader(context.stored))
    assert manifest(there).keys() == {b"a"}
    assert not (there.parent / "x").exists()


def test_missing_content_is_noticed_before_anything_is_removed(context: Context, there: Path) -> None:
    (there / "old").write_bytes(b"1")
    state = context.upload(there, EMPTY)
    absent = blake3(b"absent").digest()
    context.head = {b"new": Entry(FILE, 0o644, 1, 6, absent, (absent,))}
    with pytest.raises(ContentError, match="'new'"):
        context.download(there, state)
    assert (there / "old").exists()


def test_a_full_disk_leaves_the_old_file_and_no_temporary(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "x").write_bytes(b"old")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "x").write_bytes(b"newer")
    context.upload(here, mine)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(WorkspaceError, match=r"'x' .*No space left on device"):
            context.download(there, theirs)
    assert (there / "x").read_bytes() == b"old"
    assert not leftovers(there)
    context.download(there, theirs)
    assert (there / "x").read_bytes() == b"newer"


def test_where_there_are_no_hard_links_files_are_renamed(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    (there / "own").touch()
    (here / "x").write_bytes(b"1")
    (here / "y").symlink_to("x")
    context.upload(here, EMPTY)
    context.download(there, EMPTY)
    (there / "own").unlink()
    assert equal(manifest(there), manifest(here))
    assert not leftovers(there)


def test_names_of_one_file_are_removed_one_by_one(context: Context, here: Path, there: Path) -> None:
    (here / "a").write_bytes(b"1")
    for name in ("b", "c", "d"):
        os.link(here / "a", here / name)
    state = context.upload(here, EMPTY)
    context.head = {}
    context.download(here, state)
    assert manifest(here) == {}


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
        for path in [directory, *directory.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        if superuser:
            os.seteuid(0)
        shutil.rmtree(directory)


def test_read_only_directories_are_written_and_stay_read_only(owned: Path) -> None:
    context, here, there = Context(owned / "blobs"), owned / "here", owned / "there"
    there.mkdir()
    (here / "d/e").mkdir(parents=True)
    (here / "d/e/x").write_bytes(b"1")
    (here / "d/old").write_bytes(b"1")
    for path in ("d/e", "d"):
        (here / path).chmod(0o555)
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    assert equal(manifest(there), manifest(here))
    (here / "d").chmod(0o755)
    (here / "d/e").chmod(0o755)
    (here / "d/e/x").write_bytes(b"2")
    (here / "d/old").unlink()
    (here / "d/e/new").write_bytes(b"3")
    (here / "d/e").chmod(0o555)
    (here / "d").chmod(0o500)
    context.upload(here, mine)
    context.download(there, theirs)
    assert equal(manifest(there), manifest(here))
    assert stat.S_IMODE((there / "d").stat().st_mode) == 0o500


def test_a_failure_leaves_read_only_directories_read_only(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "d").mkdir()
    (here / "d/x").write_bytes(b"1")
    (here / "d").chmod(0o555)
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "d/x").write_bytes(b"22")
    context.upload(here, mine)

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(WorkspaceError, match="Input/output error"):
        context.download(there, theirs)
    assert stat.S_IMODE((there / "d").stat().st_mode) == 0o555


def test_many_deep_directories_are_handled_with_few_descriptors(context: Context, here: Path, there: Path) -> None:
    for number in range(120):
        directory = here / str(number % 10) / str(number) / "a/b/c"
        directory.mkdir(parents=True)
        (directory / "x").write_bytes(b"%d" % number)
    deep = here.joinpath(*["deep"] * 100)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"deep")
    before = len(os.listdir("/proc/self/fd"))
    state = context.upload(here, EMPTY)
    context.download(there, EMPTY)
    assert equal(manifest(there), manifest(here))
    context.head = {}
    context.download(here, state)
    assert manifest(here) == {}
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_download_blocked_by_a_socket_leaves_it(context: Context, here: Path, there: Path) -> None:
    (here / "p").write_bytes(b"1")
    (here / "q").write_bytes(b"2")
    context.upload(here, EMPTY)
    os.mkfifo(there / "p")
    context.download(there, EMPTY)
    assert stat.S_ISFIFO((there / "p").stat().st_mode)
    assert (there / "q").read_bytes() == b"2"


def test_progress_is_told_and_can_stop_the_work(context: Context, here: Path, there: Path) -> None:
    (here / "x").write_bytes(b"1234")
    (here / "link").symlink_to("x")
    context.upload(here, EMPTY)
    planned, found = context.prepare(there, EMPTY)
    reader = BlobReader(context.stored)

    def stop(files: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(there, planned, found, reader, progress=stop)
    assert not leftovers(there)
    planned, found = context.prepare(there, EMPTY)
    told: list[tuple[int, int]] = []
    apply(there, planned, found, reader, progress=lambda files, size: told.append((files, size)))
    assert [sum(column) for column in zip(*told, strict=True)] == [1, 4]


class Killed(BaseException):
    """The process is gone: nothing more of it runs, as far as the file system can tell."""


CALLS = (
    "fsync",
    "replace",
    "mkdir",
    "unlink",
    "rmdir",
    "open",
    "write",
    "fchmod",
    "utime",
    "link",
    "rename",
    "symlink",
)


@contextmanager
def mortal(monkeypatch: pytest.MonkeyPatch, moment: int) -> Iterator[None]:
    """Let a number of system calls that change something happen, and none after them."""
    left = moment

    def limited(call: Callable[..., object]) -> Callable[..., object]:
        def either(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*arguments, **options)

        return either

    with monkeypatch.context() as patch, suppress(Killed):
        for name in CALLS:
            patch.setattr(os, name, limited(getattr(os, name)))
        yield


@pytest.mark.parametrize("moment", range(30))
def test_an_upload_killed_at_any_moment_leaves_nothing_wrong_and_is_completed_by_the_next(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    for number in range(5):
        (here / str(number)).write_bytes(bytes([number]) * 400_000)
    with mortal(monkeypatch, moment):
        writer = PackWriter(context.stored, pack_size=1_000_000)
        scan(here, EMPTY, writer=writer)
        writer.flush()
    entries = manifest(here)
    known = context.stored.locate({digest for entry in entries.values() for digest in entry.chunks}).keys()
    stored = {path: entry for path, entry in entries.items() if known >= set(entry.chunks)}
    for path, pieces in BlobReader(context.stored).contents(stored):
        assert b"".join(pieces) == (here / os.fsdecode(path)).read_bytes()
    assert context.head == {}
    context.upload(here, EMPTY)
    context.download(there, EMPTY)
    assert equal(manifest(there), manifest(here))


@pytest.mark.parametrize("moment", range(30))
def test_a_download_killed_at_any_moment_is_completed_by_the_next(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    (here / "gone").mkdir()
    for name in ("edited", "gone/x", "becomes-dir"):
        (here / name).write_bytes(b"base")
    mine, theirs = context.upload(here, EMPTY), context.download(there, EMPTY)
    (here / "edited").write_bytes(b"newer")
    shutil.rmtree(here / "gone")
    (here / "becomes-dir").unlink()
    (here / "becomes-dir/sub").mkdir(parents=True)
    (here / "becomes-dir/sub/x").write_bytes(b"1")
    (here / "link").symlink_to("x")
    context.upload(here, mine)
    (there / "own").write_bytes(b"the user's")
    planned, found = context.prepare(there, theirs)
    with mortal(monkeypatch, moment):
        apply(there, planned, found, BlobReader(context.stored), journal=context.journal)
    context.download(there, theirs)
    assert not leftovers(there)
    assert not context.journal.exists()
    (there / "own").unlink()
    assert equal(manifest(there), context.head)


@pytest.mark.parametrize("moment", range(25))
def test_an_upload_after_a_killed_restore_changes_nothing_in_the_context(
    context: Context, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    (here / "d").mkdir()
    for name in ("a", "d/b", "d/c"):
        (here / name).write_bytes(b"whole")
    context.upload(here, EMPTY)
    planned, found = context.prepare(there, EMPTY)
    with mortal(monkeypatch, moment):
        apply(there, planned, found, BlobReader(context.stored), journal=context.journal)
    (there / "d").mkdir(exist_ok=True)
    (there / "d").chmod((here / "d").stat().st_mode)
    context.upload(there, EMPTY)
    assert len(context.past) == 1


NAMES = st.sampled_from([b"a", b"b", b"\xff"])
CONTENTS = st.sampled_from([b"", b"1", b"2", b"33"])


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, bytes, bytes, int]]:
    path = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
    deed = st.sampled_from(["write", "write", "mkdir", "link", "remove", "chmod"])
    return draw(st.lists(st.tuples(deed, path, CONTENTS, st.sampled_from([0o755, 0o700, 0o555])), max_size=6))


def perform(root: bytes, changes: list[tuple[str, bytes, bytes, int]]) -> None:
    for deed, relative, content, mode in changes:
        path = root + b"/" + relative
        above = os.path.dirname(path)
        if not os.path.realpath(above).startswith(os.path.realpath(root)):
            continue
        try:
            if deed != "remove":
                os.makedirs(above, exist_ok=True)
            if deed == "remove" or (deed in ("write", "link") and os.path.lexists(path)):
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            if deed == "write":
                with open(path, "wb") as stream:
                    stream.write(content)
                os.chmod(path, mode)
            elif deed == "mkdir":
                os.makedirs(path, exist_ok=True)
            elif deed == "link":
                os.symlink(b"target" + content, path)
            elif deed == "chmod" and not os.path.islink(path):
                os.chmod(path, mode)
        except (FileNotFoundError, FileExistsError, NotADirectoryError):
            continue


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.booleans(), edits(), st.sampled_from(["upload", "download"])), max_size=5))
def test_two_workspaces_that_sync_in_any_order_end_up_equal(
    steps: list[tuple[bool, list[tuple[str, bytes, bytes, int]], str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Path(folder, "blobs"))
        roots = Path(folder, "one"), Path(folder, "two")
        states = [EMPTY, EMPTY]
        for root in roots:
            root.mkdir()
        for which, changes, mode in steps:
            perform(os.fsencode(roots[which]), changes)
            sync = context.upload if mode == "upload" else context.download
            states[which] = sync(roots[which], states[which])
        for turn, root in enumerate(roots):
            states[turn] = context.upload(root, context.download(root, states[turn]))
        for turn, root in enumerate(roots):
            states[turn] = context.download(root, states[turn])
            assert equal(manifest(root), context.head)
            assert scan(root, states[turn]).manifest == states[turn].base()
            assert not leftovers(root)


@pytest.mark.parametrize("sizes", [(300, 400), (3 << 20, 3 << 20), (10, 0)], ids=["one chunk", "many chunks", "empty"])
def test_a_file_whose_chunks_are_those_of_another_is_not_delivered(
    context: Context, here: Path, there: Path, sizes: tuple[int, int]
) -> None:
    for name, size in zip("ab", sizes, strict=True):
        (here / name).write_bytes(os.urandom(size))
    context.upload(here, WorkspaceState())
    one, other = context.head[b"a"], context.head[b"b"]
    context.head[b"a"] = msgspec.structs.replace(one, chunks=other.chunks, size=other.size)
    (there / "a").write_text("mine")
    with pytest.raises(ContentError, match=r"the content of 'a' is damaged: .*; no file was replaced with it"):
        context.download(there, WorkspaceState())
    assert (there / "a").read_text() == "mine"


def test_a_file_that_another_stored_as_one_enormous_chunk_is_written(
    context: Context, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "_WORTH_A_PROCESS", 0)
    content = bytes(fresh._BATCHES_AHEAD * fresh._MOST_BATCH_BYTES + 1)
    digest = blake3(content).digest()
    context.stored.put(seal([content], [(digest, 0, len(content), len(content))]))
    context.head = {b"d": Entry(DIRECTORY, 0o755), b"d/x": Entry(FILE, 0o644, 1, len(content), digest, (digest,))}
    context.download(there, EMPTY)
    assert (there / "d/x").read_bytes() == content
