"""Who takes for its own what was uploaded: a workspace whose process died in between, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.engine.sync import run
from ctxmgr.engine.sync.port import ContextStore
from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.engine.workspace.uploadname import made_name, noted_name, workspace_of
from tests.support.contextstores import ACCOUNT, ADAPTERS, Keeper


class Machine:
    """Has its directory at the same path as all others, and a node's folder of its own."""

    def __init__(self, keeper: Keeper, store: ContextStore, name: str, context: str) -> None:
        self.own = keeper.folder / name
        self._keeper, self._store, self._context = keeper, store, context
        self._shared = keeper.folder / "workspace"
        (self.own / "locks").mkdir(parents=True)
        (self.own / "files").mkdir()

    def write(self, *names: str) -> None:
        for name in names:
            (self.own / "files" / name).write_text(name)

    def sync(self, mode: str) -> set[str]:
        """Sync, and return which files are here then."""
        (self.own / "files").rename(self._shared)
        try:
            task = self._keeper.task(self._context, mode=mode)
            syncs = Syncs(self._store, NodeFolder(self.own), ACCOUNT)
            syncs.run(task, str(self._shared), Monitor(lambda progress: None))
        finally:
            self._shared.rename(self.own / "files")
        return {file.name for file in (self.own / "files").iterdir()}

    def become(self, other: Machine) -> None:
        """Be a copy of another machine."""
        shutil.rmtree(self.own)
        shutil.copytree(other.own, self.own)


@pytest.fixture(params=ADAPTERS)
def machines(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Machine, Machine]]:
    keeper = Keeper(tmp_path)
    with ADAPTERS[request.param](keeper, ACCOUNT) as store:
        context = keeper.context()
        yield Machine(keeper, store, "one", context), Machine(keeper, store, "other", context)
    keeper.catalog.close()


@pytest.mark.parametrize("copied", [False, True])
def test_what_another_machine_uploads_from_the_same_path_arrives_and_stays(
    machines: tuple[Machine, Machine], copied: bool
) -> None:
    one, other = machines
    one.write("first")
    one.sync("upload")
    if copied:
        other.become(one)
    else:
        other.sync("download")
    one.write("second")
    one.sync("upload")
    assert other.sync("download") == {"first", "second"}
    other.write("third")
    other.sync("upload")
    assert one.sync("download") == {"first", "second", "third"}


@pytest.mark.parametrize("changed", ["second", "third"])
def test_what_was_uploaded_before_the_process_died_is_its_own(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    one, other = machines
    one.write("first")
    one.sync("upload")
    with monkeypatch.context() as patch:
        patch.setattr(run, "upload_narrowly", lambda *arguments: False)
        patch.setattr(run, "save_state", _die)
        one.write("second", "third")
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                one.sync("upload")
            one.write("fourth")
    (one.own / "files" / changed).unlink()
    one.sync("upload")
    assert other.sync("download") == {"first", "second", "third", "fourth"} - {changed}


def test_a_name_is_kept_until_there_is_a_state(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    one, _ = machines
    state = tmp_path / "a.state"
    name = made_name(state)
    assert made_name(state) == noted_name(state) == name
    state.with_suffix(".upload").write_text("torn")
    assert noted_name(state) == ""
    assert made_name(state) != name
    assert workspace_of(made_name(state)) == workspace_of(name) != workspace_of(made_name(tmp_path / "b.state"))
    one.write("first")
    one.sync("upload")
    assert [file.suffix for file in (one.own / "workspaces").iterdir()] == [".state"]


def _die(*arguments: object) -> None:
    raise KeyboardInterrupt
