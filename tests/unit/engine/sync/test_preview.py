"""What a sync would do, asked while another one of the same workspace comes to its end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.sync import run
from ctxmgr.engine.sync.outcome import Preview
from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.workspace import locks, state
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from tests.support.contextstores import ACCOUNT, ADAPTERS, Keeper


class Binding(NamedTuple):
    context_id: str
    mount: str
    path: str
    policy: BindingPolicy


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_between_the_first_revision_and_its_state_a_preview_knows_what_was_deleted_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    keeper = Keeper(tmp_path)
    (tmp_path / "node/locks").mkdir(parents=True)
    root = tmp_path / "root"
    root.mkdir()
    for name in "ab":
        (root / name).write_text(name)
    previews: list[Preview] = []
    looked = threading.Event()
    with ADAPTERS[adapter](keeper, ACCOUNT) as store:
        syncs = Syncs(store, NodeFolder(tmp_path / "node"), ACCOUNT)
        task = keeper.task(keeper.context())
        binding = Binding(task.context_id, task.mount, task.path, store.policy(task))

        def preview() -> None:
            previews.append(syncs.preview(str(root), binding, "upload", "/"))
            looked.set()

        asking = threading.Thread(target=preview)

        def held(*arguments: Any) -> Any:
            if threading.current_thread() is asking:
                looked.set()
            return locks.held(*arguments)

        def save_state(*arguments: Any) -> None:
            (root / "a").unlink()
            asking.start()
            assert looked.wait(60)
            state.save_state(*arguments)

        monkeypatch.setattr(run, "held", held)
        monkeypatch.setattr(run, "save_state", save_state)
        syncs.run(task, str(root), Monitor(lambda progress: None))
        asking.join()
    keeper.catalog.close()
    assert [set(each.plan.drop) for each in previews] == [{b"a"}]
