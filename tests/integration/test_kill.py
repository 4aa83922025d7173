"""A sync that is killed loses nothing: the context is always whole, and the next sync repairs everything."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctxmgr import Client, ContextStatusData
from ctxmgr.service.entries import is_temporary

KILLS = 20

Tree = dict[str, bytes]

pytestmark = pytest.mark.timeout(300)


def grow(version: int) -> Tree:
    """Make up the content of a tree: many small files, some of them in common with other versions, and a large one."""
    noise = random.Random(version)
    tree = {f"common/{number}": f"the same in all versions {number}".encode() * 50 for number in range(100)}
    tree |= {f"own/{number % 7}/{number}": noise.randbytes(noise.randrange(20_000)) for number in range(150)}
    tree[f"only-in-{version}"] = b"here"
    tree["large"] = noise.randbytes(8_000_000)
    return tree


def plant(tree: Tree, directory: Path) -> None:
    """Make a directory hold exactly a tree."""
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        path.unlink()
    for name, content in tree.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


def harvest(directory: Path) -> Tree:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


class Kept:
    """A context kept in a data folder, synced by processes that may be killed."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.directory = folder / "directory"
        self.restored = folder / "restored"
        self.directory.mkdir()

    def start(self, mode: str, directory: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ctxmgr", "--data", str(self.data), "sync", str(directory)]
        return subprocess.Popen([*command, "--context", "kept", "--mode", mode], stdout=subprocess.DEVNULL)

    def sync(self, mode: str, directory: Path) -> float:
        """Sync undisturbed; give the seconds it took."""
        began = time.monotonic()
        assert self.start(mode, directory).wait() == 0
        return time.monotonic() - began

    def kill_after(self, seconds: float, mode: str, directory: Path) -> bool:
        """Kill a sync; tell whether it was still running."""
        process = self.start(mode, directory)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
        return False

    def content(self) -> Tree:
        """Read the whole context through a download to an empty directory."""
        target = self.restored / str(time.monotonic_ns())
        target.mkdir(parents=True)
        with Client.local(self.data) as client:
            context = client.contexts.get("kept").context
            with client.sessions.create(root=target, bind={"/": context}).session:
                return harvest(target)

    def tasks(self) -> list[ContextStatusData]:
        with Client.local(self.data) as client:
            sessions = [client.session(info.session_id) for info in client.sessions.iter()]
            return [task for session in sessions for task in session.context.info().context_status_data]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return Kept(tmp_path)


def moments(whole: float) -> list[float]:
    """Spread the kills over the time that a whole sync takes, its start-up left out where nothing happens yet."""
    return [whole * (0.3 + 0.7 * number / KILLS) for number in range(KILLS)]


def test_a_killed_upload_leaves_the_earlier_or_the_later_revision(kept: Kept) -> None:
    plant(grow(0), kept.directory)
    whole = kept.sync("upload", kept.directory)
    before, killed = grow(0), 0
    for version, moment in enumerate(moments(whole), start=1):
        after = grow(version)
        plant(after, kept.directory)
        killed += kept.kill_after(moment, "upload", kept.directory)
        content = kept.content()
        assert content in (before, after), "the context is neither the earlier nor the later tree"
        assert {task.status for task in kept.tasks()} <= {"Success", "Failed"}
        before = content
    assert killed >= KILLS // 2, "too few kills hit a running sync for this test to mean anything"
    kept.sync("upload", kept.directory)
    assert kept.content() == harvest(kept.directory)


def test_a_killed_download_is_repaired_by_the_next(kept: Kept, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    plant(grow(0), kept.directory)
    kept.sync("upload", kept.directory)
    whole = kept.sync("download", copy)
    killed = 0
    for version, moment in enumerate(moments(whole), start=1):
        before, after = harvest(copy), grow(version)
        plant(after, kept.directory)
        kept.sync("upload", kept.directory)
        was_killed = kept.kill_after(moment, "download", copy)
        killed += was_killed
        assert kept.content() == after, "a download changed the context"
        torn = [
            name
            for name, content in harvest(copy).items()
            if content not in (before.get(name), after.get(name)) and not is_temporary(os.fsencode(Path(name).name))
        ]
        assert not torn, "files are neither the earlier nor the later"
        assert {task.status for task in kept.tasks()} <= {"Success", "Failed"}
        if was_killed:
            kept.sync("download", copy)
        assert harvest(copy) == after
    assert killed >= KILLS // 2, "too few kills hit a running sync for this test to mean anything"
