"""Every action of the protocol over a real socket: what it answers, and how it refuses."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from ctxmgr.service.api.registry import ACTIONS
from ctxmgr.service.api.unsupported import UNSUPPORTED
from ctxmgr.testing import Service, serve
from tests.support.keeping import Elsewhere

from .asking import Asker, Waiting, entries, until
from .every_action import REQUESTS, asked, filled

NOWHERE = {
    "context": "SdkCtx-000000000000000000000",
    "session": "s-000000000000000000000",
    "path": "/file",
    "name": "no such context",
    "task": "t-000000000000000000000",
}
NEEDED = [
    (action, name)
    for action, (template, *_) in REQUESTS.items()
    for name in template
    if action not in ("CreateMcpSession", "DescribeContextFiles", "GetAndLoadInternalContext", "ListContexts")
]
NEEDED += [("DescribeContextFiles", "ContextId"), ("GetAndLoadInternalContext", "SessionId")]
numbers = itertools.count()


@pytest.fixture(scope="module")
def shared(shared_elsewhere: Elsewhere) -> Iterator[Service]:
    with serve(**shared_elsewhere) as service:
        yield service


@pytest.fixture
def asker(shared: Service) -> Iterator[Asker]:
    """An account of its own for each test, in a service that they share."""
    with Asker(shared.endpoint, shared.key(f"account-{next(numbers)}")) as asker:
        yield asker


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def code(envelope: Mapping[str, Any]) -> str:
    """Return a refusal's code, having seen that it is whole."""
    assert envelope["Success"] is False, envelope
    assert envelope["Message"]
    assert len(envelope["RequestId"]) == 32
    assert 400 <= envelope["HttpStatusCode"] < 500
    assert "Data" not in envelope
    return str(envelope["Code"])


def put(asker: Asker, context: str, path: str, content: bytes) -> None:
    url = asker.data("GetContextFileUploadUrl", ContextId=context, FilePath=path)["Url"]
    requests.put(url, data=content, timeout=30).raise_for_status()


def names(asker: Asker, context: str, folder: str = "/") -> list[str]:
    return [item["FileName"] for item in asker.data("DescribeContextFiles", ContextId=context, ParentFolderPath=folder)]


def synced(asker: Asker, session: str, **parameters: object) -> dict[str, Any]:
    (task,) = asker.data("SyncContext", SessionId=session, **parameters)["TaskIds"]
    return asker.wait(session, task)


def emptied(asker: Asker, context: str) -> dict[str, Any]:
    (task,) = asker.data("ClearContext", Id=context)["TaskIds"]
    return ended(asker, context, task)


def ended(asker: Asker, context: str, task: str) -> dict[str, Any]:
    """Wait for the end of a task of a context."""
    while True:
        answer = asker.data("GetContextInfo", ContextId=context, TaskIds=[task], WaitMs=10_000)
        (entry,) = entries(answer)
        if entry["status"] in ("Success", "Failed"):
            return entry


def gone(asker: Asker, session: str) -> bool:
    """Wait until a session that is being deleted has ended or has failed to."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = asker.ask("GetSessionDetail", SessionId=session)
        if not answer["Success"] or answer["Data"]["Status"] == "FINISH":
            return True
        if answer["Data"]["Status"] == "RUNNING":
            return False
    raise AssertionError("the session neither ended nor stayed")


def _names_something(template: Mapping[str, Any]) -> bool:
    """Whether a request is about a session or a context that has to be there."""
    return any(place in json.dumps(template) for place in ("{session}", "{context}", "{name}"))


class TestAll:
    def test_each_has_its_tests_here(self) -> None:
        tested = {name.removeprefix("Test") for name in globals() if name.startswith("Test")}
        assert set(ACTIONS) <= tested
        assert set(ACTIONS) == set(REQUESTS)

    @pytest.mark.parametrize("action", [*ACTIONS, *UNSUPPORTED])
    def test_without_a_key_nothing_is_done(self, shared: Service, action: str) -> None:
        with Asker(shared.endpoint, "ctxmgr-none") as nobody:
            assert code(nobody.ask(action)) == "Forbidden.Key"
        answer = requests.post(f"{shared.endpoint}/?Action={action}", timeout=30).json()
        assert code(answer) == "Forbidden.NoKey"

    @pytest.mark.parametrize(("action", "name"), NEEDED)
    def test_what_is_needed_is_asked_for(self, asker: Asker, action: str, name: str) -> None:
        values = {"context": asker.context(), "session": asker.session(), "path": "/file", "name": "project"}
        (template, *_) = REQUESTS[action]
        rest = {key: value for key, value in template.items() if key != name}
        answer = asker.ask(action, **filled(rest, values))
        assert code(answer) == "InvalidParameter.Missing", answer
        assert name in answer["Message"]

    @pytest.mark.parametrize(
        ("action", "template"), [(action, template) for action, template in asked() if _names_something(template)]
    )
    def test_what_is_not_there_is_not_found(self, asker: Asker, action: str, template: Mapping[str, Any]) -> None:
        answer = asker.ask(action, **filled(template, NOWHERE))
        about = "InvalidMcpSession" if "SessionId" in template else "InvalidContext"
        assert code(answer) == f"{about}.NotFound", answer
        assert answer["HttpStatusCode"] == 404

    @pytest.mark.parametrize("action", sorted(UNSUPPORTED))
    def test_what_is_not_done_here_is_refused_with_the_reason(self, asker: Asker, action: str) -> None:
        answer = asker.ask(action, SessionId=NOWHERE["session"])
        assert (answer["Success"], answer["Code"], answer["HttpStatusCode"]) == (False, "UnsupportedAction", 400)
        assert action in answer["Message"]

    def test_the_reason_is_told_as_a_tools_result_too(self, asker: Asker) -> None:
        answer = asker.ask("CallMcpTool", SessionId=NOWHERE["session"], Name="shell", Args="{}")
        result = json.loads(answer["Data"])
        assert result["isError"] is True
        assert result["content"][0]["text"].startswith("[UnsupportedAction] CallMcpTool")

    def test_what_nobody_knows_is_not_found(self, asker: Asker) -> None:
        assert code(asker.ask("MakeCoffee")) == "InvalidAction.NotFound"


class TestListContexts:
    def test_pages_lead_through_all_newest_first(self, asker: Asker) -> None:
        made = [asker.context(f"context {number}") for number in range(5)]
        found, token = [], ""
        while True:
            page = asker.ask("ListContexts", MaxResults=2, NextToken=token)
            assert (page["TotalCount"], page["MaxResults"]) == (5, 2)
            assert len(page["Data"]) <= 2
            found += [item["Id"] for item in page["Data"]]
            token = page["NextToken"]
            if not token:
                break
        assert found == made[::-1]

    def test_ten_make_a_page_unless_asked_otherwise(self, asker: Asker) -> None:
        for number in range(11):
            asker.context(f"context {number}")
        page = asker.ask("ListContexts")
        assert (len(page["Data"]), page["MaxResults"], page["TotalCount"]) == (10, 10, 11)

    def test_each_is_told_whole(self, asker: Asker) -> None:
        context = asker.context("told")
        (item,) = asker.data("ListContexts")
        assert set(item) >= {"Id", "Name", "State", "OsType", "CreateTime", "LastUsedTime"}
        assert (item["Id"], item["Name"], item["State"]) == (context, "told", "available")
        assert context.startswith("SdkCtx-")

    def test_those_of_a_session(self, asker: Asker) -> None:
        session = asker.session()
        asker.context("another")
        (item,) = asker.data("ListContexts", SessionId=session)
        assert (item["Name"], item["State"]) == ("project", "in-use")

    @pytest.mark.parametrize("wrong", [{"MaxResults": "0"}, {"MaxResults": "many"}, {"NextToken": "x"}])
    def test_what_is_malformed_is_refused(self, asker: Asker, wrong: dict[str, str]) -> None:
        assert code(asker.ask("ListContexts", **wrong)) == "InvalidParameter.Malformed"

    def test_a_page_is_bounded(self, asker: Asker) -> None:
        assert asker.ask("ListContexts", MaxResults=10**12)["MaxResults"] == 1000


class TestGetContext:
    def test_by_name_and_by_id_it_is_the_same(self, asker: Asker) -> None:
        context = asker.context("mine")
        by_name, by_id = asker.data("GetContext", Name="mine"), asker.data("GetContext", ContextId=context)
        assert by_name == by_id
        assert by_name["Id"] == context

    def test_it_is_made_only_if_asked_for_and_only_once(self, asker: Asker) -> None:
        assert code(asker.ask("GetContext", Name="new", AllowCreate="False")) == "InvalidContext.NotFound"
        first = asker.data("GetContext", Name="new", AllowCreate="True", LoginRegionId="cn-hangzhou")
        assert asker.data("GetContext", Name="new", AllowCreate="true")["Id"] == first["Id"]

    @pytest.mark.parametrize("name", ["a/b", " ", "line\nbreak", "x" * 300, "\0"])
    def test_a_name_that_can_not_be_is_refused(self, asker: Asker, name: str) -> None:
        assert code(asker.ask("GetContext", Name=name, AllowCreate="True")) == "InvalidParameter.Malformed"

    def test_a_flag_that_is_none_is_refused(self, asker: Asker) -> None:
        assert code(asker.ask("GetContext", Name="x", AllowCreate="yes")) == "InvalidParameter.Malformed"


class TestModifyContext:
    def test_a_context_gets_another_name(self, asker: Asker) -> None:
        context = asker.context("old")
        asker.data("ModifyContext", Id=context, Name="new")
        assert asker.data("GetContext", Name="new")["Id"] == context
        assert code(asker.ask("GetContext", Name="old")) == "InvalidContext.NotFound"

    def test_a_name_that_is_taken_is_refused(self, asker: Asker) -> None:
        asker.context("taken")
        answer = asker.ask("ModifyContext", Id=asker.context("other"), Name="taken")
        assert code(answer) == "InvalidContext.Duplicate"
        assert answer["HttpStatusCode"] == 409

    def test_its_own_name_is_not_taken(self, asker: Asker) -> None:
        assert asker.ask("ModifyContext", Id=asker.context("same"), Name="same")["Success"]

    def test_a_name_that_can_not_be_is_refused(self, asker: Asker) -> None:
        assert code(asker.ask("ModifyContext", Id=asker.context(), Name="a/b")) == "InvalidParameter.Malformed"


class TestDeleteContext:
    def test_it_is_gone_with_its_files_and_its_name_is_free(self, asker: Asker) -> None:
        context = asker.context("gone")
        put(asker, context, "/file", b"1")
        asker.data("DeleteContext", Id=context)
        assert code(asker.ask("DescribeContextFiles", ContextId=context)) == "InvalidContext.NotFound"
        assert code(asker.ask("DeleteContext", Id=context)) == "InvalidContext.NotFound"
        assert asker.context("gone") != context


class TestClearContext:
    def test_it_is_a_task_with_counts_and_the_context_is_available(self, asker: Asker) -> None:
        context = asker.context()
        for name in ("/a", "/b/c"):
            put(asker, context, name, b"12345")
        task = emptied(asker, context)
        assert (task["status"], task["deleted"]) == ("Success", 2)
        assert asker.data("GetContext", ContextId=context)["State"] == "available"
        assert names(asker, context) == []

    def test_meanwhile_it_is_clearing(self, ctxmgr_service: Service) -> None:
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.api_key) as asker:
            context = asker.context()
            ctxmgr_service.faults.freeze()
            (task,) = asker.data("ClearContext", Id=context)["TaskIds"]
            assert asker.data("GetContext", ContextId=context)["State"] == "clearing"
            ctxmgr_service.faults.thaw()
            assert ended(asker, context, task)["status"] == "Success"


class TestListRevisions:
    def test_they_come_latest_first_in_pages(self, asker: Asker) -> None:
        context = asker.context()
        for number in range(3):
            put(asker, context, "/file", b"%d" % number)
        first = asker.ask("ListRevisions", ContextId=context, MaxResults=2)
        rest = asker.ask("ListRevisions", ContextId=context, MaxResults=2, NextToken=first["NextToken"])
        listed = first["Data"] + rest["Data"]
        assert [item["Revision"] for item in listed[:3]] == [3, 2, 1]
        assert [item["Current"] for item in listed[:3]] == [True, False, False]

    def test_a_token_that_is_none_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("ListRevisions", ContextId=asker.context(), NextToken="{}")
        assert code(answer) == "InvalidParameter.Malformed"


class TestRestoreContext:
    def test_a_clear_is_undone(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/file", b"kept")
        before = asker.data("GetContext", ContextId=context)["Revision"]
        emptied(asker, context)
        (task,) = asker.data("RestoreContext", Id=context, Revision=before)["TaskIds"]
        assert ended(asker, context, task)["status"] == "Success"
        url = asker.data("GetContextFileDownloadUrl", ContextId=context, FilePath="/file")["Url"]
        assert requests.get(url, timeout=30).content == b"kept"

    def test_it_is_what_it_was_then_and_no_more(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/a", b"1")
        put(asker, context, "/b", b"2")
        asker.data("DeleteContextFile", ContextId=context, FilePath="/a")
        put(asker, context, "/c", b"3")
        (task,) = asker.data("RestoreContext", Id=context, Revision=3)["TaskIds"]
        assert ended(asker, context, task)["status"] == "Success"
        assert names(asker, context) == ["b"]

    def test_a_revision_that_is_none_is_refused(self, asker: Asker) -> None:
        context = asker.context()
        assert code(asker.ask("RestoreContext", Id=context, Revision=7)) == "InvalidRevision.NotFound"
        assert code(asker.ask("RestoreContext", Id=context, Revision="last")) == "InvalidParameter.Malformed"


class TestForkContext:
    def test_it_holds_the_same_under_another_name(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/a", b"1")
        put(asker, context, "/b", b"2")
        fork = asker.data("ForkContext", Id=context, Name="forked", Revision=1)
        assert (fork["Name"], fork["Revision"], names(asker, fork["Id"])) == ("forked", 1, ["a"])
        (first,) = asker.data("ListRevisions", ContextId=fork["Id"])
        assert first["Note"] == "fork of revision 1 of project"

    def test_a_name_that_is_taken_or_none_is_refused(self, asker: Asker) -> None:
        context = asker.context()
        assert code(asker.ask("ForkContext", Id=context, Name="project")) == "InvalidContext.Duplicate"
        assert code(asker.ask("ForkContext", Id=context, Name="a/b")) == "InvalidParameter.Malformed"
        assert code(asker.ask("ForkContext", Id=context, Name="new", Revision=7)) == "InvalidRevision.NotFound"


class TestDiffRevisions:
    def test_each_path_tells_what_it_was_and_is(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/a", b"1")
        put(asker, context, "/a", b"22")
        answer = asker.ask("DiffRevisions", ContextId=context)
        (changed,) = answer["Data"]
        assert (answer["From"], answer["To"], changed["Path"], changed["Change"]) == (1, 2, "/a", "changed")
        assert (changed["Before"]["Size"], changed["After"]["Size"], changed["After"]["Type"]) == (1, 2, "file")

    def test_a_revision_that_is_none_is_refused(self, asker: Asker) -> None:
        context = asker.context()
        assert code(asker.ask("DiffRevisions", ContextId=context, From=7)) == "InvalidRevision.NotFound"
        assert code(asker.ask("DiffRevisions", ContextId=context, To=7)) == "InvalidRevision.NotFound"
        assert code(asker.ask("DiffRevisions", ContextId=context, To="last")) == "InvalidParameter.Malformed"

    def test_a_token_that_was_not_given_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("DiffRevisions", ContextId=asker.context(), NextToken="{}")
        assert code(answer) == "InvalidParameter.Malformed"


class TestDescribeRevision:
    def test_the_pages_are_of_one_revision(self, asker: Asker) -> None:
        context = asker.context()
        for name in ("a", "b", "c"):
            put(asker, context, f"/{name}", name.encode())
        first = asker.ask("DescribeRevision", ContextId=context, MaxResults=2)
        put(asker, context, "/d", b"later")
        second = asker.ask("DescribeRevision", ContextId=context, MaxResults=2, NextToken=first["NextToken"])
        assert [entry["Path"] for entry in first["Data"] + second["Data"]] == ["/a", "/b", "/c"]
        assert (first["Revision"], second["Revision"], second["NextToken"]) == (3, 3, "")

    def test_a_part_has_what_lies_below_its_paths(self, asker: Asker) -> None:
        context = asker.context()
        for path in ("/d/e/a", "/d/e-not", "/d/e0", "/other"):
            put(asker, context, path, b"text")
        listed = asker.data("DescribeRevision", ContextId=context, Paths=["/d/e"])
        assert [entry["Path"] for entry in listed] == ["/d/e/a"]

    def test_more_paths_than_a_condition_holds_are_refused(self, asker: Asker) -> None:
        context, paths = asker.context(), [f"/{number}" for number in range(201)]
        assert code(asker.ask("DescribeRevision", ContextId=context, Paths=paths)) == "InvalidParameter.Malformed"

    def test_as_many_paths_as_are_allowed_are_found(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/a", b"text")
        listed = asker.data("DescribeRevision", ContextId=context, Paths=["/a"] * 200)
        assert [entry["Path"] for entry in listed] == ["/a"]

    @pytest.mark.parametrize("name", ["@", "@soon", "@-1", "@" + "9" * 17, "-1"])
    def test_the_name_of_a_revision_that_is_none_is_refused(self, asker: Asker, name: str) -> None:
        answer = asker.ask("DescribeRevision", ContextId=asker.context(), Revision=name)
        assert code(answer) == "InvalidParameter.Malformed"

    def test_a_moment_far_in_the_future_is_now(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/a", b"text")
        assert asker.ask("DescribeRevision", ContextId=context, Revision="@" + "9" * 16)["Revision"] == 1


class TestGetContextContentsUrl:
    def test_it_answers_a_post_of_paths(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/a", b"text")
        data = asker.data("GetContextContentsUrl", ContextId=context)
        answer = requests.post(data["Url"], data='["/a"]', timeout=30)
        assert (answer.status_code, answer.content[12:]) == (200, b"text")

    def test_a_revision_that_is_none_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("GetContextContentsUrl", ContextId=asker.context(), Revision=7)
        assert code(answer) == "InvalidRevision.NotFound"


class TestGetContextInfo:
    def test_no_task_is_an_empty_text(self, asker: Asker, root: Path) -> None:
        session = asker.data("CreateMcpSession", Root=str(root))["SessionId"]
        assert asker.data("GetContextInfo", SessionId=session) == {"ContextStatus": ""}

    def test_a_task_is_told_whole(self, asker: Asker, root: Path) -> None:
        (root / "file").write_bytes(b"12345")
        session = asker.session(Root=str(root))
        began = int(time.time())
        synced(asker, session)
        (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskType="upload"))
        assert (entry["contextId"], entry["path"]) == (asker.context(), "/")
        assert (entry["status"], entry["taskType"], entry["errorMessage"]) == ("Success", "upload", "")
        assert (entry["files"], entry["bytes"], entry["revision"]) == (1, 5, 1)
        assert began <= entry["startTime"] <= entry["finishTime"] <= time.time()

    def test_it_is_narrowed_by_context_path_and_type(self, asker: Asker, root: Path) -> None:
        session, context = asker.session(Root=str(root)), asker.context()
        synced(asker, session)

        def told(**narrowed: str) -> list[str]:
            data = asker.data("GetContextInfo", SessionId=session, **narrowed)
            return sorted(entry["taskType"] for entry in entries(data))

        assert told() == ["download", "upload"]
        assert told(TaskType="download") == ["download"]
        assert told(ContextId=context, Path="/") == ["download", "upload"]
        assert told(Path="/elsewhere") == []
        assert told(ContextId=NOWHERE["context"]) == []

    def test_a_long_poll_ends_with_the_task(self, ctxmgr_service: Service, root: Path) -> None:
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.api_key) as asker:
            session = asker.session(Root=str(root))
            ctxmgr_service.faults.freeze()
            (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
            waiting = Waiting(asker, "GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=20_000)
            ctxmgr_service.faults.thaw()
            (entry,) = entries(waiting.answer()["Data"])
            assert (entry["taskId"], entry["status"]) == (task, "Success")

    @pytest.mark.parametrize(
        "wrong", [{"WaitMs": "soon"}, {"TaskIds": "t-1"}, {"TaskIds": "[1]"}, {"Path": "relative"}]
    )
    def test_what_is_malformed_is_refused(self, asker: Asker, wrong: dict[str, str]) -> None:
        assert code(asker.ask("GetContextInfo", SessionId=asker.session(), **wrong)) == "InvalidParameter.Malformed"


class TestSyncContext:
    def test_upload_is_what_it_does_unless_asked_otherwise(self, asker: Asker, root: Path) -> None:
        session = asker.session(Root=str(root))
        (root / "file").write_bytes(b"1")
        assert synced(asker, session)["taskType"] == "upload"
        assert names(asker, asker.context()) == ["file"]
        assert synced(asker, session, Mode="download")["taskType"] == "download"

    def test_the_credential_may_stand_in_the_query(self, asker: Asker) -> None:
        query = {"Action": "SyncContext", "Authorization": f"Bearer {asker.key}"}
        form = {"SessionId": asker.session()}
        answer = requests.post(asker.endpoint, params=query, data=form, timeout=30).json()
        assert answer["Success"], answer

    def test_one_of_several_bindings(self, asker: Asker) -> None:
        bindings = [{"ContextId": asker.context(name), "Path": f"/{name}"} for name in ("one", "two")]
        session = asker.data("CreateMcpSession", PersistenceDataList=bindings)["SessionId"]
        assert len(asker.data("SyncContext", SessionId=session)["TaskIds"]) == 2
        entry = synced(asker, session, ContextId=asker.context("two"), Path="/two")
        assert entry["path"] == "/two"

    def test_what_is_not_bound_is_refused(self, asker: Asker) -> None:
        session = asker.session(path="/data")
        assert code(asker.ask("SyncContext", SessionId=session, Path="/none")) == "InvalidBinding.NotFound"
        other = asker.context("other")
        assert code(asker.ask("SyncContext", SessionId=session, ContextId=other)) == "InvalidBinding.NotFound"

    def test_a_mode_that_is_none_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("SyncContext", SessionId=asker.session(), Mode="sideways")
        assert code(answer) == "InvalidParameter.Malformed"

    def test_a_directory_that_is_gone_fails_the_task_with_the_reason(self, asker: Asker, root: Path) -> None:
        session = asker.session(Root=str(root))
        root.rmdir()
        entry = synced(asker, session)
        assert entry["status"] == "Failed"
        assert str(root) in entry["errorMessage"]


class TestPlanSync:
    def test_it_tells_what_a_sync_would_do_and_does_nothing(self, asker: Asker, root: Path) -> None:
        session = asker.session(Root=str(root))
        (root / "file").write_bytes(b"12345")
        plan = asker.data("PlanSync", SessionId=session, Mode="upload")
        assert [(item["path"], item["action"], item["size"]) for item in plan["Changes"]] == [("file", "put", 5)]
        assert names(asker, asker.context()) == []

    def test_what_is_not_bound_is_refused(self, asker: Asker) -> None:
        session = asker.session(path="/data")
        assert code(asker.ask("PlanSync", SessionId=session, Path="/none")) == "InvalidBinding.NotFound"

    def test_a_path_below_a_binding_where_nothing_is_is_not_found(self, asker: Asker) -> None:
        assert code(asker.ask("PlanSync", SessionId=asker.session(), Path="/none")) == "InvalidFile.NotFound"


class TestCreateMcpSession:
    def test_it_downloads_what_its_bindings_hold_and_info_shows_the_task(self, asker: Asker, root: Path) -> None:
        context = asker.context()
        put(asker, context, "/data/file", b"12345")
        binding = {"ContextId": context, "Path": "/data", "Policy": json.dumps({"unknown": {"key": 1}})}
        made = asker.data("CreateMcpSession", PersistenceDataList=[binding], Root=str(root))
        assert made["Success"] is True
        assert {"SessionId", "AppInstanceId", "ResourceId", "ResourceUrl", "ErrMsg"} <= set(made)
        (task,) = made["TaskIds"]
        assert asker.wait(made["SessionId"], task)["taskType"] == "download"
        assert (root / "data" / "file").read_bytes() == b"12345"

    def test_what_the_cloud_takes_and_this_service_does_not_need_is_ignored(self, asker: Asker) -> None:
        ignored = {
            "LoginRegionId": "cn-hangzhou",
            "SdkStats": "{}",
            "SessionId": "",
            "ExternalUserId": "me",
            "ManualRelease": "True",
            "LoadSkill": "False",
            "EnableRecord": "False",
            "VpcResource": "false",
        }
        made = asker.data("CreateMcpSession", ImageId="linux_latest", **ignored)
        assert made["NotApplied"] == []

    def test_what_does_not_end_a_session_here_is_told_as_not_applied(self, asker: Asker) -> None:
        made = asker.data("CreateMcpSession", Timeout="5", MaxRuntime="30")
        assert made["NotApplied"] == ["MaxRuntime", "Timeout"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ContextId", "SdkCtx-1"),
            ("EnableRecord", "True"),
            ("ExtraConfigs", '{"Mobile": {}}'),
            ("ExtraConfigs.Mobile.LockResolution", "true"),
            ("LoadSkill", "true"),
            ("McpPolicyId", "policy"),
            ("NetworkId", "network"),
            ("SessionId", "s-1"),
            ("Skills", '["one"]'),
            ("Skills.1", "one"),
            ("VpcResource", "true"),
        ],
    )
    def test_what_has_no_meaning_here_is_refused_by_name(self, asker: Asker, name: str, value: str) -> None:
        answer = asker.ask("CreateMcpSession", **{name: value})
        assert code(answer) == "UnsupportedParameter"
        assert answer["Message"].startswith(f"{name} of CreateMcpSession")
        assert asker.data("ListSession") == []

    @pytest.mark.parametrize("name", ["Timeout", "MaxRuntime"])
    def test_a_time_that_is_no_number_is_refused(self, asker: Asker, name: str) -> None:
        assert code(asker.ask("CreateMcpSession", **{name: "soon"})) == "InvalidParameter.Malformed"

    def test_the_same_binding_twice_is_refused(self, asker: Asker) -> None:
        bindings = [{"ContextId": asker.context(), "Path": path} for path in ("/a", "/a/")]
        assert code(asker.ask("CreateMcpSession", PersistenceDataList=bindings)) == "InvalidBinding.PathAlreadyBound"

    @pytest.mark.parametrize(
        ("binding", "wanted"),
        [
            ({"Path": "/x"}, "InvalidParameter.Missing"),
            ({"ContextId": "{context}"}, "InvalidParameter.Missing"),
            ({"ContextId": "{context}", "Path": "x"}, "InvalidParameter.Malformed"),
            ({"ContextId": "{context}", "Path": "/a/../../b"}, "InvalidParameter.Malformed"),
            ({"ContextId": "{context}", "Path": "/x\0"}, "InvalidParameter.Malformed"),
            ({"ContextId": "{context}", "Path": "/x", "Policy": "{"}, "InvalidParameter.Malformed"),
            ({"ContextId": "{context}", "Path": "/x", "Policy": '{"uploadPolicy": 1}'}, "InvalidParameter.Malformed"),
            ({"ContextId": "{context}", "Path": "/x", "type": "mount", "mountConfig": {}}, "UnsupportedBinding"),
            ({"ContextId": NOWHERE["context"], "Path": "/x"}, "InvalidContext.NotFound"),
            ("text", "InvalidParameter.Malformed"),
        ],
    )
    def test_a_binding_that_can_not_be_is_refused_and_no_session_made(
        self, asker: Asker, binding: object, wanted: str
    ) -> None:
        bindings = [filled(binding, {"context": asker.context()})]
        assert code(asker.ask("CreateMcpSession", PersistenceDataList=bindings)) == wanted
        assert asker.data("ListSession") == []

    @pytest.mark.parametrize("paths", [("/a", "/a/b"), ("/a/b", "/a"), ("/", "/a")])
    def test_bindings_that_lie_in_one_another_are_refused(self, asker: Asker, paths: tuple[str, str]) -> None:
        bindings = [{"ContextId": asker.context(), "Path": path} for path in paths]
        assert code(asker.ask("CreateMcpSession", PersistenceDataList=bindings)) == "InvalidBinding.Overlap"

    @pytest.mark.parametrize("wrong", [{"Labels": "[]"}, {"Labels": '{"a": 1}'}, {"PersistenceDataList": "{}"}])
    def test_what_is_malformed_is_refused(self, asker: Asker, wrong: dict[str, str]) -> None:
        assert code(asker.ask("CreateMcpSession", **wrong)) == "InvalidParameter.Malformed"

    @pytest.mark.parametrize("name", ["missing", "file"])
    def test_a_root_that_is_no_directory_is_refused(self, asker: Asker, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").touch()
        assert code(asker.ask("CreateMcpSession", Root=str(tmp_path / name))) == "InvalidParameter.Malformed"

    def test_a_mount_path_that_a_link_leads_out_of_the_root_is_refused(
        self, asker: Asker, root: Path, tmp_path: Path
    ) -> None:
        (root / "out").symlink_to(tmp_path)
        binding = {"ContextId": asker.context(), "Path": "/out/in"}
        answer = asker.ask("CreateMcpSession", PersistenceDataList=[binding], Root=str(root))
        assert code(answer) == "InvalidBinding.Directory"
        assert not (tmp_path / "in").exists()


class TestBindContexts:
    def test_a_running_session_gets_the_files(self, asker: Asker, root: Path) -> None:
        session = asker.data("CreateMcpSession", Root=str(root))["SessionId"]
        context = asker.context()
        put(asker, context, "/late/file", b"1")
        binding = {"ContextId": context, "Path": "/late", "Policy": "{}"}
        (task,) = asker.data("BindContexts", SessionId=session, PersistenceDataList=[binding])["TaskIds"]
        assert asker.wait(session, task)["status"] == "Success"
        assert (root / "late" / "file").read_bytes() == b"1"

    def test_no_binding_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("BindContexts", SessionId=asker.session(), PersistenceDataList=[])
        assert code(answer) == "InvalidParameter.Missing"

    def test_a_path_in_another_one_is_refused(self, asker: Asker) -> None:
        binding = {"ContextId": asker.context("other"), "Path": "/below"}
        answer = asker.ask("BindContexts", SessionId=asker.session(), PersistenceDataList=[binding])
        assert code(answer) == "InvalidBinding.Overlap"

    def test_the_same_context_at_the_same_path_again_is_refused(self, asker: Asker) -> None:
        session = asker.session()
        policy = json.dumps({"uploadPolicy": {"autoUpload": False}})
        again = {"ContextId": asker.context(), "Path": "//", "Policy": policy}
        answer = asker.ask("BindContexts", SessionId=session, PersistenceDataList=[again])
        assert code(answer) == "InvalidBinding.PathAlreadyBound"
        (kept,) = asker.data("DescribeSessionContexts", SessionId=session)
        assert kept["Policy"] != policy

    def test_a_live_mount_is_refused(self, asker: Asker) -> None:
        binding = {"ContextId": asker.context("other"), "Path": "/x", "type": "mount", "mountConfig": {"a": 1}}
        answer = asker.ask("BindContexts", SessionId=asker.session(), PersistenceDataList=[binding])
        assert code(answer) == "UnsupportedBinding"


class TestDescribeSessionContexts:
    def test_bindings_come_as_they_were_made(self, asker: Asker) -> None:
        policy = json.dumps({"deletePolicy": {"syncLocalFile": False}, "future": [1, 2]})
        bindings = [{"ContextId": asker.context(name), "Path": f"/{name}", "Policy": policy} for name in ("b", "a")]
        session = asker.data("CreateMcpSession", PersistenceDataList=bindings)["SessionId"]
        told = asker.data("DescribeSessionContexts", SessionId=session)
        assert [(item["ContextName"], item["Path"]) for item in told] == [("b", "/b"), ("a", "/a")]
        assert [item["ContextId"] for item in told] == [item["ContextId"] for item in bindings]
        assert json.loads(told[0]["Policy"])["future"] == [1, 2]
        assert told[0]["BindTime"].endswith("Z")


class TestUnbindContexts:
    def test_the_files_stay_on_both_sides(self, asker: Asker, root: Path) -> None:
        session = asker.session(Root=str(root))
        (root / "file").write_bytes(b"1")
        synced(asker, session)
        asker.data("UnbindContexts", SessionId=session, ContextId=asker.context())
        assert asker.data("DescribeSessionContexts", SessionId=session) == []
        assert (root / "file").exists()
        assert names(asker, asker.context()) == ["file"]

    def test_what_is_not_bound_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("UnbindContexts", SessionId=asker.session(), ContextId=asker.context("other"))
        assert code(answer) == "InvalidBinding.NotFound"


class TestDescribeContextFiles:
    @pytest.fixture
    def context(self, asker: Asker) -> str:
        context = asker.context()
        for name in ("/a", "/b/c", "/b/d/e", "/f"):
            put(asker, context, name, name.encode())
        return context

    def test_a_folder_is_told_by_name(self, asker: Asker, context: str) -> None:
        answer = asker.ask("DescribeContextFiles", ContextId=context, ParentFolderPath="/", PageNumber=1, PageSize=50)
        assert [(item["FilePath"], item["FileType"]) for item in answer["Data"]] == [
            ("/a", "file"),
            ("/b", "folder"),
            ("/f", "file"),
        ]
        assert (answer["Count"], answer["NextToken"]) == (3, "")
        assert names(asker, context, "/b/") == ["c", "d"]
        assert names(asker, context, "/none") == []

    def test_a_file_is_told_whole(self, asker: Asker, context: str) -> None:
        (item, *_) = asker.data("DescribeContextFiles", ContextId=context, ParentFolderPath="/")
        expected = {"FileId", "FileName", "FilePath", "FileType", "GmtCreate", "GmtModified", "Size", "Status"}
        assert set(item) >= expected
        assert (item["FileName"], item["Size"]) == ("a", 2)

    def test_page_numbers(self, asker: Asker, context: str) -> None:
        pages = [
            asker.data("DescribeContextFiles", ContextId=context, PageNumber=number, PageSize=2) for number in (1, 2, 3)
        ]
        assert [[item["FileName"] for item in page] for page in pages] == [["a", "b"], ["f"], []]

    def test_tokens_in_the_query(self, asker: Asker, context: str) -> None:
        found, token = [], ""
        while True:
            query = {"Action": "DescribeContextFiles", "MaxResults": "1", "NextToken": token}
            form = asker.form(ContextId=context, ParentFolderPath="/")
            page = requests.post(asker.endpoint, params=query, data=form, timeout=30).json()
            found += [item["FileName"] for item in page["Data"]]
            token = page["NextToken"]
            if not token:
                break
        assert found == ["a", "b", "f"]

    def test_all_below(self, asker: Asker, context: str) -> None:
        answer = asker.data("DescribeContextFiles", ContextId=context, ParentFolderPath="/b", Recursive="true")
        assert [item["FilePath"] for item in answer] == ["/b/c", "/b/d", "/b/d/e"]

    @pytest.mark.parametrize(
        "wrong", [{"ParentFolderPath": "b"}, {"ParentFolderPath": "/b/.."}, {"PageNumber": "0"}, {"PageSize": "-1"}]
    )
    def test_what_is_malformed_is_refused(self, asker: Asker, wrong: dict[str, str]) -> None:
        answer = asker.ask("DescribeContextFiles", ContextId=asker.context(), **wrong)
        assert code(answer) == "InvalidParameter.Malformed"


class TestDescribeContextFile:
    def test_a_file_and_a_folder(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/folder/file", b"12345")
        file = asker.data("DescribeContextFile", ContextId=context, FilePath="/folder/file")
        assert (file["Size"], file["Mode"], len(file["Digest"])) == (5, "0644", 64)
        folder = asker.data("DescribeContextFile", ContextId=context, FilePath="/folder")
        assert folder["FileType"] == "folder"

    def test_what_is_not_there_and_what_can_not_be(self, asker: Asker) -> None:
        context = asker.context()
        missing = asker.ask("DescribeContextFile", ContextId=context, FilePath="/none")
        assert code(missing) == "InvalidFile.NotFound"
        for path in ("relative", "/a/../b", "/" + "x" * 256, "/folder/"):
            answer = asker.ask("DescribeContextFile", ContextId=context, FilePath=path)
            assert code(answer) == "InvalidParameter.Malformed"
        answer = asker.ask("DescribeContextFile", ContextId=context, FilePath="/none", Revision=9)
        assert code(answer) == "InvalidRevision.NotFound"


class TestDeleteContextFile:
    def test_one_is_gone_as_a_revision(self, asker: Asker, root: Path) -> None:
        context = asker.context()
        put(asker, context, "/a", b"1")
        put(asker, context, "/b", b"2")
        session = asker.session(Root=str(root))
        asker.data("DeleteContextFile", ContextId=context, FilePath="/a")
        assert names(asker, context) == ["b"]
        synced(asker, session, Mode="download")
        assert [path.name for path in root.iterdir()] == ["b"]

    def test_many_are_gone_in_one_revision_or_none_is(self, asker: Asker) -> None:
        context = asker.context()
        for name in ("/a", "/b", "/c"):
            put(asker, context, name, b"1")
        answer = asker.ask("DeleteContextFile", ContextId=context, FilePaths=["/a", "/none"])
        assert code(answer) == "InvalidFile.NotFound"
        assert names(asker, context) == ["a", "b", "c"]
        assert asker.data("DeleteContextFile", ContextId=context, FilePaths=["/a", "/b"])["Revision"] == 4
        assert names(asker, context) == ["c"]

    def test_a_folder_with_files_stays(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/folder/file", b"1")
        assert code(asker.ask("DeleteContextFile", ContextId=context, FilePath="/folder")) == "InvalidFile.Conflict"

    def test_what_is_malformed_is_refused(self, asker: Asker) -> None:
        context = asker.context()
        for wrong in ({"FilePath": "a"}, {"FilePaths": "[]"}, {"FilePaths": "[1]"}, {"FilePath": "/../etc/passwd"}):
            assert code(asker.ask("DeleteContextFile", ContextId=context, **wrong)) == "InvalidParameter.Malformed"


class TestGetContextFileUploadUrl:
    def test_it_takes_the_bytes_for_an_hour(self, asker: Asker) -> None:
        context = asker.context()
        began = int(time.time())
        told = asker.data("GetContextFileUploadUrl", ContextId=context, FilePath="/file")
        assert began + 3600 <= told["ExpireTime"] <= time.time() + 3600
        assert told["Url"].startswith(asker.endpoint)
        assert requests.put(told["Url"], data=b"12345", timeout=30).status_code == 200
        assert asker.data("DescribeContextFile", ContextId=context, FilePath="/file")["Size"] == 5
        assert asker.data("ListRevisions", ContextId=context)[0]["Revision"] == 1

    def test_it_is_not_for_reading(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/file", b"1")
        url = asker.data("GetContextFileUploadUrl", ContextId=context, FilePath="/file")["Url"]
        answer = requests.get(url, timeout=30)
        assert (answer.status_code, answer.json()["Code"]) == (403, "ForbiddenUrl.Method")

    def test_what_can_not_be_kept_is_refused_at_once(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/file", b"1")
        url = asker.data("GetContextFileUploadUrl", ContextId=context, FilePath="/file/below")["Url"]
        answer = requests.put(url, data=b"2", timeout=10)
        assert (answer.status_code, answer.json()["Code"]) == (409, "InvalidFile.Conflict")

    @pytest.mark.parametrize("path", ["file", "/a/../../b", "/", "/folder/", "/" + "x" * 256])
    def test_what_no_file_can_be_called_is_refused(self, asker: Asker, path: str) -> None:
        answer = asker.ask("GetContextFileUploadUrl", ContextId=asker.context(), FilePath=path)
        assert code(answer) == "InvalidParameter.Malformed"


class TestGetContextFileDownloadUrl:
    def test_it_answers_a_plain_get_also_in_part(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/file", b"0123456789")
        told = asker.data("GetContextFileDownloadUrl", ContextId=context, FilePath="/file")
        whole = requests.get(told["Url"], timeout=30)
        assert (whole.status_code, whole.content) == (200, b"0123456789")
        part = requests.get(told["Url"], headers={"Range": "bytes=2-4"}, timeout=30)
        assert (part.status_code, part.content) == (206, b"234")
        assert part.headers["ETag"] == whole.headers["ETag"]

    def test_it_is_not_for_writing(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/file", b"1")
        url = asker.data("GetContextFileDownloadUrl", ContextId=context, FilePath="/file")["Url"]
        assert requests.put(url, data=b"2", timeout=30).status_code == 403

    def test_what_is_not_there_or_has_no_content_is_refused(self, asker: Asker) -> None:
        context = asker.context()
        put(asker, context, "/folder/file", b"1")
        missing = asker.ask("GetContextFileDownloadUrl", ContextId=context, FilePath="/none")
        assert code(missing) == "InvalidFile.NotFound"
        folder = asker.ask("GetContextFileDownloadUrl", ContextId=context, FilePath="/folder")
        assert code(folder) == "InvalidFile.NoContent"


class TestGetSession:
    def test_it_is_told_with_its_contexts(self, asker: Asker) -> None:
        session = asker.session()
        told = asker.data("GetSession", SessionId=session)
        assert (told["SessionId"], told["Status"]) == (session, "RUNNING")
        assert told["contexts"] == [{"id": asker.context(), "name": "project"}]
        assert told["AppInstanceId"]
        assert told["ResourceUrl"].startswith(f"{asker.endpoint}/")
        assert told["ResourceUrl"].endswith(f"resourceId={told['ResourceId']}")


class TestGetSessionDetail:
    def test_id_in_the_query(self, asker: Asker) -> None:
        session = asker.session(ImageId="linux_latest")
        query = {"Action": "GetSessionDetail", "SessionId": session}
        told = requests.post(asker.endpoint, params=query, data=asker.form(), timeout=30).json()["Data"]
        assert (told["SessionId"], told["Status"], told["EndReason"]) == (session, "RUNNING", "")
        assert told["ImageId"] == "linux_latest"

    def test_its_id_is_a_number_of_its_own_that_javascript_can_hold(self, asker: Asker) -> None:
        sessions = [asker.session(), asker.session()]
        numbers = [asker.data("GetSessionDetail", SessionId=session)["Id"] for session in sessions]
        assert all(type(number) is int and 0 <= number < 2**53 for number in numbers)
        assert numbers[0] != numbers[1]
        assert numbers[0] == asker.data("GetSessionDetail", SessionId=sessions[0])["Id"]


class TestListSession:
    def test_labels_status_and_image_narrow_it(self, asker: Asker) -> None:
        red = asker.session(Labels={"colour": "red", "shape": "round"})
        blue = asker.session(Labels={"colour": "blue"}, ImageId="other")

        def told(**narrowed: object) -> list[str]:
            return [item["SessionId"] for item in asker.data("ListSession", **narrowed)]

        assert told() == [blue, red]
        assert told(Labels={"colour": "red"}) == [red]
        assert told(Labels={"colour": "red", "shape": "square"}) == []
        assert told(Status="RUNNING") == [blue, red]
        assert told(Status="PAUSED") == []
        assert told(ImageId="other") == [blue]

    def test_pages(self, asker: Asker) -> None:
        made = [asker.data("CreateMcpSession")["SessionId"] for _ in range(3)]
        first = asker.ask("ListSession", MaxResults=2)
        rest = asker.ask("ListSession", MaxResults=2, NextToken=first["NextToken"])
        assert (first["TotalCount"], first["MaxResults"], rest["NextToken"]) == (3, 2, "")
        assert [item["SessionId"] for item in first["Data"] + rest["Data"]] == made[::-1]

    def test_what_is_malformed_is_refused(self, asker: Asker) -> None:
        for wrong in ({"Labels": "red"}, {"MaxResults": "-1"}, {"NextToken": "?"}):
            assert code(asker.ask("ListSession", **wrong)) == "InvalidParameter.Malformed"


class Ending:
    """What both ways to end a session have in common."""

    action = ""

    def test_it_uploads_first_and_then_the_session_is_gone(self, asker: Asker) -> None:
        session = asker.session()
        folder = Path(asker.data("GetSession", SessionId=session)["Root"])
        (folder / "file").write_bytes(b"12345")
        asker.data(self.action, SessionId=session)
        assert gone(asker, session)
        assert code(asker.ask("GetSession", SessionId=session)) == "InvalidMcpSession.NotFound"
        assert names(asker, asker.context()) == ["file"]
        until(lambda: not folder.exists())

    def test_it_does_not_upload_where_the_policy_forbids_it(self, asker: Asker, root: Path) -> None:
        policy = json.dumps({"uploadPolicy": {"autoUpload": False}})
        binding = {"ContextId": asker.context(), "Path": "/", "Policy": policy}
        made = asker.data("CreateMcpSession", PersistenceDataList=[binding], Root=str(root))
        (root / "file").write_bytes(b"1")
        asker.data(self.action, SessionId=made["SessionId"])
        assert gone(asker, made["SessionId"])
        assert names(asker, asker.context()) == []
        assert (root / "file").exists(), "a root that was named is the user's"

    def test_if_the_upload_fails_the_session_stays_with_the_reason(self, asker: Asker) -> None:
        session = asker.session()
        folder = Path(asker.data("GetSession", SessionId=session)["Root"])
        (folder / "kept").write_bytes(b"1")
        moved = folder.with_name("moved")
        folder.rename(moved)
        folder.symlink_to(moved)
        asker.data(self.action, SessionId=session)
        assert not gone(asker, session)
        detail = asker.data("GetSessionDetail", SessionId=session)
        assert (detail["Status"], bool(detail["EndReason"])) == ("RUNNING", True)
        assert (moved / "kept").exists()
        folder.unlink()
        moved.rename(folder)
        asker.data(self.action, SessionId=session)
        assert gone(asker, session)
        assert names(asker, asker.context()) == ["kept"]


class TestDeleteSessionAsync(Ending):
    action = "DeleteSessionAsync"

    def test_it_can_be_forced(self, asker: Asker) -> None:
        session = asker.session()
        folder = Path(asker.data("GetSession", SessionId=session)["Root"])
        folder.rename(folder.with_name("forced"))
        folder.symlink_to(folder.with_name("forced"))
        asker.data("DeleteSessionAsync", SessionId=session, Force="true")
        assert gone(asker, session)
        # A link in the directory's place is removed, what it leads to is not, and others are cleaned up after it.
        until(lambda: not folder.is_symlink())
        assert folder.with_name("forced").is_dir()

    def test_a_flag_that_is_none_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("DeleteSessionAsync", SessionId=asker.session(), Force="maybe")
        assert code(answer) == "InvalidParameter.Malformed"


class TestReleaseMcpSession(Ending):
    action = "ReleaseMcpSession"


class TestSetLabel:
    def test_labels_take_the_place_of_those_that_were(self, asker: Asker) -> None:
        session = asker.session(Labels={"old": "1"})
        asker.data("SetLabel", SessionId=session, Labels={"new": "2"})
        assert json.loads(asker.data("GetLabel", SessionId=session)["Labels"]) == {"new": "2"}

    @pytest.mark.parametrize(
        "labels", ["{", "[]", '{"a": 1}', '{"": "x"}', json.dumps({str(n): "" for n in range(101)})]
    )
    def test_what_is_malformed_is_refused(self, asker: Asker, labels: str) -> None:
        answer = asker.ask("SetLabel", SessionId=asker.session(), Labels=labels)
        assert code(answer) == "InvalidParameter.Malformed"


class TestGetLabel:
    def test_pages(self, asker: Asker) -> None:
        session = asker.session(Labels={"a": "1", "b": "2", "c": "3"})
        first = asker.ask("GetLabel", SessionId=session, MaxResults=2)
        rest = asker.ask("GetLabel", SessionId=session, MaxResults=2, NextToken=first["NextToken"])
        assert json.loads(first["Data"]["Labels"]) == {"a": "1", "b": "2"}
        assert json.loads(rest["Data"]["Labels"]) == {"c": "3"}

    def test_none_are_an_empty_object(self, asker: Asker) -> None:
        assert json.loads(asker.data("GetLabel", SessionId=asker.session())["Labels"]) == {}

    def test_a_token_that_is_none_is_refused(self, asker: Asker) -> None:
        answer = asker.ask("GetLabel", SessionId=asker.session(), NextToken="!")
        assert code(answer) == "InvalidParameter.Malformed"


class TestGetAndLoadInternalContext:
    def test_of_other_types_there_is_none(self, asker: Asker) -> None:
        session = asker.session()
        assert asker.data("GetAndLoadInternalContext", SessionId=session, ContextTypes=["browser"]) == []

    def test_a_file_comes_into_the_session_and_back(self, asker: Asker) -> None:
        made = asker.data("CreateMcpSession")
        session, root = made["SessionId"], Path(made["Root"])
        asked = {"SessionId": session, "ContextTypes.1": "file_transfer"}
        (transfer,) = asker.data("GetAndLoadInternalContext", **asked)
        path = f"{transfer['ContextPath']}/sub/file"
        put(asker, transfer["ContextId"], path, b"sent")
        named = {"SessionId": session, "ContextId": transfer["ContextId"], "Path": path}
        (task,) = asker.data("SyncContext", Mode="download", **named)["TaskIds"]
        assert asker.wait(session, task)["status"] == "Success"
        (entry,) = entries(asker.data("GetContextInfo", TaskType="download", **named))
        assert (entry["path"], entry["status"]) == (path, "Success")
        file = root / path.lstrip("/")
        assert file.read_bytes() == b"sent"
        file.write_bytes(b"worked on")
        (task,) = asker.data("SyncContext", Mode="upload", **named)["TaskIds"]
        assert asker.wait(session, task)["files"] == 1
        url = asker.data("GetContextFileDownloadUrl", ContextId=transfer["ContextId"], FilePath=path)["Url"]
        assert requests.get(url, timeout=30).content == b"worked on"


class TestRefreshSessionIdleTime:
    def test_it_is_taken(self, asker: Asker) -> None:
        assert asker.ask("RefreshSessionIdleTime", SessionId=asker.session())["Success"]


class TestGetStoreStats:
    def test_an_account_sees_what_it_has_stored_itself(self, asker: Asker) -> None:
        context = asker.context("counted")
        put(asker, context, "/file", b"content" * 100)
        data = asker.data("GetStoreStats")
        (told,) = data["Contexts"]
        assert (told["ContextId"], told["Name"], told["Files"], told["Bytes"]) == (context, "counted", 1, 700)
        assert (data["UniqueBytes"], data["LooseBytes"]) == (700, 0)
        assert 0 < data["StoredBytes"] < 700


class TestCheckStore:
    def test_it_is_the_operators(self, asker: Asker) -> None:
        answer = asker.ask("CheckStore")
        assert (code(answer), answer["HttpStatusCode"]) == ("Forbidden.Operator", 403)
        assert "ctxmgr check --data FOLDER" in answer["Message"]


class TestPruneContexts:
    def test_revisions_end_and_the_room_is_given_back_later(self, asker: Asker) -> None:
        context = asker.context("pruned")
        for number in range(3):
            put(asker, context, "/file", b"content %d" % number)
        data = asker.data("PruneContexts", Retention={"keepLast": 1})
        assert data["Contexts"] == [{"ContextId": context, "Name": "pruned", "Kept": [3], "Pruned": [1, 2]}]
        assert (data["FreedBytes"], data["WaitingBytes"] > 0) == (0, True)
        assert [item["Revision"] for item in asker.data("ListRevisions", ContextId=context)] == [3]


class TestSetContextRetention:
    def test_it_is_told_with_the_stats(self, asker: Asker) -> None:
        context = asker.context("ruled")
        asker.data("SetContextRetention", Id=context, Retention={"keepDaily": 7, "keepWithin": "30d"})
        (told,) = asker.data("GetStoreStats")["Contexts"]
        assert told["Retention"] == {"keepDaily": 7, "keepWithin": "30d"}
