"""What changes the store itself is killed at many points: no kept revision is ever lost, and the next run completes it.

Each point is hit in a copy of the same data folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest

from ctxmgr import Client
from ctxmgr.results import StoreCheckResult
from tests.support.points import kill_at, points_of, spread

from .test_kill import Tree, grow, harvest, plant

KILLS = int(os.environ.get("CTXMGR_TEST_KILLS", "3"))
"""Of each command. More of them find rarer moments: give the variable a number."""
EARLIER = Path(__file__).parents[1] / "unit/service/data/schema3.tar.xz"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240 + 20 * KILLS)]


@pytest.fixture(autouse=True)
def same_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@attrs.frozen
class Store:
    """A data folder, and what its context is known to hold by revision."""

    folder: Path
    revisions: dict[int, Tree]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def directory(self) -> Path:
        return self.folder / "directory"

    def run(self, *arguments: str) -> None:
        points_of(self._arguments(arguments), self.folder)

    def checked(self) -> StoreCheckResult:
        with Client.local(self.data) as client:
            return client.store.check(read_data=True)

    def restored(self, revision: int | None = None, name: str = "kept") -> Tree:
        """Return what a context holds, or held at a revision."""
        target = self.folder / "restored"
        shutil.rmtree(target, ignore_errors=True)
        self.run("restore", name, *(("--revision", str(revision)) if revision else ()), "--to", str(target))
        return harvest(target)

    def size(self) -> int:
        return sum(file.stat().st_size for file in self.data.joinpath("blobs").rglob("*") if file.is_file())

    def killed(self, arguments: Sequence[str], *, status: int = 0) -> Iterator[Store]:
        """Return copies of this store in which a command was killed, each at another point.

        Args:
            arguments: the command's.
            status: that it ends with when nobody kills it.
        """
        whole = self.copy("whole")
        points = points_of(whole._arguments(arguments), whole.folder, status=status)
        shutil.rmtree(whole.folder)
        for point in spread(KILLS, points):
            copy = self.copy(f"at-{point}")
            kill_at(point, copy._arguments(arguments), copy.folder)
            yield copy
            shutil.rmtree(copy.folder)

    def copy(self, name: str) -> Store:
        folder = self.folder.with_name(f"{self.folder.name}-{name}")
        shutil.copytree(self.folder, folder, symlinks=True)
        return attrs.evolve(self, folder=folder)

    def _arguments(self, arguments: Sequence[str]) -> list[str]:
        return ["--data", str(self.data), *arguments]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store", {number: grow(number) for number in (1, 2, 3, 4)})
    made.directory.mkdir(parents=True)
    for tree in made.revisions.values():
        plant(tree, made.directory)
        made.run("sync", str(made.directory), "--context", "kept")
    return made


def test_a_prune_that_is_killed_loses_no_kept_revision_and_the_next_gives_the_room_back(store: Store) -> None:
    prune = ["prune", "kept", "--keep-last", "2", "--grace", "0"]
    whole = store.copy("pruned")
    whole.run(*prune)
    assert whole.size() < 0.7 * store.size()
    for copy in store.killed(prune):
        assert copy.checked().damages == []
        assert {number: copy.restored(number) for number in (3, 4)} == {
            number: copy.revisions[number] for number in (3, 4)
        }
        copy.run(*prune)
        assert copy.checked().damages == []
        assert copy.restored(4) == copy.revisions[4]
        assert copy.size() <= 1.02 * whole.size()


def test_a_repair_that_is_killed_is_done_by_the_next_and_the_directory_heals_what_it_has(store: Store) -> None:
    pack = max(store.data.joinpath("blobs/packs").glob("??/*"), key=lambda file: file.stat().st_mtime_ns)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    damaged = store.checked().damages_total
    assert damaged
    for copy in store.killed(["check", "--read-data", "--repair"], status=1):
        assert copy.checked().damages_total <= damaged
        with Client.local(copy.data) as client:
            client.store.check(read_data=True, repair=True)
        assert copy.restored(1) == copy.revisions[1], "what is not damaged is lost"
        copy.run("sync", str(copy.directory), "--context", "kept")
        assert copy.checked().damages == []
        assert copy.restored(4) == copy.revisions[4]


def test_an_upgrade_that_is_killed_is_done_by_the_next_start(tmp_path: Path) -> None:
    earlier = Store(tmp_path / "earlier", {})
    with tarfile.open(EARLIER) as archive:
        archive.extractall(earlier.folder, filter="data")
    whole = earlier.copy("upgraded")
    upgraded = {number: whole.restored(number, "project") for number in (1, 2)}
    assert upgraded[1]["a"] == b"first"
    assert upgraded[2]["a"] == b"second"
    for copy in earlier.killed(["history", "project"]):
        assert {number: copy.restored(number, "project") for number in (1, 2)} == upgraded
        assert copy.checked().damages == []


@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        (["revert", "kept", "--revision", "2"], lambda revisions: revisions[2]),
        (["clear", "kept", "--yes"], lambda revisions: {}),
    ],
    ids=["revert", "clear"],
)
def test_a_change_of_the_whole_context_that_is_killed_is_made_or_not(
    store: Store, arguments: list[str], after: Callable[[dict[int, Tree]], Tree]
) -> None:
    expected = after(store.revisions)
    for copy in store.killed(arguments):
        assert copy.restored() in (copy.revisions[4], expected)
        assert copy.restored(4) == copy.revisions[4]
        copy.run(*arguments)
        assert copy.restored() == expected
        assert copy.checked().damages == []
