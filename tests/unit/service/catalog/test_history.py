"""Clearing a context, its revisions, and the way back to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from ctxmgr.service import ContextService
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, Refused, binding, busy, fill, tree


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    # One worker: a sync that waits for its directory holds up every other task.
    service = ContextService.open(tmp_path / "data", workers=1, **elsewhere)
    yield Door(service)
    service.close()


def tasks_of(door: Door, context: str, **parameters: object) -> list[dict[str, Any]]:
    status = door.data("GetContextInfo", ContextId=context, **parameters)["ContextStatus"]
    return [entry for item in json.loads(status or "[]") for entry in json.loads(item["data"])]


def ended(door: Door, context: str, action: str, **parameters: object) -> dict[str, Any]:
    """Have a context changed as a whole, wait for the end, and return the task."""
    ids = door.data(action, Id=context, **parameters)["TaskIds"]
    assert door.park(ContextId=context, TaskIds=ids, WaitMs=30_000)
    (task,) = tasks_of(door, context, TaskIds=ids)
    return task


def uploaded(door: Door, files: dict[str, str]) -> tuple[str, str, Path]:
    context = door.context()
    session = door.session(binding(context))
    root = door.root(session)
    fill(root, files)
    assert door.sync(session)[0]["status"] == "Success"
    return context, session, root


def restored(door: Door, context: str) -> dict[str, str]:
    """What a session that begins now finds."""
    return tree(door.root(door.session(binding(context))))


def test_clearing_is_a_task_with_counts_and_makes_a_revision(door: Door) -> None:
    context, _, _ = uploaded(door, {"a": "one", "d/b": "two!"})
    task = ended(door, context, "ClearContext")
    assert (task["status"], task["taskType"], task["contextId"]) == ("Success", "clear", context)
    assert (task["deleted"], task["filesTotal"], task["filesDone"], task["bytesTotal"]) == (3, 2, 2, 7)
    assert task["revision"] == 2
    assert door.files(context) == []


def test_clearing_what_is_empty_makes_no_revision(door: Door) -> None:
    task = ended(door, door.context(), "ClearContext")
    assert (task["status"], task["nothingToSync"], task["revision"]) == ("Success", True, 0)


@pytest.mark.parametrize(
    ("action", "parameters", "state"),
    [("ClearContext", {}, "clearing"), ("RestoreContext", {"Revision": 0}, "pre-available")],
)
def test_the_state_tells_of_a_change_that_has_not_ended(
    door: Door, action: str, parameters: dict[str, object], state: str
) -> None:
    context, session, root = uploaded(door, {"a": "one"})
    with busy(door, root):
        door.data("SyncContext", SessionId=session)
        ids = door.data(action, Id=context, **parameters)["TaskIds"]
        assert door.data("GetContext", ContextId=context)["State"] == state
        assert [listed["State"] for listed in door.data("ListContexts")] == [state]
    assert door.park(ContextId=context, TaskIds=ids, WaitMs=30_000)
    assert door.data("GetContext", ContextId=context)["State"] != state


def test_a_cleared_context_is_available_until_it_is_used_again(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "one"})
    assert door.data("GetContext", ContextId=context)["State"] == "in-use"
    ended(door, context, "ClearContext")
    assert door.data("GetContext", ContextId=context)["State"] == "available"
    fill(root, {"a": "two"})
    door.sync(session)
    assert door.data("GetContext", ContextId=context)["State"] == "in-use"


def test_a_clear_is_undone_from_history(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "one", "d/b": "two"})
    fill(root, {"a": "changed", "c": "three"})
    door.sync(session)
    ended(door, context, "ClearContext")
    task = ended(door, context, "RestoreContext", Revision=2)
    assert (task["status"], task["taskType"], task["deleted"], task["revision"]) == ("Success", "restore", 0, 4)
    assert (task["files"], task["bytes"]) == (2, len("changed") + len("three"))
    assert restored(door, context) == {"a": "changed", "c": "three"}


def test_a_restore_undoes_what_came_later_and_keeps_what_stayed(door: Door) -> None:
    context, session, root = uploaded(door, {"same": "same", "changed": "before", "gone": "gone"})
    before = door.files(context)
    fill(root, {"same": "same", "changed": "after", "new": "new"})
    door.sync(session)
    task = ended(door, context, "RestoreContext", Revision=1)
    assert (task["files"], task["deleted"]) == (2, 1)
    assert door.files(context) == before
    assert restored(door, context) == {"same": "same", "changed": "before", "gone": "gone"}
    assert ended(door, context, "RestoreContext", Revision=1)["nothingToSync"]


def test_a_restore_can_be_undone_in_turn(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "one"})
    fill(root, {"a": "two", "b": "b"})
    door.sync(session)
    ended(door, context, "RestoreContext", Revision=1)
    ended(door, context, "RestoreContext", Revision=2)
    assert restored(door, context) == {"a": "two", "b": "b"}


def test_an_upload_after_a_clear_does_not_bring_back_what_did_not_change(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "one", "b": "b"})
    ended(door, context, "ClearContext")
    fill(root, {"a": "two", "b": "b"})
    door.sync(session)
    assert door.files(context) == ["/a"]


@pytest.mark.parametrize("revision", [2, 10**15])
def test_a_revision_that_does_not_exist_is_refused(door: Door, revision: int) -> None:
    context, _, _ = uploaded(door, {"a": "one"})
    with pytest.raises(Refused, match="latest is 1") as refused:
        door.data("RestoreContext", Id=context, Revision=revision)
    assert refused.value.code == "InvalidRevision.NotFound"


def test_revisions_are_listed_latest_first_and_in_pages(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "0"})
    for number in range(1, 5):
        fill(root, {"a": str(number)})
        door.sync(session)
    ended(door, context, "ClearContext")
    seen: list[dict[str, Any]] = []
    token = ""
    while True:
        page = door.answer("ListRevisions", ContextId=context, MaxResults=4, NextToken=token)
        seen += page["Data"]
        token = page["NextToken"]
        if not token:
            break
    assert [item["Revision"] for item in seen] == [6, 5, 4, 3, 2, 1]
    assert [item["Note"] for item in seen[:2]] == ["clear", "upload"]
    assert [item["Current"] for item in seen[:2]] == [True, False]


def test_the_machine_that_made_a_revision_is_known_when_its_process_is_gone(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    with closing(ContextService.open(tmp_path / "made", **elsewhere)) as made:
        door = Door(made)
        context, _, _ = uploaded(door, {"a": "one"})
        ended(door, context, "ClearContext")
        fork = door.data("ForkContext", Id=context, Name="fork")["Id"]
    with closing(ContextService.open(tmp_path / "made", **elsewhere)) as later:
        hosts = [
            [item["Host"] for item in Door(later).data("ListRevisions", ContextId=each)] for each in (context, fork)
        ]
    assert hosts == [[gethostname()] * 2, [""]]


def test_another_account_neither_clears_nor_sees_the_history(door: Door) -> None:
    context, _, _ = uploaded(door, {"a": "one"})
    ids = door.data("ClearContext", Id=context)["TaskIds"]
    other = Door(door.service, "someone else")
    asked: dict[str, dict[str, object]] = {
        "ClearContext": {"Id": context},
        "RestoreContext": {"Id": context, "Revision": 0},
        "ListRevisions": {"ContextId": context},
        "GetContextInfo": {"ContextId": context, "TaskIds": ids},
    }
    for action, parameters in asked.items():
        with pytest.raises(Refused) as refused:
            other.answer(action, **parameters)
        assert refused.value.code == "InvalidContext.NotFound", action
    waiting = {"ContextId": context, "TaskIds": json.dumps(ids), "WaitMs": "1000"}
    assert door.service.watch("GetContextInfo", waiting, account="someone else") is None


def test_a_clear_of_a_context_that_is_deleted_before_it_begins_comes_to_nothing(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "one"})
    with busy(door, root):
        door.data("SyncContext", SessionId=session)
        door.data("ClearContext", Id=context)
        door.data("DeleteContext", Id=context)
    assert door.context() != context
