"""When a sync is done: every rule of completion, on polls made up here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr import (
    ApiError,
    ClosedError,
    ConflictError,
    ConnectionFailed,
    ContextStatusData,
    CtxmgrError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    RequestTimeout,
    ServerError,
    ThrottledError,
    TransportError,
)
from ctxmgr.completion import BindingKey, Budget, Found, Pace, Target, TaskWait, Verdict, Wait, judge
from ctxmgr.snapshot import SnapshotWait

ALL = Target("upload")
ONE = Target("upload", "SdkCtx-1", "/data")
BOTH = [("SdkCtx-1", "/a"), ("SdkCtx-1", "/b")]
TROUBLE = ConnectionFailed("the connection broke")
NOT_SUCCESS = ["success", "SUCCESS", "Succeeded", "Success ", "Finished", "Running", "Waiting", ""]
PASSING = [
    TransportError("no answer"),
    ConnectionFailed("refused"),
    RequestTimeout("too slow"),
    ProtocolError("HTML"),
    ThrottledError("Throttling.User", "slow down"),
    ServerError("InternalError", "oops"),
    ApiError("Unheard.Of", "what?"),
    ConflictError("Sync.Conflict", "busy"),
]
PERMANENT = [
    NotFoundError("InvalidMcpSession.NotFound", "no such session"),
    ForbiddenError("Forbidden.Key", "not yours"),
    InvalidRequestError("InvalidParameter", "no such path"),
]


def task(
    status: str = "Success",
    *,
    path: str = "/data",
    context_id: str = "SdkCtx-1",
    task_type: str = "upload",
    start: int = 200,
    task_id: str = "",
    error: str = "",
    nothing: bool = False,
) -> ContextStatusData:
    return ContextStatusData(
        context_id=context_id,
        path=path,
        error_message=error,
        status=status,
        start_time=start,
        finish_time=start + 5 if status in ("Success", "Failed") else 0,
        task_type=task_type,
        task_id=task_id,
        nothing_to_sync=nothing,
    )


def old(status: str = "Success", *, path: str = "/data", error: str = "") -> ContextStatusData:
    """A task that began before the trigger."""
    return task(status, path=path, start=100, error=error)


def snapshot(
    *before: ContextStatusData,
    target: Target = ONE,
    max_retries: int = 50,
    settle_polls: int = 3,
    bindings: Sequence[BindingKey] | None = None,
) -> SnapshotWait:
    budget = Budget(max_retries, 100)
    return SnapshotWait(target, before, budget, settle_polls=settle_polls, bindings=bindings)


def blind(*, target: Target = ONE, max_retries: int = 50) -> SnapshotWait:
    return SnapshotWait(target, None, Budget(max_retries, 100), settle_polls=3)


def tasks(*task_ids: str, target: Target = ONE, max_retries: int = 10, retry_interval: float = 1000) -> TaskWait:
    """A wait that began at 0 and has 10 seconds."""
    return TaskWait(target, task_ids, Budget(max_retries, retry_interval), 0.0)


def assert_undecided(wait: Wait, *polls: Found, now: float = 0.0) -> None:
    for number, found in enumerate(polls, 1):
        verdict = judge(wait, found, now)
        assert verdict is None, f"poll {number} of {len(polls)} settled it: {verdict}"


def decided(wait: Wait, *polls: Found, now: float = 0.0) -> Verdict:
    """The verdict on the last poll; the ones before it settle nothing."""
    assert_undecided(wait, *polls[:-1], now=now)
    verdict = judge(wait, polls[-1], now)
    assert verdict is not None, f"{len(polls)} polls settled nothing"
    return verdict


class TestTarget:
    def test_without_a_context_it_means_every_binding(self) -> None:
        assert ALL.matches(task(context_id="SdkCtx-9", path="/elsewhere"))

    def test_without_a_context_it_still_means_one_task_type(self) -> None:
        assert not ALL.matches(task(task_type="download"))

    @pytest.mark.parametrize("path", ["/data", "/data/"])
    def test_a_trailing_slash_makes_no_other_path(self, path: str) -> None:
        assert attrs.evolve(ONE, path=path).matches(task(path="/data/"))

    def test_the_root_is_no_prefix(self) -> None:
        assert not attrs.evolve(ONE, path="/").matches(task(path="/data"))

    @pytest.mark.parametrize("path", ["/", "//"])
    def test_the_root_is_itself(self, path: str) -> None:
        assert attrs.evolve(ONE, path="/").matches(task(path=path))

    @pytest.mark.parametrize(
        ("target", "text"), [(ALL, "upload of all bound contexts"), (ONE, "upload of SdkCtx-1 at /data")]
    )
    def test_it_tells_what_it_is(self, target: Target, text: str) -> None:
        assert str(target) == text


class TestBudget:
    def test_it_is_given_in_milliseconds_and_told_in_seconds(self) -> None:
        assert (Budget(150, 1500).interval, Budget(150, 1500).total) == (1.5, 225.0)

    def test_it_tells_itself(self) -> None:
        assert str(Budget(150, 1500)) == "150 polls, 225 s"


class TestSnapshotSuccess:
    def test_a_new_task_that_succeeded_is_success_at_once(self) -> None:
        assert decided(snapshot(), [task()]) == Verdict(success=True, tasks=(task(),))

    def test_a_changed_entry_that_succeeded_is_success_at_once(self) -> None:
        verdict = decided(snapshot(old()), [task()])
        assert (verdict.success, verdict.nothing_to_sync) == (True, False)

    def test_a_task_is_followed_until_it_ends(self) -> None:
        assert decided(snapshot(), [task("Waiting", start=0)], [task("Running")], [task("Running")], [task()]).success

    def test_success_on_the_last_poll_of_the_budget_still_counts(self) -> None:
        assert decided(snapshot(max_retries=2), [task("Running")], [task()]).success

    def test_a_new_task_is_ours_beside_the_old_one_of_its_binding(self) -> None:
        verdict = decided(snapshot(old("Failed")), [old("Failed"), task()])
        assert verdict == Verdict(success=True, tasks=(task(),))

    def test_a_task_that_the_service_found_nothing_for_says_so(self) -> None:
        assert decided(snapshot(), [task(nothing=True)]).nothing_to_sync


class TestSnapshotIsNoEvidence:
    def test_an_empty_list(self) -> None:
        assert_undecided(snapshot(), [], [])

    def test_an_entry_that_was_terminal_before_the_trigger(self) -> None:
        assert_undecided(snapshot(old()), [old()], [old()])

    @pytest.mark.parametrize(
        "other",
        [task(task_type="download"), task(context_id="SdkCtx-2"), task(path="/data/below"), task(path="/dat")],
        ids=["another task type", "another context", "a path below", "another path"],
    )
    def test_the_success_of_another_sync(self, other: ContextStatusData) -> None:
        assert_undecided(snapshot(), [other], [other])

    @pytest.mark.parametrize("status", NOT_SUCCESS)
    def test_a_status_that_is_not_exactly_success(self, status: str) -> None:
        assert_undecided(snapshot(max_retries=9), *[[task(status)]] * 8)

    @pytest.mark.parametrize("status", NOT_SUCCESS)
    def test_an_unchanged_entry_whose_status_is_not_exactly_success(self, status: str) -> None:
        assert_undecided(snapshot(task(status), max_retries=9), *[[task(status)]] * 8)

    def test_a_poll_that_failed(self) -> None:
        assert_undecided(snapshot(settle_polls=1), *[TROUBLE] * 8)

    def test_a_poll_that_failed_after_one_that_did_not(self) -> None:
        assert_undecided(snapshot(settle_polls=2), [], TROUBLE, TROUBLE)

    def test_the_end_of_a_task_that_ran_before_the_trigger(self) -> None:
        assert_undecided(snapshot(old("Running")), [old()], [old()])

    def test_the_end_of_an_earlier_task_whose_path_is_spelled_with_a_slash(self) -> None:
        assert_undecided(snapshot(old("Running", path="/data/")), [old()])

    def test_an_earlier_running_task_beside_nothing_else(self) -> None:
        assert_undecided(snapshot(old("Running")), *[[old("Running")]] * 8)

    def test_the_success_of_one_binding_while_another_is_under_way(self) -> None:
        wait = snapshot(target=ALL)
        assert_undecided(wait, *[[task(path="/a"), task("Running", path="/b")]] * 8)

    def test_the_failure_of_one_binding_while_another_is_under_way(self) -> None:
        wait = snapshot(target=ALL)
        assert_undecided(wait, *[[task("Failed", path="/a"), task("Running", path="/b")]] * 8)

    def test_the_success_of_one_binding_before_the_others_have_settled(self) -> None:
        wait = snapshot(old(path="/a"), old(path="/b"), target=ALL)
        assert_undecided(wait, *[[task(path="/a"), old(path="/b")]] * 2)


class TestSettling:
    @pytest.mark.parametrize("settle_polls", [1, 2, 5])
    def test_a_list_that_stays_empty_for_settle_polls_is_nothing_to_sync(self, settle_polls: int) -> None:
        verdict = decided(snapshot(settle_polls=settle_polls), *[[]] * settle_polls)
        assert verdict == Verdict(success=True, nothing_to_sync=True)

    def test_an_entry_that_stays_unchanged_is_nothing_to_sync(self) -> None:
        verdict = decided(snapshot(old()), [old()], [old()], [old()])
        assert verdict == Verdict(success=True, nothing_to_sync=True, tasks=(old(),))

    def test_other_syncs_do_not_unsettle_it(self) -> None:
        others = [[task("Running", context_id="SdkCtx-2")], [task(context_id="SdkCtx-2")], [task(path="/b")]]
        assert decided(snapshot(), *others).nothing_to_sync

    def test_a_poll_that_failed_counts_neither_for_nor_against(self) -> None:
        assert decided(snapshot(), [], TROUBLE, [], TROUBLE, []).nothing_to_sync

    def test_a_change_begins_the_count_anew(self) -> None:
        assert_undecided(snapshot(old("Running")), [], [], [old()], [old()])

    def test_an_unchanged_failure_is_no_success(self) -> None:
        verdict = decided(snapshot(old("Failed", error="disk full")), *[[old("Failed", error="disk full")]] * 3)
        assert verdict == Verdict.failure(
            "Sync.NotStarted",
            "the server started no new task for the upload of SdkCtx-1 at /data, and the one before it failed: "
            "SdkCtx-1 at /data: disk full",
            [old("Failed", error="disk full")],
        )

    def test_the_end_of_an_earlier_task_counts_once_no_other_begins(self) -> None:
        verdict = decided(snapshot(old("Running")), [old()], [old()], [old()])
        assert verdict == Verdict(success=True, nothing_to_sync=False, tasks=(old(),))

    def test_an_earlier_task_that_fails_in_the_end_is_no_success(self) -> None:
        verdict = decided(snapshot(old("Running")), *[[old("Failed", error="disk full")]] * 3)
        assert (verdict.success, verdict.error_message.partition("]")[0]) == (False, "[Sync.NotStarted")

    def test_after_the_end_of_an_earlier_task_the_next_one_is_ours(self) -> None:
        verdict = decided(snapshot(old("Running")), [old("Running")], [old()], [task("Running")], [task()])
        assert verdict.tasks == (task(),)

    def test_a_task_that_was_queued_before_the_trigger_counts_at_its_end(self) -> None:
        queued = task("Waiting", start=0)
        assert decided(snapshot(queued), [queued], [task("Running")], [task()]).success

    def test_an_earlier_task_that_never_ends_does_not_hold_up_ours(self) -> None:
        assert decided(snapshot(old("Running")), [old("Running"), task()]).success

    def test_an_end_that_was_reached_anew_is_ours_though_its_start_is_told_as_before(self) -> None:
        assert decided(snapshot(old()), [attrs.evolve(old(), finish_time=205)]).success

    def test_without_any_start_times_a_change_is_ours(self) -> None:
        assert decided(snapshot(task("Running", start=0)), [task(start=0)]).success

    def test_the_same_start_at_another_binding_is_another_task(self) -> None:
        wait = snapshot(old("Running", path="/a"), target=ALL, bindings=[("SdkCtx-1", "/b")])
        assert decided(wait, [old(path="/b")]).success

    def test_the_same_start_in_another_context_is_another_task(self) -> None:
        elsewhere = attrs.evolve(old(), context_id="SdkCtx-2")
        wait = snapshot(old("Running"), target=ALL, bindings=[("SdkCtx-2", "/data")])
        assert decided(wait, [elsewhere]).success


class TestSeveralBindings:
    def test_all_new_and_successful_is_success_at_once(self) -> None:
        both = [task(path="/a"), task(path="/b")]
        assert decided(snapshot(target=ALL, bindings=BOTH), both) == Verdict(success=True, tasks=tuple(both))

    def test_success_in_all_that_are_listed_is_none_before_the_last_is_listed(self) -> None:
        first, last = task(path="/a"), task("Failed", path="/b", error="disk full")
        wait = snapshot(target=ALL, bindings=BOTH)
        assert not decided(wait, [first], [first], [first, task("Running", path="/b")], [first, last]).success

    def test_where_the_bindings_are_unknown_the_list_must_hold_still_before_a_success(self) -> None:
        first, last = task(path="/a"), task("Failed", path="/b", error="disk full")
        assert not decided(snapshot(target=ALL), [first], [first], [first, last], [first, last], [first, last]).success

    def test_where_the_bindings_are_unknown_a_list_that_holds_still_is_believed(self) -> None:
        assert decided(snapshot(target=ALL), *[[task()]] * 3) == Verdict(success=True, tasks=(task(),))

    def test_what_was_unbound_long_ago_does_not_count(self) -> None:
        stale = old("Failed", path="/gone")
        wait = snapshot(stale, target=ALL, bindings=[("SdkCtx-1", "/a")])
        assert decided(wait, [stale, task(path="/a")]).tasks == (task(path="/a"),)

    def test_what_was_bound_meanwhile_counts(self) -> None:
        wait = snapshot(target=ALL, bindings=[("SdkCtx-1", "/a")])
        assert not decided(wait, [task(path="/a"), task("Failed", path="/new", error="disk full")]).success

    def test_a_session_with_nothing_bound_says_so(self) -> None:
        verdict = decided(snapshot(target=ALL, bindings=[]), [], [], [])
        note = "no context is bound in the session: there was nothing to sync"
        assert verdict == Verdict(success=True, nothing_to_sync=True, note=note)

    def test_the_same_path_in_two_contexts_is_two_bindings(self) -> None:
        other = attrs.evolve(old(), context_id="SdkCtx-2")
        assert_undecided(snapshot(old(), other, target=ALL), *[[task(), other]] * 2)

    def test_one_new_and_one_settled_is_success_with_something_synced(self) -> None:
        wait = snapshot(old(path="/a"), old(path="/b"), target=ALL)
        verdict = decided(wait, *[[task(path="/a"), old(path="/b")]] * 3)
        assert (verdict.success, verdict.nothing_to_sync) == (True, False)

    def test_one_new_and_one_that_failed_before_is_no_success(self) -> None:
        wait = snapshot(old(path="/a"), old("Failed", path="/b"), target=ALL)
        verdict = decided(wait, *[[task(path="/a"), old("Failed", path="/b")]] * 3)
        assert "SdkCtx-1 at /b: the service gave no reason" in verdict.error_message

    def test_one_failed_names_that_one_only(self) -> None:
        found = [task(path="/a"), task("Failed", path="/b", error="disk full")]
        verdict = decided(snapshot(target=ALL, bindings=BOTH), found)
        assert verdict == Verdict.failure(
            "Sync.Failed", "the upload of all bound contexts failed: SdkCtx-1 at /b: disk full", found
        )

    def test_one_failed_beside_a_settled_one_is_a_failure(self) -> None:
        wait = snapshot(old(path="/a"), old(path="/b"), target=ALL)
        verdict = decided(wait, *[[task("Failed", path="/a"), old(path="/b")]] * 3)
        assert verdict.error_message.startswith("[Sync.Failed]")

    def test_all_failed_tells_every_reason(self) -> None:
        found = [task("Failed", path="/a", error="disk full"), task("Failed", path="/b", error="no such bucket")]
        message = decided(snapshot(target=ALL, bindings=BOTH), found).error_message
        assert message.endswith("SdkCtx-1 at /a: disk full; SdkCtx-1 at /b: no such bucket")

    def test_an_earlier_task_that_never_ends_in_one_of_them_is_waited_for(self) -> None:
        wait = snapshot(old("Running", path="/a"), old(path="/b"), target=ALL)
        assert_undecided(wait, *[[old("Running", path="/a"), task(path="/b")]] * 8)


class TestVanished:
    """What was seen under way and is gone without its end having been told."""

    @pytest.mark.parametrize("left", [[], [old()]], ids=["an empty list", "the entry of before"])
    def test_a_task_of_ours_that_vanished_is_unproven(self, left: list[ContextStatusData]) -> None:
        verdict = decided(snapshot(*left), [task("Running")], left, left, left)
        assert verdict == Verdict.failure(
            "Sync.Unproven",
            "the server no longer lists what it showed of the upload of SdkCtx-1 at /data, and never told how it "
            "ended: SdkCtx-1 at /data was Running; nothing proves that it was done: call sync() again",
            left,
        )

    def test_a_queued_task_that_vanished_is_unproven(self) -> None:
        assert decided(snapshot(), [task("Waiting", start=0)], [], [], []).error_message.startswith("[Sync.Unproven]")

    def test_an_earlier_task_that_vanished_is_unproven(self) -> None:
        assert decided(snapshot(old("Running")), [], [], []).error_message.startswith("[Sync.Unproven]")

    def test_an_earlier_task_that_vanished_does_not_matter_once_ours_ended(self) -> None:
        assert decided(snapshot(old("Running")), [task()]).success

    def test_one_of_ours_that_vanished_spoils_the_success_of_another(self) -> None:
        ended = task(start=300)
        verdict = decided(snapshot(), [task("Running")], [ended], [ended], [ended])
        assert verdict.error_message.startswith("[Sync.Unproven]")

    def test_a_task_that_comes_back_and_ends_is_success(self) -> None:
        assert decided(snapshot(), [task("Running")], [], [], [task()]).success

    def test_an_end_that_was_told_stands_though_its_entry_vanishes(self) -> None:
        wait = snapshot(target=ALL, bindings=BOTH)
        polls = [[task(path="/a"), task("Running", path="/b")], [task("Running", path="/b")], [task(path="/b")]]
        assert decided(wait, *polls).tasks == (task(path="/a"), task(path="/b"))

    def test_a_failure_that_was_told_stands_though_a_success_follows(self) -> None:
        wait = snapshot(target=ALL, bindings=BOTH)
        failed = task("Failed", path="/a", error="disk full")
        polls = [[failed, task("Running", path="/b")], [task(path="/a"), task(path="/b")]]
        assert "disk full" in decided(wait, *polls).error_message

    def test_an_earlier_failure_that_vanished_is_still_a_failure(self) -> None:
        verdict = decided(snapshot(old("Failed", error="disk full")), [], [], [])
        assert verdict.error_message.startswith("[Sync.NotStarted]")


class TestBlindSnapshot:
    """The statuses were not looked at before the trigger."""

    def test_what_is_there_from_the_start_proves_nothing(self) -> None:
        verdict = decided(blind(), [task()], [task()], [task()])
        assert verdict.error_message == (
            "[Sync.Unproven] the server named no task for the upload of SdkCtx-1 at /data, and none of those it lists "
            "began since; nothing proves that it was done: call sync() again"
        )

    def test_a_task_that_was_running_at_the_first_poll_proves_nothing(self) -> None:
        verdict = decided(blind(), [task("Running")], [task()], [task()], [task()])
        assert verdict.error_message.startswith("[Sync.Unproven]")

    def test_a_task_that_began_since_the_first_poll_is_ours(self) -> None:
        assert decided(blind(), [old()], [task("Running")], [task()]).success

    def test_a_first_poll_that_failed_is_not_the_snapshot(self) -> None:
        assert_undecided(blind(), TROUBLE, [task()])

    def test_an_unproven_binding_spoils_the_others(self) -> None:
        polls = [[old(path="/a")], *[[old(path="/a"), task(path="/b")]] * 3]
        assert not decided(blind(target=ALL), *polls).success

    def test_a_list_that_stays_empty_is_nothing_to_sync(self) -> None:
        assert decided(blind(), [], [], []) == Verdict(success=True, nothing_to_sync=True)

    def test_a_failure_from_before_is_told(self) -> None:
        verdict = decided(blind(), *[[old("Failed", error="disk full")]] * 3)
        assert "disk full" in verdict.error_message


class TestSnapshotTimeout:
    def test_it_comes_after_max_retries_polls(self) -> None:
        verdict = decided(snapshot(max_retries=3), *[[task("Running")]] * 3)
        assert verdict == Verdict.failure(
            "Sync.Timeout",
            "the upload of SdkCtx-1 at /data was not proven done within 3 polls, 0.3 s; "
            "last seen: SdkCtx-1 at /data was Running",
            [task("Running")],
        )

    def test_polls_that_failed_use_up_the_budget(self) -> None:
        verdict = decided(snapshot(max_retries=3), *[TROUBLE] * 3)
        assert verdict.error_message.startswith("[Sync.Timeout]")

    def test_it_says_when_no_task_was_ever_listed(self) -> None:
        verdict = decided(snapshot(max_retries=2, settle_polls=5), [], [])
        assert verdict.error_message.endswith("last seen: no task was ever listed")

    def test_it_says_what_was_seen_before_polls_failed_and_why_they_did(self) -> None:
        verdict = decided(snapshot(max_retries=2), [task("Running")], TROUBLE)
        assert verdict.error_message.endswith(
            "last seen: SdkCtx-1 at /data was Running; the last poll failed: the connection broke"
        )

    def test_it_is_silent_about_trouble_that_passed(self) -> None:
        verdict = decided(snapshot(max_retries=2), TROUBLE, [task("Running")])
        assert "broke" not in verdict.error_message

    def test_it_quotes_a_status_that_nobody_knows(self) -> None:
        assert "was success" in decided(snapshot(max_retries=1), [task("success")]).error_message

    def test_it_says_when_there_was_no_status(self) -> None:
        assert "was without a status" in decided(snapshot(max_retries=1), [task("")]).error_message


class TestTaskWait:
    def test_its_task_succeeded(self) -> None:
        assert decided(tasks("t-1"), [task(task_id="t-1")]) == Verdict(success=True, tasks=(task(task_id="t-1"),))

    def test_its_task_failed(self) -> None:
        failed = task("Failed", task_id="t-1", error="disk full")
        assert decided(tasks("t-1"), [failed]) == Verdict.failure(
            "Sync.Failed", "the upload of SdkCtx-1 at /data failed: SdkCtx-1 at /data: disk full", [failed]
        )

    def test_it_waits_for_all_its_tasks(self) -> None:
        running, ended = task("Running", task_id="t-2", path="/b"), task(task_id="t-1", path="/a")
        assert_undecided(tasks("t-1", "t-2", target=ALL), *[[ended, running]] * 8)

    def test_it_is_still_waiting_for_those_that_have_not_ended(self) -> None:
        wait = tasks("t-1", "t-2", "t-3", target=ALL)
        judge(wait, [task(task_id="t-1"), task("Running", task_id="t-2")], 0.0)
        assert wait.pending == ("t-2", "t-3")

    def test_a_task_that_ended_need_not_be_listed_again(self) -> None:
        wait = tasks("t-1", "t-2", target=ALL)
        assert decided(wait, [task(task_id="t-1", path="/a")], [task(task_id="t-2", path="/b")]).success

    def test_one_failure_among_several_is_a_failure(self) -> None:
        wait = tasks("t-1", "t-2", target=ALL)
        assert not decided(wait, [task(task_id="t-1"), task("Failed", task_id="t-2", path="/b")]).success

    def test_nothing_to_sync_is_passed_on(self) -> None:
        assert decided(tasks("t-1"), [task(task_id="t-1", nothing=True)]).nothing_to_sync

    def test_nothing_to_sync_means_in_none_of_its_tasks(self) -> None:
        found = [task(task_id="t-1", nothing=True), task(task_id="t-2", path="/b")]
        assert not decided(tasks("t-1", "t-2", target=ALL), found).nothing_to_sync

    def test_the_failure_of_another_task_is_not_its_own(self) -> None:
        verdict = decided(tasks("t-1"), [task("Failed", task_id="t-9"), task(task_id="t-1")])
        assert verdict == Verdict(success=True, tasks=(task(task_id="t-1"),))

    @pytest.mark.parametrize(
        "other",
        [task(task_id="t-9"), task(), task(task_id="T-1")],
        ids=["another id", "no id", "another spelling"],
    )
    def test_the_success_of_another_task_is_no_evidence(self, other: ContextStatusData) -> None:
        assert_undecided(tasks("t-1"), [other])

    @pytest.mark.parametrize(
        "other",
        [
            task(task_id="t-1", task_type="download"),
            task(task_id="t-1", context_id="SdkCtx-2"),
            task(task_id="t-1", path="/b"),
        ],
        ids=["task type", "context", "path"],
    )
    def test_its_id_on_an_entry_of_something_else_is_no_evidence(self, other: ContextStatusData) -> None:
        assert_undecided(tasks("t-1"), [other])

    def test_an_id_that_was_told_failed_has_failed_whatever_is_told_later(self) -> None:
        wait = tasks("t-1", "t-2", target=ALL)
        failed = task("Failed", task_id="t-1", error="disk full")
        verdict = decided(wait, [failed], [task(task_id="t-1"), task(task_id="t-2", path="/b")])
        assert verdict.error_message.endswith("SdkCtx-1 at /data: disk full")

    def test_a_success_that_turns_into_a_failure_has_failed(self) -> None:
        wait = tasks("t-1", "t-2", target=ALL)
        polls = [[task(task_id="t-1")], [task("Failed", task_id="t-1"), task(task_id="t-2", path="/b")]]
        assert not decided(wait, *polls).success

    def test_no_task_at_all_means_that_nothing_is_bound(self) -> None:
        verdict = decided(tasks(target=ALL), [])
        assert (verdict.nothing_to_sync, verdict.note) == (
            True,
            "no context is bound in the session: there was nothing to sync",
        )

    def test_an_empty_list_is_no_evidence_however_often_it_comes(self) -> None:
        assert_undecided(tasks("t-1"), *[[]] * 100)

    def test_an_entry_that_stays_unchanged_is_no_evidence_however_often_it_comes(self) -> None:
        assert_undecided(tasks("t-1"), *[[task("Running", task_id="t-1")]] * 100)

    @pytest.mark.parametrize("status", NOT_SUCCESS)
    def test_a_status_that_is_not_exactly_success_is_no_evidence(self, status: str) -> None:
        assert_undecided(tasks("t-1"), [task(status, task_id="t-1")])

    def test_a_poll_that_failed_is_no_evidence(self) -> None:
        assert_undecided(tasks("t-1"), *[TROUBLE] * 100)

    def test_time_left_runs_down_to_nothing(self) -> None:
        assert [tasks("t-1").time_left(now) for now in (0.0, 4.0, 10.0, 11.0)] == [10.0, 6.0, 0.0, 0.0]


class TestTaskWaitTimeout:
    def test_it_comes_when_the_time_is_up_however_few_the_polls(self) -> None:
        wait = tasks("t-1")
        assert_undecided(wait, [task("Running", task_id="t-1")], now=9.9)
        assert decided(wait, [task("Running", task_id="t-1")], now=10.0) == Verdict.failure(
            "Sync.Timeout",
            "the upload of SdkCtx-1 at /data was not proven done within 10 polls, 10 s; "
            "last seen: SdkCtx-1 at /data was Running",
            [task("Running", task_id="t-1")],
        )

    def test_success_that_is_seen_when_the_time_is_up_still_counts(self) -> None:
        assert decided(tasks("t-1"), [task(task_id="t-1")], now=99.0).success

    def test_polls_that_failed_use_up_the_time(self) -> None:
        verdict = decided(tasks("t-1"), TROUBLE, now=10.0)
        assert verdict.error_message.endswith(
            "last seen: task t-1 was never listed; the last poll failed: the connection broke"
        )

    def test_it_tells_each_task_that_was_never_listed(self) -> None:
        verdict = decided(tasks("t-1", "t-2", "t-3", target=ALL), [task(task_id="t-2")], now=10.0)
        assert verdict.error_message.endswith(
            "SdkCtx-1 at /data was Success; task t-1 was never listed; task t-3 was never listed"
        )

    def test_it_is_silent_about_trouble_that_passed(self) -> None:
        wait = tasks("t-1")
        assert_undecided(wait, TROUBLE)
        assert "broke" not in decided(wait, [], now=10.0).error_message

    def test_with_no_time_between_polls_their_number_counts(self) -> None:
        verdict = decided(tasks("t-1", max_retries=3, retry_interval=0), [], [], [])
        assert verdict.error_message.startswith("[Sync.Timeout]")

    def test_with_no_time_between_polls_those_that_failed_count_too(self) -> None:
        verdict = decided(tasks("t-1", max_retries=3, retry_interval=0), TROUBLE, [], TROUBLE)
        assert verdict.error_message.startswith("[Sync.Timeout]")


@pytest.mark.parametrize("make", [lambda: snapshot(settle_polls=1), lambda: tasks("t-1")], ids=["snapshot", "tasks"])
class TestErrors:
    @pytest.mark.parametrize("error", PERMANENT, ids=lambda error: type(error).__name__)
    def test_an_error_that_cannot_heal_ends_the_wait_at_once(
        self, make: Callable[[], Wait], error: CtxmgrError
    ) -> None:
        assert decided(make(), error) == Verdict(success=False, error_message=str(error))

    def test_closing_the_client_ends_the_wait_at_once(self, make: Callable[[], Wait]) -> None:
        verdict = decided(make(), ClosedError("the client was closed while it waited"))
        assert verdict == Verdict.failure("Client.Closed", "the client was closed while it waited")

    @pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
    def test_an_error_that_may_pass_is_sat_out(self, make: Callable[[], Wait], error: CtxmgrError) -> None:
        assert_undecided(make(), *[error] * 8)


class TestVerdict:
    def test_a_transport_failure_is_told_under_its_type(self) -> None:
        verdict = Verdict.of_error(RequestTimeout("no answer within 60 s"))
        assert verdict == Verdict(success=False, error_message="[Client.RequestTimeout] no answer within 60 s")

    def test_the_failure_of_the_service_is_told_in_its_own_words(self) -> None:
        assert Verdict.of_error(ServerError("InternalError", "oops")).error_message == "[InternalError] oops"


class TestPace:
    def test_a_server_that_does_not_park_is_asked_ever_less_often(self) -> None:
        pace = Pace()
        delays = [pace.after(0.001, 10.0) for _ in range(12)]
        assert delays == sorted(delays)
        assert (delays[0], delays[-1]) == (0.02, 0.5)

    def test_a_request_that_was_parked_to_the_end_is_followed_by_the_next_at_once(self) -> None:
        assert Pace().after(10.0, 10.0) == 0.0

    def test_parking_to_the_end_brings_back_the_quick_pace(self) -> None:
        pace = Pace()
        for _ in range(12):
            pace.after(0.0, 10.0)
        pace.after(10.0, 10.0)
        assert pace.after(0.0, 10.0) == 0.02

    def test_a_request_that_was_not_to_park_is_never_followed_at_once(self) -> None:
        assert Pace().after(5.0, 0.0) == 0.02


STATUSES = st.builds(
    task,
    st.sampled_from(["Success", "Failed", "Running", "success", ""]),
    path=st.sampled_from(["/data", "/data/", "/b"]),
    context_id=st.sampled_from(["SdkCtx-1", "SdkCtx-2"]),
    task_type=st.sampled_from(["upload", "download"]),
    start=st.sampled_from([0, 100, 200]),
    task_id=st.sampled_from(["", "t-1", "t-2"]),
)
POLLS = st.lists(st.lists(STATUSES, max_size=4) | st.sampled_from(PASSING), max_size=12)
TARGETS = st.sampled_from([ALL, ONE])


def first_verdict(wait: Wait, polls: Sequence[Found]) -> Verdict | None:
    return next((verdict for found in polls if (verdict := judge(wait, found, 0.0)) is not None), None)


def without(polls: Sequence[Found], evidence: Sequence[ContextStatusData]) -> list[Found]:
    """The same polls with nothing in them that could be evidence."""
    return [
        found if isinstance(found, CtxmgrError) else [each for each in found if each not in evidence] for found in polls
    ]


@given(TARGETS, st.lists(STATUSES, max_size=4), POLLS, st.integers(1, 4))
def test_without_a_new_success_of_its_own_nothing_is_claimed(
    target: Target, before: list[ContextStatusData], polls: list[Found], settle_polls: int
) -> None:
    listed = [each for found in polls if not isinstance(found, CtxmgrError) for each in found]
    evidence = [each for each in listed if target.matches(each) and each.status == "Success" and each not in before]
    wait = snapshot(*before, target=target, settle_polls=settle_polls)
    verdict = first_verdict(wait, without(polls, evidence))
    assert verdict is None or not verdict.success or verdict.nothing_to_sync


@given(TARGETS, st.lists(STATUSES, max_size=4), POLLS)
def test_nothing_to_sync_is_claimed_only_of_what_was_there_before(
    target: Target, before: list[ContextStatusData], polls: list[Found]
) -> None:
    verdict = first_verdict(snapshot(*before, target=target), polls)
    if verdict is not None and verdict.nothing_to_sync:
        assert all(each in before and each.status == "Success" for each in verdict.tasks)


@given(TARGETS, POLLS)
def test_without_the_success_of_each_of_its_tasks_nothing_is_claimed(target: Target, polls: list[Found]) -> None:
    listed = [each for found in polls if not isinstance(found, CtxmgrError) for each in found]
    evidence = [each for each in listed if each.task_id == "t-2" and target.matches(each) and each.status == "Success"]
    verdict = first_verdict(tasks("t-1", "t-2", target=target), without(polls, evidence))
    assert verdict is None or not verdict.success


@given(TARGETS, st.lists(STATUSES, max_size=4) | st.none(), POLLS, st.integers(1, 12))
def test_every_wait_ends_within_its_polls(
    target: Target, before: list[ContextStatusData] | None, polls: list[Found], max_retries: int
) -> None:
    wait = SnapshotWait(target, before, Budget(max_retries, 100), settle_polls=3)
    assert first_verdict(wait, polls) is not None or len(polls) < max_retries
