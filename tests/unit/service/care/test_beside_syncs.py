"""Prunes beside syncs that run: all of them succeed, and nothing that is kept is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from ctxmgr.engine.sync import narrow, plan, planner
from ctxmgr.service.care.prune import free_room
from tests.support.keeping import Elsewhere
from tests.unit.service.care.stored import Stored
from tests.unit.service.servicedoor import Door, binding, fill, tree

ROUNDS = 12


def prune_now(stored: Stored) -> None:
    """Prune as if whatever nothing refers to had had its grace."""
    runtime = stored.door.service._runtime
    free_room(runtime.catalog, runtime._packs, alone=lambda: True)


def test_a_sync_whose_content_is_removed_before_it_commits_stores_it_again(
    tmp_path: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told that the content is there, and took longer than the grace: it is done again, and not left without."""
    stored = Stored(tmp_path, elsewhere)
    stored.sync({"a": "what comes back", "b": "b"})
    stored.sync({"b": "b"})
    stored.door.data("PruneContexts", Retention={"keepLast": 1}, GraceSeconds=3600)
    planned = plan.reconcile
    pruned: list[int] = []

    def slowly(*args: Any, **kwargs: Any) -> plan.Reconciled:
        if not pruned:
            pruned.append(1)
            prune_now(stored)
        return planned(*args, **kwargs)

    for module in (planner, narrow):
        monkeypatch.setattr(module, "reconcile", slowly)
    stored.sync({"a": "what comes back", "b": "b"})
    assert pruned
    assert stored.restored() == {"a": "what comes back", "b": "b"}
    stored.assert_whole()
    stored.close()


@pytest.mark.slow
def test_syncs_prunes_and_checks_side_by_side_lose_nothing_and_find_nothing(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    """Three processes' worth of services: contents come back again and again while what nothing holds is removed."""
    stored = Stored(tmp_path, elsewhere)
    failures: list[str] = []
    finished = threading.Event()

    def work(number: int) -> None:
        service = stored.opened()
        door = Door(service)
        try:
            context = door.context(f"of-{number}")
            root = tmp_path / f"root-{number}"
            fill(root, {})
            session = door.session(binding(context), Root=str(root))
            for turn in range(ROUNDS):
                files = {f"file-{turn % 3}": f"content {turn % 4}" * 50, "shared": f"shared {turn % 2}" * 50}
                fill(root, files)
                (task,) = door.sync(session)
                place = tmp_path / f"copy-{number}-{turn}"
                place.mkdir()
                door.session(binding(context), Root=str(place))
                if task["status"] != "Success" or tree(place) != files:
                    failures.append(f"{number}, {turn}: {task['errorMessage']}")
        finally:
            service.close()

    def prune() -> None:
        while not finished.is_set():
            stored.door.data("PruneContexts", Retention={"keepLast": 1}, GraceSeconds=3600)
            prune_now(stored)
            damages = stored.door.data("CheckStore", ReadData=True)["Damages"]
            failures.extend(str(damage) for damage in damages)

    pruner = threading.Thread(target=prune)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in (pruner, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    finished.set()
    pruner.join()
    assert failures == []
    stored.assert_whole()
    stored.close()
