"""A service that has no sight of the directory which it keeps: a real tree goes up, and comes down in another place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.attaching import attaching
from tests.support.elsewhere import Elsewhere, elsewhere

from .serving import Serving, environment_with, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "a-key-of-these-tests-that-nobody-guesses"
LARGEST = int(os.environ.get("CTXMGR_TEST_LARGEST", "300000"))
"""Bytes of the files that are taken from where packages are installed: a hundred large ones are half of it."""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A copy of where packages are installed, in a directory that is to be hidden, with what is rare in there."""

    def too_large(folder: str, names: list[str]) -> list[str]:
        paths = [(name, os.path.join(folder, name)) for name in names]
        return [name for name, path in paths if os.path.isfile(path) and os.path.getsize(path) > LARGEST]

    tree = tmp_path / "hidden" / "tree"
    shutil.copytree(sysconfig.get_paths()["purelib"], tree, symlinks=True, ignore=too_large)
    (tree / "empty" / "deep").mkdir(parents=True)
    (tree / "closed").mkdir()
    (tree / "closed" / "file").write_text("in a directory that nobody writes to")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "to a directory").symlink_to("requests")
    os.utime(tree / "dangling", ns=(1, 1_234_567_890_123_456_789), follow_symlinks=False)
    (tree / ("n" * 255)).write_text("a long name")
    (tree / os.fsdecode(b"\xff\xfe")).write_text("a name that is not UTF-8")
    for name, mode in (("setuid", 0o4751), ("unreadable by others", 0o600), ("for everybody", 0o777)):
        (tree / name).write_text("#!/bin/sh\n")
        (tree / name).chmod(mode)
    os.utime(tree / "setuid", ns=(1, 1_234_567_890_123_456_789))
    (tree / "large").write_bytes(os.urandom(20_000_000))
    (tree / "closed").chmod(0o500)
    yield tree
    for closed in (tree / "closed", tmp_path / "back" / "closed"):
        closed.chmod(0o700)


@pytest.fixture
def place(tree: Path, tmp_path: Path) -> Iterator[Elsewhere]:
    with elsewhere(tree.parent, tmp_path) as place:
        yield place


@pytest.fixture
def server(place: Elsewhere) -> Iterator[Serving]:
    arguments = ("--host", place.host)
    with serving(place.folder / "data", *arguments, by=place.by, CTXMGR_API_KEY=KEY) as server:
        yield server


def described(directory: Path) -> dict[str, tuple[object, ...]]:
    """Return of each path in a tree its mode, and of what is no directory also its time, and its content or target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in directory.rglob("*"):
        status, name = path.lstat(), str(path.relative_to(directory))
        if path.is_symlink():
            found[name] = ("link", status.st_mtime_ns, os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", status.st_mode)
        else:
            found[name] = (status.st_mode, status.st_mtime_ns, path.read_bytes())
    return found


def test_a_tree_that_the_service_can_not_open_goes_up_and_comes_down_the_same(
    tree: Path, place: Elsewhere, server: Serving, tmp_path: Path
) -> None:
    assert subprocess.run([*place.by, "ls", tree], capture_output=True, check=False).returncode != 0
    there = {"CTXMGR_ENDPOINT": server.address, "CTXMGR_API_KEY": KEY}
    command = [sys.executable, "-m", "ctxmgr", "sync", str(tree), "--context", "real"]
    run = subprocess.run(
        command,
        env=environment_with(CTXMGR_HOME=str(tmp_path / "one home"), **there),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    back = tmp_path / "back"
    back.mkdir()
    with attaching(back, "--context", "real", home=tmp_path / "another home", **there) as attached:
        attached.next("attached")
        assert attached.end() == 0
    assert described(back) == described(tree)
    compared = subprocess.run(["diff", "-r", "--no-dereference", tree, back], capture_output=True, check=False)
    assert (compared.returncode, compared.stdout) == (0, b"")
