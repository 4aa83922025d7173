"""sync() from trigger to verdict, on servers that name their tasks and on servers that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ctxmgr import (
    ArgumentError,
    ArgumentTypeError,
    Client,
    ConnectionFailed,
    ContextManager,
    ProtocolError,
    SyncFailed,
    SyncProgress,
)
from tests.support.answers import REQUEST_ID, bound, entry, listed, ok, refused, started
from tests.support.scripted import Answer, Dropped, Raw, ScriptedServer

KEY = "akm-0123456789"
SOON = 5  # milliseconds between polls

UNREADABLE: list[Answer] = [
    Raw(b"<h1>Bad Gateway</h1>", 502),
    Raw(b'{"Success": tr'),
    Raw(),
    Dropped(),
    refused("InternalError", "oops", http_status=500),
    refused("Throttling", "slow down", http_status=429),
    ok({"ContextStatus": "<not json>"}),
]
UNREADABLE_NAMES = ["HTML", "half a document", "nothing", "dropped", "failing", "throttled", "unreadable status"]
PERMANENT = [
    refused("InvalidMcpSession.NotFound", "no such session"),
    refused("Forbidden.Key", "not yours", http_status=403),
    refused("InvalidContext.NotFound", "no such context"),
]
NOT_SUCCESS = ["success", "SUCCESS", "Succeeded", "Success ", "Finished", "Running", ""]


@pytest.fixture
def unnamed(server: ScriptedServer) -> ScriptedServer:
    """A server that does not name its tasks, as AgentBay's cloud, and one binding."""
    server.script("SyncContext", started())
    server.script("DescribeSessionContexts", bound("/data"))
    return server


@pytest.fixture
def named(server: ScriptedServer) -> ScriptedServer:
    """A server that names its tasks, as ctxmgr's own: the next is t-1."""
    server.script("SyncContext", started("t-1"))
    return server


@pytest.fixture
def unsettled(server: ScriptedServer) -> Iterator[ContextManager]:
    """A session's contexts, of a client that never believes there was nothing to do."""
    with Client(api_key=KEY, endpoint=server.url, attempts=1, settle_polls=1000) as client:
        yield client.session("s-1").context


class TestTrigger:
    def test_it_asks_for_every_binding(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        manager.sync()
        assert named.asked("SyncContext")[0].parameters == {"SessionId": "s-1", "GuardDeletes": "true"}

    def test_it_asks_for_the_binding_and_the_mode_it_was_told(
        self, named: ScriptedServer, manager: ContextManager
    ) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1", task_type="download")))
        manager.sync("SdkCtx-1", "/data", "download", allow_mass_delete=True)
        asked = {"SessionId": "s-1", "ContextId": "SdkCtx-1", "Path": "/data", "Mode": "download"}
        assert named.asked("SyncContext")[0].parameters == asked

    def test_its_answers_request_id_is_the_results(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        result = manager.sync()
        assert result.request_id == REQUEST_ID

    def test_a_refusal_is_a_result(self, server: ScriptedServer, manager: ContextManager) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", refused("InvalidBinding.NotFound", "nothing is bound at /data"))
        result = manager.sync()
        assert (result.success, result.error_message) == (False, "[InvalidBinding.NotFound] nothing is bound at /data")

    def test_a_refusal_is_not_waited_on(self, server: ScriptedServer, manager: ContextManager) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", refused("InvalidBinding.NotFound"))
        manager.sync()
        assert server.requests[-1].action == "SyncContext"

    def test_a_trigger_that_got_no_answer_is_raised(self, server: ScriptedServer, manager: ContextManager) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", Dropped())
        with pytest.raises(ConnectionFailed):
            manager.sync()

    def test_a_trigger_whose_answer_is_not_the_protocol_is_raised(
        self, server: ScriptedServer, manager: ContextManager
    ) -> None:
        server.script("GetContextInfo", listed())
        server.script("SyncContext", ok({"TaskIds": "t-1"}))
        with pytest.raises(ProtocolError, match=r"^Data\.TaskIds is not a list of non-empty strings$"):
            manager.sync()

    def test_an_argument_that_cannot_be_used_sends_nothing(
        self, server: ScriptedServer, manager: ContextManager
    ) -> None:
        with pytest.raises(ArgumentError, match="mode is 'sideways'"):
            manager.sync(mode="sideways")  # type: ignore[arg-type]
        assert server.requests == []

    def test_a_path_without_its_context_sends_nothing(self, server: ScriptedServer, manager: ContextManager) -> None:
        with pytest.raises(ArgumentError, match="give both"):
            manager.sync(path="/data")
        assert server.requests == []

    def test_an_argument_of_the_wrong_type_sends_nothing(self, server: ScriptedServer, manager: ContextManager) -> None:
        with pytest.raises(ArgumentTypeError, match="max_retries"):
            manager.sync(max_retries=1.5)  # type: ignore[arg-type]  # that is the point
        assert server.requests == []


class TestNamedTasks:
    def test_its_success_is_success(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        result = manager.sync()
        assert (result.success, result.task_ids, result.nothing_to_sync) == (True, ("t-1",), False)

    def test_it_asks_for_exactly_its_tasks(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("SyncContext", started("t-1", "t-2"))
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1"), entry(task_id="t-2", path="/b")))
        manager.sync()
        assert json.loads(named.requests[-1].parameters["TaskIds"]) == ["t-1", "t-2"]

    def test_it_asks_on_for_those_that_have_not_ended(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("SyncContext", started("t-1", "t-2"))
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")), listed(entry(task_id="t-2", path="/b")))
        manager.sync()
        assert json.loads(named.requests[-1].parameters["TaskIds"]) == ["t-2"]

    def test_it_asks_the_server_to_park(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        manager.sync()
        assert named.requests[-1].parameters["WaitMs"] == "10000"

    def test_it_never_asks_to_park_beyond_its_budget(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        manager.sync(max_retries=2, retry_interval=1000)
        assert 0 < int(named.requests[-1].parameters["WaitMs"]) <= 2000

    def test_the_snapshot_is_saved_once_the_server_is_known_to_name_its_tasks(
        self, named: ScriptedServer, manager: ContextManager
    ) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        manager.sync()
        manager.sync()
        asked = [request.action for request in named.requests]
        look = ["GetContextInfo", "DescribeSessionContexts"]
        assert asked == [*look, "SyncContext", "GetContextInfo", "SyncContext", "GetContextInfo"]

    def test_the_success_of_another_task_is_no_evidence(self, named: ScriptedServer, manager: ContextManager) -> None:
        other, ours = entry(task_id="t-0", start=100), entry(task_id="t-1")
        named.script("GetContextInfo", listed(), listed(other), listed(other, ours))
        result = manager.sync()
        assert result.task_ids == ("t-1",)

    def test_its_id_on_a_task_of_another_type_is_no_evidence(
        self, named: ScriptedServer, manager: ContextManager
    ) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1", task_type="download")))
        result = manager.sync(max_retries=10, retry_interval=SOON)
        assert "[Sync.Timeout]" in result.error_message

    def test_an_empty_list_is_no_evidence(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed())
        result = manager.sync(max_retries=10, retry_interval=SOON)
        assert result.error_message.endswith("last seen: task t-1 was never listed")

    def test_a_path_below_a_binding_is_proven_by_the_task_of_that_path(
        self, unnamed: ScriptedServer, unsettled: ContextManager
    ) -> None:
        whole, part = entry(start=200), entry(path="/data/sub/file", start=300)
        unnamed.script("GetContextInfo", listed(), listed(whole), listed(whole, part))
        result = unsettled.sync("SdkCtx-1", "/data/sub/file", max_retries=5, retry_interval=SOON)
        assert (result.success, result.nothing_to_sync) == (True, False)
        assert [task.path for task in result.tasks] == ["/data/sub/file"]

    @pytest.mark.parametrize("status", NOT_SUCCESS)
    def test_a_status_that_is_not_exactly_success_is_no_evidence(
        self, named: ScriptedServer, manager: ContextManager, status: str
    ) -> None:
        named.script("GetContextInfo", listed(), listed(entry(status, task_id="t-1")))
        result = manager.sync(max_retries=10, retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Timeout")

    def test_its_failure_is_told(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry("Failed", task_id="t-1", error="disk full")))
        result = manager.sync()
        assert result.error_message == (
            "[Sync.Failed] the upload of all bound contexts failed: SdkCtx-1 at /data: disk full"
        )

    @pytest.mark.parametrize("answer", UNREADABLE, ids=UNREADABLE_NAMES)
    def test_a_poll_that_cannot_be_read_is_made_again(
        self, named: ScriptedServer, manager: ContextManager, answer: Answer
    ) -> None:
        named.script("GetContextInfo", listed(), answer, listed(entry(task_id="t-1")))
        result = manager.sync()
        assert result.success

    @pytest.mark.parametrize("answer", UNREADABLE, ids=UNREADABLE_NAMES)
    def test_polls_that_cannot_be_read_are_no_evidence(
        self, named: ScriptedServer, manager: ContextManager, answer: Answer
    ) -> None:
        named.script("GetContextInfo", listed(), answer)
        result = manager.sync(max_retries=10, retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Timeout")
        assert "; the last poll failed: " in result.error_message

    @pytest.mark.parametrize("answer", PERMANENT)
    def test_an_error_that_cannot_heal_ends_the_wait_at_once(
        self, named: ScriptedServer, manager: ContextManager, answer: dict[str, str]
    ) -> None:
        named.script("GetContextInfo", listed(), answer)
        result = manager.sync()
        assert result.error_message == f"[{answer['Code']}] {answer['Message']}"
        assert len(named.asked("GetContextInfo")) == 2

    def test_what_the_service_counted_is_told(self, named: ScriptedServer, manager: ContextManager) -> None:
        done = entry(task_id="t-1", revision=7, files=2, deleted=1, bytes=30, skipped=[["/data/s", "a socket"]])
        named.script("GetContextInfo", listed(), listed(done))
        result = manager.sync()
        counts = (result.revision, result.files, result.deleted, result.bytes, result.skipped)
        assert counts == (7, 2, 1, 30, (("/data/s", "a socket"),))

    def test_that_there_was_nothing_to_do_is_told(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry(task_id="t-1", nothingToSync=True)))
        result = manager.sync()
        assert (result.success, result.nothing_to_sync) == (True, True)

    def test_a_failure_can_be_raised(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry("Failed", task_id="t-1", error="disk full")))
        result = manager.sync()
        with pytest.raises(SyncFailed, match="disk full"):
            result.raise_for_error()

    @pytest.mark.parametrize("status", [201, 204, 206, 302])
    def test_a_success_that_does_not_come_with_200_is_no_evidence(
        self, named: ScriptedServer, manager: ContextManager, status: int
    ) -> None:
        done = listed(entry(task_id="t-1"))
        named.script("GetContextInfo", listed(), Raw(json.dumps(done).encode(), status))
        result = manager.sync(max_retries=5, retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Timeout")

    def test_a_session_with_nothing_bound_says_so(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("SyncContext", ok({"TaskIds": []}))
        named.script("GetContextInfo", listed())
        result = manager.sync()
        assert (result.success, result.nothing_to_sync, result.note) == (
            True,
            True,
            "no context is bound in the session: there was nothing to sync",
        )

    def test_a_result_is_true_exactly_if_it_succeeded(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), listed(entry("Failed", task_id="t-1")), listed(entry(task_id="t-1")))
        failed, done = manager.sync(), manager.sync()
        assert (bool(failed), bool(done)) == (False, True)

    def test_how_far_it_is_is_told_while_the_call_waits(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("SyncContext", started("t-1", "t-2"))
        half = entry("Running", task_id="t-1", filesTotal=4, filesDone=1, bytesTotal=40, bytesDone=10)
        whole = entry(task_id="t-1", filesTotal=4, filesDone=4, bytesTotal=40, bytesDone=40)
        other = entry(task_id="t-2", path="/b", filesTotal=1, filesDone=1, bytesTotal=2, bytesDone=2)
        named.script("GetContextInfo", listed(), listed(half), Dropped(), listed(whole), listed(other))
        told: list[SyncProgress] = []
        result = manager.sync(progress=told.append)
        assert result.success
        assert [(each.files_done, each.files_total) for each in told] == [(1, 4), (4, 4), (5, 5)]
        assert [(each.bytes_done, each.bytes_total) for each in told] == [(10, 40), (40, 40), (42, 42)]

    def test_what_a_progress_function_raises_ends_the_wait(
        self, named: ScriptedServer, manager: ContextManager
    ) -> None:
        def broken(progress: SyncProgress) -> None:
            raise RuntimeError("no terminal")

        named.script("GetContextInfo", listed(), listed(entry("Running", task_id="t-1")))
        with pytest.raises(RuntimeError, match="no terminal"):
            manager.sync(progress=broken)

    def test_progress_and_a_callback_do_not_go_together(self, named: ScriptedServer, manager: ContextManager) -> None:
        with pytest.raises(ArgumentError, match="give one"):
            manager.sync(callback=print, progress=print)
        assert named.requests == []

    def test_it_never_starts_a_second_sync(self, named: ScriptedServer, manager: ContextManager) -> None:
        named.script("GetContextInfo", listed(), Dropped(), Raw(), listed(entry(task_id="t-1")))
        manager.sync()
        assert len(named.asked("SyncContext")) == 1


class TestUnnamedTasks:
    def test_a_new_success_is_success(self, unnamed: ScriptedServer, unsettled: ContextManager) -> None:
        unnamed.script("GetContextInfo", listed(), listed(entry("Running")), listed(entry()))
        result = unsettled.sync(retry_interval=SOON)
        assert (result.success, result.nothing_to_sync) == (True, False)

    def test_a_changed_success_is_success(self, unnamed: ScriptedServer, unsettled: ContextManager) -> None:
        before = listed(entry(start=100))
        unnamed.script("GetContextInfo", before, before, listed(entry("Running")), listed(entry()))
        result = unsettled.sync(retry_interval=SOON)
        assert (result.success, result.nothing_to_sync) == (True, False)

    def test_the_statuses_are_looked_at_before_the_trigger(
        self, unnamed: ScriptedServer, unsettled: ContextManager
    ) -> None:
        unnamed.script("GetContextInfo", listed(), listed(entry()))
        unsettled.sync(retry_interval=SOON)
        asked = [request.action for request in unnamed.requests]
        assert asked == ["GetContextInfo", "DescribeSessionContexts", "SyncContext", "GetContextInfo"]

    def test_without_that_look_nothing_is_triggered(self, unnamed: ScriptedServer, manager: ContextManager) -> None:
        unnamed.script("GetContextInfo", Dropped())
        with pytest.raises(ConnectionFailed):
            manager.sync()
        assert unnamed.asked("SyncContext") == []

    def test_a_look_that_is_refused_is_a_result(self, unnamed: ScriptedServer, manager: ContextManager) -> None:
        unnamed.script("GetContextInfo", refused("InvalidMcpSession.NotFound", "no such session"))
        result = manager.sync()
        assert result.error_message == "[InvalidMcpSession.NotFound] no such session"
        assert unnamed.asked("SyncContext") == []

    def test_it_asks_about_the_binding_it_syncs(self, unnamed: ScriptedServer, unsettled: ContextManager) -> None:
        unnamed.script("GetContextInfo", listed(), listed(entry()))
        unsettled.sync("SdkCtx-1", "/data", retry_interval=SOON)
        binding = {"SessionId": "s-1", "ContextId": "SdkCtx-1", "Path": "/data"}
        assert [request.parameters for request in unnamed.asked("GetContextInfo")] == [binding, binding]

    def test_a_list_that_stays_empty_is_nothing_to_sync(self, unnamed: ScriptedServer, manager: ContextManager) -> None:
        unnamed.script("GetContextInfo", listed())
        result = manager.sync(retry_interval=SOON)
        assert (result.success, result.nothing_to_sync) == (True, True)
        assert len(unnamed.asked("GetContextInfo")) == 4

    def test_an_entry_that_stays_as_it_was_is_nothing_to_sync(
        self, unnamed: ScriptedServer, manager: ContextManager
    ) -> None:
        unnamed.script("GetContextInfo", listed(entry(start=100)))
        result = manager.sync(retry_interval=SOON)
        assert (result.success, result.nothing_to_sync) == (True, True)
        assert len(unnamed.asked("GetContextInfo")) == 4

    def test_a_failure_that_stays_as_it_was_is_no_success(
        self, unnamed: ScriptedServer, manager: ContextManager
    ) -> None:
        unnamed.script("GetContextInfo", listed(entry("Failed", start=100, error="disk full")))
        result = manager.sync(retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.NotStarted")
        assert "disk full" in result.error_message

    @pytest.mark.parametrize(
        "other",
        [entry(task_type="download"), entry(context_id="SdkCtx-2"), entry(path="/elsewhere")],
        ids=["another task type", "another context", "another path"],
    )
    def test_the_success_of_another_sync_is_no_evidence(
        self, unnamed: ScriptedServer, unsettled: ContextManager, other: dict[str, str]
    ) -> None:
        unnamed.script("GetContextInfo", listed(), listed(other))
        result = unsettled.sync("SdkCtx-1", "/data", max_retries=5, retry_interval=SOON)
        assert result.error_message.endswith("last seen: no task was ever listed")

    @pytest.mark.parametrize("status", NOT_SUCCESS)
    def test_a_status_that_is_not_exactly_success_is_no_evidence(
        self, unnamed: ScriptedServer, manager: ContextManager, status: str
    ) -> None:
        unnamed.script("GetContextInfo", listed(), listed(entry(status)))
        result = manager.sync(max_retries=5, retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Timeout")

    def test_the_end_of_an_earlier_task_is_no_evidence_while_the_next_may_begin(
        self, unnamed: ScriptedServer, manager: ContextManager
    ) -> None:
        running, ended = listed(entry("Running", start=100)), listed(entry(start=100))
        unnamed.script("GetContextInfo", running, running, ended, listed(entry("Running")), listed(entry()))
        result = manager.sync(retry_interval=SOON)
        assert [task.start_time for task in result.tasks] == [200]

    @pytest.mark.parametrize("left", [listed(), listed(entry(start=100))], ids=["nothing", "what was there before"])
    def test_a_task_that_vanished_is_unproven(
        self, unnamed: ScriptedServer, manager: ContextManager, left: dict[str, object]
    ) -> None:
        unnamed.script("GetContextInfo", left, listed(entry("Running")), left)
        result = manager.sync(retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Unproven")

    def test_another_task_that_ran_before_and_vanished_is_unproven(
        self, unnamed: ScriptedServer, manager: ContextManager
    ) -> None:
        unnamed.script("GetContextInfo", listed(entry("Running", start=100)), listed())
        result = manager.sync(retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Unproven")

    @pytest.mark.parametrize(
        "bindings",
        [bound("/a", "/b"), refused("InvalidAction.NotFound", "no such action"), ok("<not a list>")],
        ids=["listed", "refused", "unreadable"],
    )
    def test_a_binding_that_is_listed_late_is_waited_for(
        self, unnamed: ScriptedServer, manager: ContextManager, bindings: dict[str, object]
    ) -> None:
        first, last = entry(path="/a"), entry("Failed", path="/b", error="disk full")
        unnamed.script("DescribeSessionContexts", bindings)
        unnamed.script("GetContextInfo", listed(), listed(first), listed(first, last))
        result = manager.sync(retry_interval=SOON)
        assert result.error_message.endswith("failed: SdkCtx-1 at /b: disk full")

    def test_a_session_with_nothing_bound_says_so(self, unnamed: ScriptedServer, manager: ContextManager) -> None:
        unnamed.script("DescribeSessionContexts", bound())
        unnamed.script("GetContextInfo", listed())
        result = manager.sync(retry_interval=SOON)
        assert (result.success, result.nothing_to_sync, result.note) == (
            True,
            True,
            "no context is bound in the session: there was nothing to sync",
        )

    def test_the_success_of_one_binding_is_not_that_of_all(
        self, unnamed: ScriptedServer, unsettled: ContextManager
    ) -> None:
        unnamed.script("DescribeSessionContexts", bound("/a", "/b"))
        half = listed(entry(path="/a"), entry("Running", path="/b"))
        whole = listed(entry(path="/a"), entry("Failed", path="/b", error="disk full"))
        unnamed.script("GetContextInfo", listed(), half, whole)
        result = unsettled.sync(retry_interval=SOON)
        assert result.error_message.endswith("failed: SdkCtx-1 at /b: disk full")

    @pytest.mark.parametrize("answer", UNREADABLE, ids=UNREADABLE_NAMES)
    def test_polls_that_cannot_be_read_settle_nothing(
        self, unnamed: ScriptedServer, manager: ContextManager, answer: Answer
    ) -> None:
        unnamed.script("GetContextInfo", listed(), answer)
        result = manager.sync(max_retries=6, retry_interval=SOON)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Timeout")

    @pytest.mark.parametrize("answer", UNREADABLE, ids=UNREADABLE_NAMES)
    def test_a_poll_that_cannot_be_read_is_made_again(
        self, unnamed: ScriptedServer, manager: ContextManager, answer: Answer
    ) -> None:
        unnamed.script("GetContextInfo", listed(), answer, listed(entry()))
        result = manager.sync(retry_interval=SOON)
        assert result.success

    @pytest.mark.parametrize("answer", PERMANENT)
    def test_an_error_that_cannot_heal_ends_the_wait_at_once(
        self, unnamed: ScriptedServer, manager: ContextManager, answer: dict[str, str]
    ) -> None:
        unnamed.script("GetContextInfo", listed(), answer)
        result = manager.sync()
        assert result.error_message == f"[{answer['Code']}] {answer['Message']}"
        assert len(unnamed.asked("GetContextInfo")) == 2

    def test_max_retries_is_the_number_of_polls(self, unnamed: ScriptedServer, unsettled: ContextManager) -> None:
        unnamed.script("GetContextInfo", listed())
        result = unsettled.sync(max_retries=7, retry_interval=SOON)
        assert "not proven done within 7 polls, 0.035 s" in result.error_message
        assert len(unnamed.asked("GetContextInfo")) == 1 + 7

    def test_retry_interval_is_the_time_between_polls(self, unnamed: ScriptedServer, unsettled: ContextManager) -> None:
        unnamed.script("GetContextInfo", listed())
        unsettled.sync(max_retries=3, retry_interval=60)
        first, second, third = (request.at for request in unnamed.asked("GetContextInfo")[1:])
        assert min(second - first, third - second) >= 0.06

    def test_a_download_waits_for_a_download(self, unnamed: ScriptedServer, unsettled: ContextManager) -> None:
        upload, download = entry(), entry(task_type="download")
        unnamed.script("GetContextInfo", listed(), listed(upload), listed(upload, download))
        result = unsettled.sync(mode="download", retry_interval=SOON)
        assert [task.task_type for task in result.tasks] == ["download"]


def test_a_server_that_stops_naming_tasks_proves_nothing(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("SyncContext", started("t-1"), started())
    server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
    manager.sync()
    result = manager.sync(retry_interval=SOON)
    assert (result.success, result.error_message.partition("]")[0]) == (False, "[Sync.Unproven")
