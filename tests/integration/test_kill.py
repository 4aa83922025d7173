"""A sync that is killed loses nothing: the context is always whole, and the next sync repairs everything."""

from __future__ import annotations

import os
import random
import sys
import uuid
from pathlib import Path

import pytest

from ctxmgr import Client, ContextStatusData
from ctxmgr.engine.manifest.entries import is_temporary
from tests.support.points import kill_at, points_of, spread

KILLS = 20

Tree = dict[str, bytes]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
        self.folder = folder
        self.directory.mkdir()

    def sync(self, mode: str, directory: Path) -> int:
        """Sync undisturbed; return how many points it passed."""
        return points_of(self._arguments(mode, directory), self.folder)

    def kill_at(self, point: int, mode: str, directory: Path) -> None:
        """Have a sync killed at a point."""
        kill_at(point, self._arguments(mode, directory), self.folder)

    def content(self) -> Tree:
        """Read the whole context through a download to an empty directory."""
        target = self.restored / uuid.uuid4().hex
        target.mkdir(parents=True)
        with Client.local(self.data) as client:
            context = client.contexts.get("kept").context
            with client.sessions.create(root=target, bind={"/": context}).session:
                return harvest(target)

    def tasks(self) -> list[ContextStatusData]:
        with Client.local(self.data) as client:
            sessions = [client.session(info.session_id) for info in client.sessions.iter()]
            return [task for session in sessions for task in session.context.info().context_status_data]

    def _arguments(self, mode: str, directory: Path) -> list[str]:
        return ["--data", str(self.data), "sync", str(directory), "--context", "kept", "--mode", mode]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return Kept(tmp_path)


def test_a_killed_upload_leaves_the_earlier_or_the_later_revision(kept: Kept) -> None:
    for before in (grow(-1), grow(0)):
        plant(before, kept.directory)
        points = kept.sync("upload", kept.directory)  # of a sync that is not the first, as those to come
    for version, point in enumerate(spread(KILLS, points), start=1):
        after = grow(version)
        plant(after, kept.directory)
        kept.kill_at(point, "upload", kept.directory)
        content = kept.content()
        assert content in (before, after), "the context is neither the earlier nor the later tree"
        assert {task.status for task in kept.tasks()} <= {"Success", "Failed"}
        kept.sync("upload", kept.directory)
        before = kept.content()
        assert before == harvest(kept.directory)


def test_a_killed_download_is_repaired_by_the_next(kept: Kept, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for version in (-1, 0):
        plant(grow(version), kept.directory)
        kept.sync("upload", kept.directory)
        points = kept.sync("download", copy)
    for version, point in enumerate(spread(KILLS, points), start=1):
        before, after = harvest(copy), grow(version)
        plant(after, kept.directory)
        kept.sync("upload", kept.directory)
        kept.kill_at(point, "download", copy)
        assert kept.content() == after, "a download changed the context"
        torn = [
            name
            for name, content in harvest(copy).items()
            if content not in (before.get(name), after.get(name)) and not is_temporary(os.fsencode(Path(name).name))
        ]
        assert not torn, "files are neither the earlier nor the later"
        assert {task.status for task in kept.tasks()} <= {"Success", "Failed"}
        kept.sync("download", copy)
        assert harvest(copy) == after
