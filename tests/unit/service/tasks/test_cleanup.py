"""What ended sessions leave behind is removed, and one that can't be keeps no other waiting."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from ctxmgr.service.tasks.removal import remove_tree
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, binding
from tests.unit.service.tasks.deeptree import deepen, depth

LEVELS = 3000


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()
    # pytest's own removal gives up on trees this deep.
    remove_tree(str(tmp_path / "data"))


def cleaned(door: Door) -> None:
    """Wait until what was to be cleaned up by now has been tried."""
    engine = door.service._runtime
    tried = threading.Event()
    engine.clean_up()
    engine._workers.submit("clean up", tried.set)
    assert tried.wait(60)


def test_a_session_with_a_very_deep_tree_is_cleaned_up(door: Door) -> None:
    session = door.session()
    root = door.root(session)
    deepen(root, LEVELS)
    door.delete_session(session)
    cleaned(door)
    assert not root.exists()


def test_one_session_that_cant_be_cleaned_up_keeps_no_other_account_waiting(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = Door(door.service, "other")
    bad, good = door.session(), other.session()
    roots = door.root(bad), other.root(good)

    def remove(path: str) -> None:
        if path == str(roots[0]):
            raise PermissionError("held by a mount")
        remove_tree(path)

    monkeypatch.setattr("ctxmgr.service.tasks.cleanup.remove_tree", remove)
    door.delete_session(bad)
    other.delete_session(good)
    cleaned(door)
    assert [root.exists() for root in roots] == [True, False]
    told = [message for message in caplog.messages if "held by a mount" in message]
    assert [bad in message for message in told] == [True]
    monkeypatch.undo()
    monkeypatch.setattr(door.service._runtime.upkeep.cleanup._retries, "_clock", lambda: math.inf)
    cleaned(door)
    assert not roots[0].exists()


POLICIES: dict[str, dict[str, object]] = {
    "plain": {},
    "white list": {"bwList": {"whiteLists": [{"path": "d", "excludePaths": ["none"]}]}},
    "archive mode, unpacking": {"uploadPolicy": {"uploadMode": "Archive"}, "extractPolicy": {"extract": True}},
}


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_very_deep_tree_is_uploaded_and_downloaded(door: Door, policy: dict[str, object]) -> None:
    context = door.context()
    bound = binding(context, "/", **policy)
    session = door.session(bound)
    deepen(door.root(session), LEVELS)
    (entry,) = door.sync(session)
    assert (entry["status"], entry["errorMessage"], entry["files"]) == ("Success", "", 1)
    again = door.session(bound)
    assert depth(door.root(again)) == LEVELS
    assert [item["nothingToSync"] for item in door.sync(again)] == [True]
