"""Actions on contexts, sessions and files, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxmgr.service import ContextService
from ctxmgr.service.api.registry import ACTIONS
from ctxmgr.service.tasks.cleanup import Cleanup
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, Refused, binding, busy, fill, tree


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


def test_a_context_is_found_by_name_and_id_and_made_once(door: Door) -> None:
    made = door.data("GetContext", Name="project", AllowCreate="True")
    assert made["Id"].startswith("SdkCtx-")
    assert made["State"] == "available"
    assert door.data("GetContext", Name="project", AllowCreate="true") == made
    assert door.data("GetContext", ContextId=made["Id"]) == made


def test_a_context_that_is_not_there_is_not_made_unasked(door: Door) -> None:
    with pytest.raises(Refused, match="create it, or list") as refused:
        door.data("GetContext", Name="absent")
    assert refused.value.code == "InvalidContext.NotFound"


@pytest.mark.parametrize(
    ("name", "rule"),
    [(" ", "blank"), ("a/b", '"/"'), ("x" * 256, "256 characters"), ("a\tb", "control character"), ("\x85", "control")],
)
def test_a_name_that_breaks_a_rule_is_refused_with_the_rule(door: Door, name: str, rule: str) -> None:
    with pytest.raises(Refused, match=rule) as refused:
        door.data("GetContext", Name=name, AllowCreate=True)
    assert refused.value.code == "InvalidParameter.Malformed"


def test_a_context_is_renamed_unless_the_name_is_taken(door: Door) -> None:
    one, _ = door.context("one"), door.context("two")
    with pytest.raises(Refused, match="two") as refused:
        door.data("ModifyContext", Id=one, Name="two")
    assert refused.value.code == "InvalidContext.Duplicate"
    door.data("ModifyContext", Id=one, Name="three")
    assert door.data("GetContext", ContextId=one)["Name"] == "three"


def test_contexts_are_listed_in_pages_that_together_hold_each_once(door: Door) -> None:
    made = {door.context(f"name {number}") for number in range(7)}
    seen, token = [], ""
    while True:
        page = door.answer("ListContexts", MaxResults=3, NextToken=token)
        assert page["TotalCount"] == 7
        seen += [context["Id"] for context in page["Data"]]
        token = page["NextToken"]
        if not token:
            break
    assert (len(seen), set(seen)) == (7, made)


def test_a_deleted_context_is_gone_with_its_bindings(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context))
    assert door.data("GetContext", ContextId=context)["State"] == "in-use"
    door.data("DeleteContext", Id=context)
    assert door.data("DescribeSessionContexts", SessionId=session) == []
    assert door.context() != context
    assert door.delete_session(session)["Status"] == "FINISH"


def test_a_binding_that_does_nothing_by_itself_makes_a_context_in_use_only_while_it_is_synced(door: Door) -> None:
    context = door.context()
    by_hand = {"uploadPolicy": {"autoUpload": False}, "downloadPolicy": {"autoDownload": False}}
    session = door.session(binding(context, **by_hand))
    assert door.data("GetContext", ContextId=context)["State"] == "available"
    with busy(door, door.root(session)):
        ids = door.data("SyncContext", SessionId=session)["TaskIds"]
        assert door.data("GetContext", ContextId=context)["State"] == "in-use"
    door.wait(session, ids)
    assert door.data("GetContext", ContextId=context)["State"] == "available"


def test_accounts_see_nothing_of_each_other(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context))
    other = Door(door.service, "someone else")
    assert other.answer("ListContexts")["TotalCount"] == 0
    assert other.answer("ListSession")["TotalCount"] == 0
    assert other.context() != context
    asked: dict[str, dict[str, object]] = {
        "GetContext": {"ContextId": context},
        "ModifyContext": {"Id": context, "Name": "mine"},
        "DeleteContext": {"Id": context},
        "DescribeContextFiles": {"ContextId": context},
        "CreateMcpSession": {"PersistenceDataList": [binding(context)]},
        **{
            action: {"SessionId": session}
            for action in (
                "GetSession",
                "GetSessionDetail",
                "SyncContext",
                "GetContextInfo",
                "DeleteSessionAsync",
                "PlanSync",
            )
        },
    }
    for action, parameters in asked.items():
        with pytest.raises(Refused) as refused:
            other.answer(action, **parameters)
        assert refused.value.code.endswith(".NotFound"), action
    assert (
        other.service.watch("GetContextInfo", {"SessionId": session, "WaitMs": "1000"}, account="someone else") is None
    )


def test_a_session_of_the_services_own_is_uploaded_and_removed_when_deleted(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context))
    root = door.root(session)
    fill(root, {"a": "a", "d/b": "b"})
    (root / "d").chmod(0o555)
    assert door.delete_session(session)["Status"] == "FINISH"
    assert door.files(context) == ["/a", "/d", "/d/b"]
    door.service.close()
    assert not root.exists()


def test_the_directory_a_session_was_given_stays_when_it_is_deleted(door: Door, tmp_path: Path) -> None:
    fill(tmp_path / "mine", {"a": "a"})
    session = door.session(binding(door.context()), Root=str(tmp_path / "mine"))
    door.delete_session(session)
    assert tree(tmp_path / "mine") == {"a": "a"}
    with pytest.raises(Refused) as refused:
        door.data("GetSession", SessionId=session)
    assert refused.value.code == "InvalidMcpSession.NotFound"


def test_a_session_without_auto_upload_uploads_nothing_at_its_end(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "mine", {"a": "a"})
    session = door.session(binding(context, uploadPolicy={"autoUpload": False}), Root=str(tmp_path / "mine"))
    assert door.delete_session(session)["Status"] == "FINISH"
    assert door.files(context) == []


def test_a_session_whose_last_upload_fails_stays_and_says_why(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "mine", {"a": "a"})
    session = door.session(binding(door.context()), Root=str(tmp_path / "mine"))

    def unreadable(*args: object, **more: object) -> None:
        raise OSError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr("ctxmgr.engine.sync.run.scan", unreadable)
        patch.setattr("ctxmgr.engine.sync.narrow.scan_differences", unreadable)
        detail = door.delete_session(session)
    assert detail["Status"] == "RUNNING"
    assert "the disk is on fire" in detail["EndReason"]
    assert door.delete_session(session)["Status"] == "FINISH"


def test_a_session_whose_directory_is_gone_can_be_deleted(door: Door, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    session = door.session(binding(door.context()), Root=str(tmp_path / "mine"))
    (tmp_path / "mine").rmdir()
    assert door.delete_session(session)["Status"] == "FINISH"


def test_sessions_are_found_by_all_of_the_given_labels(door: Door) -> None:
    both = door.session(Labels={"team": "a", "stage": "test"})
    door.session(Labels={"team": "a"})
    door.session()
    found = door.answer("ListSession", Labels={"stage": "test", "team": "a"})
    assert [session["SessionId"] for session in found["Data"]] == [both]
    assert door.answer("ListSession", Labels={"team": "a"})["TotalCount"] == 2
    assert door.answer("ListSession")["TotalCount"] == 3


def test_a_binding_is_described_as_it_was_made(door: Door) -> None:
    policy = {"uploadPolicy": {"autoUpload": True}, "ofTheFuture": {"kept": 1}}
    session = door.session(binding(door.context(), "/tmp/data/", **policy))
    (described,) = door.data("DescribeSessionContexts", SessionId=session)
    assert (described["ContextName"], described["Path"]) == ("project", "/tmp/data/")
    assert json.loads(described["Policy"]) == policy
    assert door.sync(session, Path="/tmp/data")[0]["path"] == "/tmp/data/"


def test_a_context_bound_later_is_downloaded(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "one", {"a": "a"})
    door.sync(door.session(binding(context), Root=str(tmp_path / "one")))
    session = door.session()
    ids = door.data("BindContexts", SessionId=session, PersistenceDataList=[binding(context)])["TaskIds"]
    door.wait(session, ids)
    assert tree(door.root(session)) == {"a": "a"}


@pytest.mark.parametrize(("first", "second"), [("/", "/a"), ("/a/b", "/a"), ("/a", "//a/")])
def test_bindings_of_which_one_lies_in_the_other_are_refused(door: Door, first: str, second: str) -> None:
    bindings = [binding(door.context("one"), first), binding(door.context("two"), second)]
    with pytest.raises(Refused, match="can't be bound beside") as refused:
        door.session(*bindings)
    assert refused.value.code == "InvalidBinding.Overlap"
    assert door.answer("ListSession")["TotalCount"] == 0
    session = door.session(bindings[0])
    with pytest.raises(Refused):
        door.data("BindContexts", SessionId=session, PersistenceDataList=bindings[1:])


def test_a_mount_path_is_not_followed_out_of_the_root(door: Door, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "root" / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(Refused, match="leads out of the session's root"):
        door.session(binding(door.context(), "/way/further"), Root=str(tmp_path / "root"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_root_that_holds_the_data_folder_is_refused(door: Door, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="data folder") as refused:
        door.session(binding(door.context()), Root=str(tmp_path))
    assert refused.value.code == "InvalidBinding.Directory"
    with pytest.raises(Refused, match="data folder"):
        door.session(binding(door.context()), Root=str(tmp_path / "data" / "blobs"))


@pytest.mark.parametrize("root", ["relative", "/does/not/exist", "/etc/passwd"])
def test_a_root_that_is_no_directory_is_refused(door: Door, root: str) -> None:
    with pytest.raises(Refused, match="Root"):
        door.session(Root=root)


def test_a_live_mount_is_refused(door: Door) -> None:
    with pytest.raises(Refused, match="mount") as refused:
        door.session({**binding(door.context()), "type": "mount"})
    assert refused.value.code == "UnsupportedBinding"


def test_a_refused_session_leaves_no_directory(door: Door, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        door.session(binding(door.context(), "/deep/path"), binding("SdkCtx-unknown", "/other"))
    assert list((tmp_path / "data" / "sessions").iterdir()) == []


def test_files_are_listed_by_folder_and_page(door: Door, tmp_path: Path) -> None:
    context = door.context()
    fill(tmp_path / "one", {"a": "1", "a.txt": "22", "a-dir/x": "", "sub/deep/y": "333"})
    door.sync(door.session(binding(context), Root=str(tmp_path / "one")))
    page = door.answer("DescribeContextFiles", ContextId=context, ParentFolderPath="/", PageNumber=1, PageSize=3)
    listed = [(file["FileName"], file["FileType"], file["Size"]) for file in page["Data"]]
    assert listed == [("a", "file", 1), ("a-dir", "folder", 0), ("a.txt", "file", 2)]
    assert page["Count"] == 4
    following = door.data("DescribeContextFiles", ContextId=context, PageSize=3, NextToken=page["NextToken"])
    assert [file["FilePath"] for file in following] == ["/sub"]
    second = door.data("DescribeContextFiles", ContextId=context, PageNumber=2, PageSize=3)
    assert second == following
    assert door.files(context, "/sub/") == ["/sub/deep", "/sub/deep/y"]


def test_a_context_without_tasks_has_an_empty_status(door: Door) -> None:
    session = door.session()
    assert door.data("GetContextInfo", SessionId=session) == {"ContextStatus": ""}


def test_info_is_filtered_and_shows_the_latest_of_each_kind(door: Door) -> None:
    session = door.session(binding(door.context()))
    first = door.sync(session)[0]["taskId"]
    last = door.sync(session)[0]["taskId"]
    assert {task["taskType"] for task in door.info(session)} == {"download", "upload"}
    assert [task["taskId"] for task in door.info(session, TaskType="upload")] == [last]
    assert door.info(session, Path="/other") == []
    assert [task["taskId"] for task in door.info(session, TaskIds=[first, "task-unknown"])] == [first]


def test_a_wait_for_an_unknown_task_is_over_at_once(door: Door) -> None:
    session = door.session()
    assert door.park(SessionId=session, TaskIds=["task-unknown"], WaitMs=10_000)
    assert door.park(SessionId=session, WaitMs=10_000)


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("NoSuchAction", {}, "InvalidAction.NotFound"),
        ("GetContext", {}, "InvalidParameter.Missing"),
        ("SyncContext", {}, "InvalidParameter.Missing"),
        ("SyncContext", {"SessionId": "s-unknown"}, "InvalidMcpSession.NotFound"),
        ("SyncContext", {"SessionId": "s", "Mode": "sideways"}, "InvalidParameter.Malformed"),
        ("ListContexts", {"MaxResults": "0"}, "InvalidParameter.Malformed"),
        ("ListContexts", {"MaxResults": "9" * 5000}, "InvalidParameter.Malformed"),
        ("ListContexts", {"NextToken": "nonsense"}, "InvalidParameter.Malformed"),
        ("GetContext", {"Name": "x", "AllowCreate": "perhaps"}, "InvalidParameter.Malformed"),
        ("CreateMcpSession", {"PersistenceDataList": "[" * 100_000}, "InvalidParameter.Malformed"),
        ("CreateMcpSession", {"PersistenceDataList": '[{"Path": "/"}]'}, "InvalidParameter.Missing"),
        ("CreateMcpSession", {"PersistenceDataList": "[3]"}, "InvalidParameter.Malformed"),
        ("CreateMcpSession", {"Labels": '{"a": 1}'}, "InvalidParameter.Malformed"),
        ("DeleteContext", {"Id": "\ud800"}, "InvalidParameter.Malformed"),
        ("DeleteContext", {"Id": "a\0b"}, "InvalidParameter.Malformed"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(door: Door, action: str, parameters: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as refused:
        door.answer(action, **parameters)
    assert refused.value.code == code


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["[]", "{}", "[{}]", "null", "-1", "true", "/", '[{"ContextId": 1, "Path": []}]', "\ud83d", "\udce9"]
    ),
)
NAMES = st.one_of(
    st.sampled_from(["Id", "Name", "ContextId", "SessionId", "Path", "Mode", "TaskIds", "WaitMs", "Labels", "Root"]),
    st.sampled_from(["PersistenceDataList", "NextToken", "MaxResults", "PageNumber", "PageSize", "ParentFolderPath"]),
    st.sampled_from(["Recursive", "AllowCreate", "Status", "TaskType", "ImageId", "Authorization"]),
)


@given(action=st.sampled_from(sorted(ACTIONS)), parameters=st.dictionaries(NAMES, TEXTS, max_size=5))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_makes_the_service_raise_or_blame_itself(
    door: Door, action: str, parameters: dict[str, str]
) -> None:
    door.service.watch(action, parameters)
    envelope = door.service.handle(action, parameters)
    assert len(envelope["RequestId"]) == 32
    assert envelope["Code"] != "InternalError", envelope
    json.dumps(envelope)


def test_sessions_that_ended_long_ago_are_forgotten(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, running = door.session(Labels={"a": "b"}), door.session()
    door.delete_session(ended)
    monkeypatch.setattr("ctxmgr.service.tasks.cleanup.KEPT_MS", -1000)
    engine = door.service._runtime
    cleanup = Cleanup(engine.catalog, engine.folder, engine.home)
    cleanup.run()
    cleanup.run()
    assert door.data("GetSessionDetail", SessionId=running)["Status"] == "RUNNING"
    with pytest.raises(Refused) as refused:
        door.data("GetSessionDetail", SessionId=ended)
    assert refused.value.code == "InvalidMcpSession.NotFound"
