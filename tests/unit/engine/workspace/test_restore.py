"""A restore into a directory proves what it wrote by reading it back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, Manifest
from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.engine.workspace.restore import Restore


def file(content: bytes) -> Entry:
    return Entry(FILE, 0o644, 10**18, len(content), blake3(content).digest())


class Reader:
    """Reads contents out of memory; before each file something may happen."""

    def __init__(self, contents: dict[bytes, bytes], before: Callable[[bytes], object] = lambda path: None) -> None:
        self._contents = contents
        self._before = before

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        for path in files:
            self._before(path)
            yield path, iter([memoryview(self._contents[path])])


def restored(directory: Path, contents: dict[bytes, bytes], before: Callable[[bytes], object]) -> Restore:
    restore = Restore(str(directory), {path: file(content) for path, content in contents.items()})
    restore.begin()
    for batch in restore.batches():
        restore.write(batch, Reader(contents, before))
    return restore


def made_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"two"), "has the digest"),
        (lambda path: path.unlink(), "is not there"),
        (lambda path: path.chmod(0o600), "has the mode 0600 instead of 0644"),
        (lambda path: os.utime(path, ns=(1, 1)), f"has the mtime_ns 1 instead of {10**18}"),
        (lambda path: (path.unlink(), path.symlink_to("b")), "has the kind link instead of file"),
        (made_a_fifo, "is a FIFO"),
    ],
)
def test_what_is_not_as_it_was_written_is_named(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    def before(path: bytes) -> None:
        if path == b"b":
            damage(tmp_path / "a")

    restore = restored(tmp_path, {b"a": b"one", b"b": b"two"}, before)
    ((path, told),) = restore.unproven()
    assert (path, told.startswith(reason)) == (b"a", True), told


def test_all_that_is_as_it_was_written_is_proven(tmp_path: Path) -> None:
    restore = restored(tmp_path, {b"a": b"one", b"d/b": b"two"}, lambda path: None)
    assert (restore.unproven(), restore.written) == ([], (2, 6))


@pytest.mark.parametrize("path", [b"../out", b"/out", b"d/../../out", b"", b".", b"a\0b"])
def test_no_path_leads_out_of_the_directory(tmp_path: Path, path: bytes) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(WorkspaceError):
        restored(tmp_path / "in", {path: b"one"}, lambda path: None)
    assert not (tmp_path / "out").exists()


def test_no_link_leads_out_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    entries = {b"link": Entry(LINK, 0o777, 1, target=os.fsencode(tmp_path / "out")), b"link/in": file(b"one")}
    restore = Restore(str(tmp_path / "to"), entries)
    restore.begin()
    with pytest.raises(WorkspaceError):
        restore.write({b"link/in": entries[b"link/in"]}, Reader({b"link/in": b"one"}))
    assert os.listdir(tmp_path / "out") == []


def test_what_a_killed_restore_left_unfinished_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".ctxmgr-tmp-0123456789abcdef").write_text("half")
    restore = restored(tmp_path, {b"a": b"one"}, lambda path: None)
    assert (restore.unproven(), os.listdir(tmp_path)) == ([], ["a"])


def test_a_batch_is_bounded_in_paths_and_bytes(tmp_path: Path) -> None:
    entries = {b"%05d" % number: file(b"") for number in range(4001)}
    entries[b"large"] = Entry(FILE, 0o644, 0, 1 << 40, b"\1" * 32)
    entries[b"other"] = Entry(FILE, 0o644, 0, 1 << 40, b"\1" * 32)
    sizes = [len(batch) for batch in Restore(str(tmp_path), entries).batches()]
    assert sizes == [2000, 2000, 1, 1, 1]


def test_a_folder_without_an_entry_of_its_own_is_made(tmp_path: Path) -> None:
    restore = restored(tmp_path, {b"a/b/c": b"one"}, lambda path: None)
    assert restore.wanted[b"a/b"] == Entry(DIRECTORY, 0o755)
    assert restore.unproven() == []
