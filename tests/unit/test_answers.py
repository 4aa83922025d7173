"""Results made of answers."""

from __future__ import annotations

import pytest

from ctxmgr import Context, ContextListResult, ContextResult, OperationResult, ProtocolError, RevisionListResult
from ctxmgr.answers import page_of, result_of
from ctxmgr.protocol import answer_from_document
from ctxmgr.results import Revision
from ctxmgr.structuring import structure
from tests.support.answers import ok, refused

CONTEXT = {"Id": "c-1", "Name": "one"}


def test_a_success_shows_its_fields() -> None:
    answer = answer_from_document(ok(CONTEXT))
    result = result_of(answer, ContextResult, lambda: {"context": structure(answer.data, Context)})
    assert (result.success, result.context.name, result.request_id) == (True, "one", answer.request_id)


def test_a_failure_keeps_its_reason_and_its_data_is_not_read() -> None:
    answer = answer_from_document(refused("InvalidContext.NotFound") | {"Data": "no object"})
    result = result_of(answer, ContextResult, lambda: {"context": structure(answer.data, Context)})
    assert (result.success, result.error_message) == (False, answer.error_message)
    assert result.request_id == answer.request_id


def test_the_failure_of_a_step_before_is_the_failure_of_the_whole() -> None:
    before = ContextResult(request_id="R-1", error_message="[Sync.Failed] the disk is full")
    assert result_of(before, OperationResult) == OperationResult(
        request_id="R-1", error_message="[Sync.Failed] the disk is full"
    )


class TestPage:
    def test_it_has_its_items_and_where_the_next_begins(self) -> None:
        answer = answer_from_document(ok([CONTEXT]) | {"NextToken": "t", "TotalCount": 7})
        page = page_of(answer, ContextListResult, "contexts", Context, "TotalCount")
        assert ([each.id for each in page.contexts], page.next_token, page.total_count) == (["c-1"], "t", 7)

    def test_the_last_one_has_no_token(self) -> None:
        answer = answer_from_document(ok([]) | {"NextToken": None})
        assert page_of(answer, RevisionListResult, "revisions", Revision).next_token == ""

    def test_the_items_of_a_failure_are_not_read(self) -> None:
        answer = answer_from_document(refused("Any") | {"Data": "no list"})
        assert not page_of(answer, ContextListResult, "contexts", Context)

    def test_an_item_that_does_not_fit_is_told_by_its_place(self) -> None:
        answer = answer_from_document(ok([CONTEXT, 7]))
        with pytest.raises(ProtocolError, match=r"Data\[1\]"):
            page_of(answer, ContextListResult, "contexts", Context)
