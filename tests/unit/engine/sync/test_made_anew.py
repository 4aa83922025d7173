"""A directory that was made anew where one was synced before: what it lacks was never deleted in it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.engine.workspace.dirfd import Identity, Tree
from tests.support.contextstores import ADAPTERS
from tests.unit.engine.sync.test_narrow import Side, opened

FILES = ("a", "d/b")


@pytest.fixture(params=ADAPTERS)
def side(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Side]:
    with opened(tmp_path, request.param) as side:
        yield side


@pytest.fixture
def root(tmp_path: Path, side: Side) -> Path:
    """A directory that was synced, and is another one now."""
    root = tmp_path / "root"
    fill(root, *FILES)
    side.sync(root)
    root.rename(tmp_path / "before")
    return root


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("there", [("other",), ("a", "other"), ("a",)])
def test_a_download_brings_what_it_lacks(side: Side, root: Path, there: tuple[str, ...]) -> None:
    fill(root, *there)
    side.sync(root, "download")
    assert files(root) == {*FILES, *there}


def test_an_upload_deletes_nothing(side: Side, root: Path) -> None:
    fill(root, "other")
    assert side.sync(root)["deleted"] == 0
    assert {*side.held()} == {b"a", b"d", b"d/b", b"other"}


def test_what_is_deleted_in_it_later_is_deleted_in_the_context(side: Side, root: Path) -> None:
    fill(root, "other")
    side.sync(root, "download")
    (root / "a").unlink()
    side.sync(root)
    assert b"a" not in side.held()


def test_a_directory_that_was_only_moved_away_and_back_is_the_same(side: Side, root: Path, tmp_path: Path) -> None:
    (tmp_path / "before").rename(root)
    (root / "a").unlink()
    side.sync(root)
    assert {*side.held()} == {b"d", b"d/b"}


def test_directories_of_one_inode_number_are_told_apart_by_its_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([b"1", b"2"])

    def ioctl(descriptor: int, request: int, generation: bytearray) -> None:
        generation[:1] = next(told)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert len({identity(tmp_path) for _ in range(2)}) == 2


def test_where_there_are_no_generations_the_inode_number_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ioctl(*arguments: object) -> None:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert identity(tmp_path) == (tmp_path.stat().st_ino, 0)


def identity(directory: Path) -> Identity:
    with Tree(os.fsencode(directory)) as tree:
        return tree.identity
