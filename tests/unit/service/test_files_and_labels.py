"""Stat and delete of files, labels, unbinding, ending by force, and what is refused as not supported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from ctxmgr.service.api.registry import ACTIONS
from ctxmgr.service.api.unsupported import UNSUPPORTED
from ctxmgr.service.catalog import folders
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, Refused, binding, busy, fill, tree


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


def uploaded(door: Door, files: dict[str, str]) -> tuple[str, str, Path]:
    context = door.context()
    session = door.session(binding(context))
    root = door.root(session)
    fill(root, files)
    door.sync(session)
    return context, session, root


def code(door: Door, action: str, **parameters: object) -> str:
    with pytest.raises(Refused) as refused:
        door.data(action, **parameters)
    return refused.value.code


def test_one_file_is_told_with_all_that_is_kept_of_it(door: Door) -> None:
    context, session, root = uploaded(door, {"d/a": "text"})
    (root / "link").symlink_to("d/a")
    door.sync(session)
    file = door.data("DescribeContextFile", ContextId=context, FilePath="/d/a")
    assert (file["FileName"], file["FileType"], file["Size"], file["Revision"]) == ("a", "file", 4, 1)
    assert len(file["Digest"]) == 64
    link = door.data("DescribeContextFile", ContextId=context, FilePath="/link")
    assert (link["FileType"], link["Target"]) == ("link", "d/a")
    assert door.data("DescribeContextFile", ContextId=context, FilePath="/d")["FileType"] == "folder"
    assert code(door, "DescribeContextFile", ContextId=context, FilePath="/absent") == "InvalidFile.NotFound"
    assert code(door, "DescribeContextFile", ContextId=context, FilePath="/link", Revision=1) == "InvalidFile.NotFound"
    assert (
        code(door, "DescribeContextFile", ContextId=context, FilePath="/d/a", Revision=9) == "InvalidRevision.NotFound"
    )


def test_a_folder_that_only_its_files_tell_of_is_one(door: Door) -> None:
    context = door.context()
    with door.service.write_file(context, "/deep/down/file") as upload:
        upload.finish()
    assert door.data("DescribeContextFile", ContextId=context, FilePath="/deep")["FileType"] == "folder"


def test_a_deleted_file_stays_deleted_and_is_removed_by_the_next_download(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "a", "b": "b"})
    assert door.data("DeleteContextFile", ContextId=context, FilePath="/a") == {"Revision": 2}
    door.sync(session)
    assert door.files(context) == ["/b"]
    door.sync(session, "download")
    assert tree(root) == {"b": "b"}


def test_many_files_are_deleted_together_or_not_at_all(door: Door) -> None:
    context, _, _ = uploaded(door, {"a": "a", "b": "b", "c": "c"})
    assert code(door, "DeleteContextFile", ContextId=context, FilePaths=["/a", "/absent"]) == "InvalidFile.NotFound"
    assert door.files(context) == ["/a", "/b", "/c"]
    assert door.data("DeleteContextFile", ContextId=context, FilePaths=["/a", "/c", "/a"]) == {"Revision": 2}
    assert door.files(context) == ["/b"]


def test_a_folder_is_deleted_with_its_files_only_when_that_is_asked_for(door: Door) -> None:
    context, _, _ = uploaded(door, {"d/a": "a", "d/e/b": "b", "d-other": "kept"})
    assert code(door, "DeleteContextFile", ContextId=context, FilePath="/d") == "InvalidFile.Conflict"
    door.data("DeleteContextFile", ContextId=context, FilePath="/d", Recursive=True)
    assert door.files(context) == ["/d-other"]


def test_a_folder_named_with_all_it_holds_is_deleted(door: Door) -> None:
    context, _, _ = uploaded(door, {"d/a": "a", "b": "b"})
    door.data("DeleteContextFile", ContextId=context, FilePaths=["/d", "/d/a"])
    assert door.files(context) == ["/b"]


@pytest.mark.parametrize("paths", ["{}", "[]", '["/a", 7]', '["a"]', '["/\\ud800"]', "["])
def test_a_list_of_files_that_is_none_is_refused(door: Door, paths: str) -> None:
    assert code(door, "DeleteContextFile", ContextId=door.context(), FilePaths=paths) == "InvalidParameter.Malformed"


def test_pages_of_files_hold_each_once_while_files_come_and_go(door: Door) -> None:
    names = [os.fsdecode(b"n\xff%d" % number) for number in range(5)]
    context, _, _ = uploaded(door, dict.fromkeys(names, "x"))
    first = door.answer("DescribeContextFiles", ContextId=context, ParentFolderPath="/", MaxResults=2)
    door.data("DeleteContextFile", ContextId=context, FilePath=first["Data"][0]["FilePath"])
    token = first["NextToken"]
    rest = door.answer("DescribeContextFiles", ContextId=context, ParentFolderPath="/", MaxResults=9, NextToken=token)
    assert [file["FileName"] for file in first["Data"] + rest["Data"]] == names


def test_pages_by_number_and_by_token_agree(door: Door) -> None:
    context, _, _ = uploaded(door, {f"f{number}": "x" for number in range(5)})
    by_number = [
        [
            file["FileName"]
            for file in door.data(
                "DescribeContextFiles", ContextId=context, ParentFolderPath="/", PageNumber=page, PageSize=2
            )
        ]
        for page in (1, 2, 3, 4)
    ]
    assert by_number == [["f0", "f1"], ["f2", "f3"], ["f4"], []]


def test_labels_are_replaced_as_a_whole_and_find_the_session(door: Door) -> None:
    session = door.session(Labels={"team": "a", "old": "x"})
    door.data("SetLabel", SessionId=session, Labels={"team": "b", "stage": "test"})
    assert json.loads(door.data("GetLabel", SessionId=session)["Labels"]) == {"team": "b", "stage": "test"}
    assert door.answer("ListSession", Labels={"team": "b"})["TotalCount"] == 1
    assert door.answer("ListSession", Labels={"old": "x"})["TotalCount"] == 0
    door.data("SetLabel", SessionId=session, Labels={})
    assert json.loads(door.data("GetLabel", SessionId=session)["Labels"]) == {}


def test_labels_come_in_pages_where_that_is_asked_for(door: Door) -> None:
    session = door.session(Labels={f"l{number}": "x" for number in range(5)})
    seen: list[str] = []
    token = ""
    while True:
        page = door.answer("GetLabel", SessionId=session, MaxResults=2, NextToken=token)
        seen += json.loads(page["Data"]["Labels"])
        token = page["NextToken"]
        if not token:
            break
    assert (seen, page["TotalCount"]) == (["l0", "l1", "l2", "l3", "l4"], 5)


@pytest.mark.parametrize(
    "labels", [{" ": "x"}, {"a": 7}, {"x" * 256: "x"}, {"a": "x" * 5000}, {str(n): "x" for n in range(101)}, ["a"]]
)
def test_labels_that_can_not_be_kept_are_refused(door: Door, labels: object) -> None:
    session = door.session()
    assert code(door, "SetLabel", SessionId=session, Labels=labels) == "InvalidParameter.Malformed"
    assert code(door, "CreateMcpSession", Labels=labels) == "InvalidParameter.Malformed"


def test_an_unbound_context_is_no_longer_synced_and_its_files_stay(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "a"})
    door.data("UnbindContexts", SessionId=session, ContextId=context, Path="/")
    assert door.data("DescribeSessionContexts", SessionId=session) == []
    assert tree(root) == {"a": "a"}
    assert door.data("SyncContext", SessionId=session) == {"TaskIds": []}
    assert code(door, "UnbindContexts", SessionId=session, ContextId=context) == "InvalidBinding.NotFound"


def test_one_binding_of_a_context_is_ended_and_the_other_stays(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context, "/one"), binding(context, "/two"))
    door.data("UnbindContexts", SessionId=session, ContextId=context, Path="/one")
    assert [bound["Path"] for bound in door.data("DescribeSessionContexts", SessionId=session)] == ["/two"]


def test_a_binding_that_is_being_synced_is_not_ended(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "a"})
    with busy(door, root):
        ids = door.data("SyncContext", SessionId=session)["TaskIds"]
        assert code(door, "UnbindContexts", SessionId=session, ContextId=context) == "InvalidBinding.Conflict"
    door.wait(session, ids)
    door.data("UnbindContexts", SessionId=session, ContextId=context)


def unsaveable(door: Door) -> tuple[str, str, Path]:
    """A session whose upload fails: its directory is not one any more."""
    context, session, root = uploaded(door, {"sub/a": "a"})
    door.data("UnbindContexts", SessionId=session, ContextId=context)
    other = door.context("other")
    ids = door.data("BindContexts", SessionId=session, PersistenceDataList=[binding(other, "/sub", uploadPolicy={})])
    door.wait(session, ids["TaskIds"])
    (root / "sub" / "a").unlink()
    (root / "sub").rmdir()
    (root / "sub").write_text("no directory")
    return other, session, root


def test_a_session_whose_upload_fails_stays_with_the_reason_until_it_is_forced(door: Door) -> None:
    _, session, root = unsaveable(door)
    detail = door.delete_session(session)
    assert detail["Status"] == "RUNNING"
    assert "the upload of /sub failed" in detail["EndReason"]
    assert root.exists()
    door.data("DeleteSessionAsync", SessionId=session, Force=True)
    while (detail := door.data("GetSessionDetail", SessionId=session))["Status"] == "DELETING":
        door.park(SessionId=session, WaitMs=30_000)
    assert detail["Status"] == "FINISH"
    assert detail["EndReason"].startswith("deleted by force: the upload of /sub failed")


def test_a_forced_end_uploads_what_it_can(door: Door) -> None:
    context, session, root = uploaded(door, {"a": "a"})
    fill(root, {"a": "last"})
    door.data("DeleteSessionAsync", SessionId=session, Force=True)
    while (detail := door.data("GetSessionDetail", SessionId=session))["Status"] == "DELETING":
        door.park(SessionId=session, WaitMs=30_000)
    assert (detail["Status"], detail["EndReason"]) == ("FINISH", "deleted")
    found = door.service.read_file(context, "/a")
    assert b"".join(found.content) == b"last"


def test_an_end_that_has_begun_can_still_be_forced(door: Door) -> None:
    _, session, root = unsaveable(door)
    (root / "sub").unlink()
    (root / "sub").mkdir()
    with busy(door, root / "sub"):
        door.data("DeleteSessionAsync", SessionId=session)
        door.data("DeleteSessionAsync", SessionId=session, Force=True)
        (root / "sub").rename(root / "elsewhere")
    while (detail := door.data("GetSessionDetail", SessionId=session))["Status"] == "DELETING":
        door.park(SessionId=session, WaitMs=30_000)
    assert detail["Status"] == "FINISH"


@pytest.mark.parametrize("action", sorted(UNSUPPORTED))
def test_what_agentbay_has_and_this_service_does_not_is_refused_as_unsupported(door: Door, action: str) -> None:
    assert action not in ACTIONS
    assert code(door, action, SessionId="s-any") == "UnsupportedAction"


def test_an_action_that_nobody_knows_is_told_as_such(door: Door) -> None:
    assert code(door, "MakeCoffee") == "InvalidAction.NotFound"


def test_a_session_has_no_other_internal_contexts_and_no_idle_time(door: Door) -> None:
    session = door.session()
    assert door.data("GetAndLoadInternalContext", SessionId=session, ContextTypes=["browser"]) == []
    door.answer("RefreshSessionIdleTime", SessionId=session)
    for action in ("GetAndLoadInternalContext", "RefreshSessionIdleTime"):
        assert code(door, action, SessionId="s-absent") == "InvalidMcpSession.NotFound"


def test_contexts_of_a_type_are_none(door: Door) -> None:
    door.context()
    assert door.answer("ListContexts", ContextType="browser")["TotalCount"] == 0


def test_another_account_reaches_nothing(door: Door) -> None:
    context, session, _ = uploaded(door, {"a": "a"})
    other = Door(door.service, "someone else")
    asked: dict[str, dict[str, object]] = {
        "DescribeContextFile": {"ContextId": context, "FilePath": "/a"},
        "DeleteContextFile": {"ContextId": context, "FilePath": "/a"},
        "SetLabel": {"SessionId": session, "Labels": {"a": "b"}},
        "GetLabel": {"SessionId": session},
        "UnbindContexts": {"SessionId": session, "ContextId": context},
    }
    for action, parameters in asked.items():
        assert code(other, action, **parameters).endswith(("Context.NotFound", "Session.NotFound")), action
    assert door.files(context) == ["/a"]


def put(door: Door, context: str, *paths: str) -> None:
    for path in paths:
        with door.service.write_file(context, path) as upload:
            upload.finish()


def test_pages_are_in_order_where_a_folder_has_no_row_of_its_own(door: Door) -> None:
    context = door.context()
    put(door, context, "/a-b", "/a/x/1", "/a/y", "/a.txt", "/b/1", "/b/2", "/b-", "/c")
    for recursive, names in {"false": "a a-b a.txt b b- c", "true": "a a-b a.txt a/x a/x/1 a/y b b- b/1 b/2 c"}.items():
        whole = door.answer("DescribeContextFiles", ContextId=context, Recursive=recursive, MaxResults=100)
        assert [each["FilePath"] for each in whole["Data"]] == [f"/{name}" for name in names.split()]
        assert whole["Count"] == len(whole["Data"])
        found: list[object] = []
        token = ""
        while token or not found:
            one = {"MaxResults": 1, "NextToken": token}
            page = door.answer("DescribeContextFiles", ContextId=context, Recursive=recursive, **one)
            found += page["Data"]
            token = page["NextToken"]
        assert found == whole["Data"]


def test_a_page_of_a_folder_reads_the_page(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    context, _, _ = uploaded(door, {f"f{number}": "x" for number in range(5)})
    door.answer("DescribeContextFiles", ContextId=context, MaxResults=2)

    def refuse(*arguments: object) -> None:
        raise AssertionError("the whole folder is read")

    monkeypatch.setattr(folders, "paths_below", refuse)
    page = door.answer("DescribeContextFiles", ContextId=context, MaxResults=2, PageNumber=2)
    assert ([each["FileName"] for each in page["Data"]], page["Count"]) == (["f2", "f3"], 5)
