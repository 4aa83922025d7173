"""What calls give back: fields, sums over tasks, and failures as typed exceptions."""

from __future__ import annotations

import attrs
import pytest

from ctxmgr import (
    ApiError,
    Context,
    ContextInfoResult,
    ContextResult,
    ContextStatusData,
    ContextSyncResult,
    CtxmgrError,
    NotFoundError,
    OperationResult,
    SyncFailed,
)
from ctxmgr.results import ApiResponse, Result

FAILED = ContextSyncResult(request_id="R-1", error_message="[InvalidMcpSession.NotFound] no such session: s-1")


def synced(*tasks: ContextStatusData) -> ContextSyncResult:
    return ContextSyncResult(success=True, tasks=tasks)


class TestRaiseForError:
    def test_a_success_is_given_back(self) -> None:
        result = OperationResult(success=True)
        assert result.raise_for_error() is result

    def test_a_failure_is_raised_by_its_code(self) -> None:
        with pytest.raises(NotFoundError, match=r"^\[InvalidMcpSession\.NotFound\] no such session: s-1$"):
            FAILED.raise_for_error()

    def test_the_exception_carries_code_message_and_request_id(self) -> None:
        with pytest.raises(ApiError) as caught:
            FAILED.raise_for_error()
        error = caught.value
        assert (error.code, error.message, error.request_id) == (
            "InvalidMcpSession.NotFound",
            "no such session: s-1",
            "R-1",
        )

    def test_a_sync_that_was_not_proven_is_its_own_kind(self) -> None:
        with pytest.raises(SyncFailed):
            ContextSyncResult(error_message="[Sync.Timeout] not proven done").raise_for_error()

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("", "the service gave no reason"),
            ("disk full", "disk full"),
            ("[disk full", "[disk full"),
            ("[a] [b] c", "[a] [b] c"),
        ],
    )
    def test_a_message_in_another_form_is_raised_as_it_is(self, text: str, shown: str) -> None:
        with pytest.raises(CtxmgrError) as caught:
            OperationResult(error_message=text).raise_for_error()
        assert str(caught.value) == shown


class TestDefaults:
    def test_a_result_is_a_failure_until_it_is_said_to_be_a_success(self) -> None:
        assert not ContextSyncResult().success

    def test_the_tasks_of_a_session_are_a_success_unless_said_otherwise(self) -> None:
        assert ContextInfoResult(context_status_data=[]).success

    def test_two_results_share_no_list(self) -> None:
        assert ContextInfoResult().context_status_data is not ContextInfoResult().context_status_data

    @pytest.mark.parametrize("kind", [ContextInfoResult, ContextSyncResult])
    def test_results_are_attrs_classes_below_api_response(self, kind: type[Result]) -> None:
        assert issubclass(kind, ApiResponse)
        assert attrs.has(kind)


class TestContextStatusData:
    @pytest.mark.parametrize("status", ["Success", "Failed"])
    def test_two_statuses_are_final(self, status: str) -> None:
        assert ContextStatusData(status=status).is_terminal

    @pytest.mark.parametrize("status", ["", "success", "FAILED", "Running", "Waiting", "Cancelled", "Success "])
    def test_anything_else_is_still_going_on(self, status: str) -> None:
        assert not ContextStatusData(status=status).is_terminal


class TestContextSyncResult:
    def test_the_ids_of_its_tasks_leave_out_those_without(self) -> None:
        tasks = [ContextStatusData(task_id=task_id) for task_id in ("t-1", "", "t-2")]
        assert synced(*tasks).task_ids == ("t-1", "t-2")

    def test_its_revision_is_the_highest(self) -> None:
        assert synced(ContextStatusData(revision=3), ContextStatusData(revision=7)).revision == 7

    def test_without_tasks_its_revision_is_0(self) -> None:
        assert synced().revision == 0

    @pytest.mark.parametrize("count", ["files", "deleted", "bytes"])
    def test_counts_are_summed_over_its_tasks(self, count: str) -> None:
        tasks = [ContextStatusData(**{count: number}) for number in (2, 3)]  # type: ignore[arg-type]  # by name
        assert getattr(synced(*tasks), count) == 5

    def test_what_was_skipped_is_gathered_from_its_tasks(self) -> None:
        tasks = [ContextStatusData(skipped=((path, "a socket"),)) for path in ("/a", "/b")]
        assert synced(*tasks).skipped == (("/a", "a socket"), ("/b", "a socket"))


class TestContextResult:
    def test_its_context_is_there_on_success(self) -> None:
        context = Context(id="SdkCtx-1", name="project")
        assert ContextResult(success=True, context=context).context is context

    def test_asking_a_failure_for_its_context_raises_why_there_is_none(self) -> None:
        result = ContextResult(error_message="[InvalidContext.NotFound] no context is named x")
        with pytest.raises(NotFoundError, match="no context is named x"):
            result.context  # noqa: B018  (reading it is the test)
