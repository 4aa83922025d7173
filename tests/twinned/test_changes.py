"""Clearing contexts, their revisions, and the way back, on the embedded service and on one without task ids."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from ctxmgr import ApiError, ArgumentError, ArgumentTypeError, Client, Context, NotFoundError
from tests.support.answers import ok
from tests.support.scripted import ScriptedServer


@pytest.fixture
def filled(local: Client, project: Context) -> Context:
    """A context with two revisions."""
    local.files.upload(project, "/a", b"one")
    local.files.upload(project, "/d/b", b"two")
    return project


class TestClear:
    def test_the_context_is_empty_and_the_counts_say_so(self, local: Client, filled: Context) -> None:
        result = local.contexts.clear(filled)
        assert (result.success, result.deleted, result.revision, result.pending) == (True, 2, 3, False)
        page = local.files.list(filled)
        assert page.files == []

    def test_clearing_an_empty_one_is_nothing_to_do(self, local: Client, project: Context) -> None:
        result = local.contexts.clear(project)
        assert (result.success, result.nothing_to_sync) == (True, True)

    def test_without_waiting_it_is_accepted_and_waited_for_later(self, local: Client, filled: Context) -> None:
        result = local.contexts.clear(filled, wait=False)
        assert (result.success, result.pending) == (True, True)
        context = local.contexts.wait_until_available(filled).context
        assert context.state == "available"
        page = local.files.list(filled)
        assert page.files == []

    def test_a_context_that_is_not_there_is_a_failure(self, local: Client) -> None:
        result = local.contexts.clear("SdkCtx-absent")
        with pytest.raises(NotFoundError):
            result.raise_for_error()

    @pytest.mark.parametrize("timeout", [-1, float("inf"), "soon", True])
    def test_a_timeout_that_is_none_is_an_error_of_the_caller(
        self, local: Client, project: Context, timeout: float
    ) -> None:
        with pytest.raises(ArgumentError, match="timeout"):
            local.contexts.clear(project, timeout=timeout)


class TestRevert:
    def test_a_clear_is_undone(self, local: Client, filled: Context, tmp_path: Path) -> None:
        local.contexts.clear(filled)
        result = local.contexts.revert(filled, 2)
        assert (result.success, result.files, result.revision) == (True, 2, 4)
        local.files.download(filled, "/d/b", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"two"

    def test_a_revision_of_the_list_is_gone_back_to(self, local: Client, filled: Context) -> None:
        page = local.contexts.revisions(filled)
        assert [(revision.number, revision.note, revision.current) for revision in page.revisions] == [
            (2, "file", True),
            (1, "file", False),
        ]
        result = local.contexts.revert(filled, page.revisions[-1])
        assert result.success
        left = [file.path for file in local.files.iter(filled)]
        assert left == ["/a"]

    def test_all_revisions_are_gone_through(self, local: Client, filled: Context) -> None:
        first = local.contexts.revisions(filled, max_results=1)
        second = local.contexts.revisions(filled, max_results=1, next_token=first.next_token)
        assert second.next_token == ""
        numbers = [revision.number for revision in local.contexts.iter_revisions(filled)]
        assert numbers == [2, 1] == [first.revisions[0].number, second.revisions[0].number]

    def test_one_that_never_was_is_a_failure(self, local: Client, filled: Context) -> None:
        result = local.contexts.revert(filled, 7)
        assert result.error_message.startswith("[InvalidRevision.NotFound]")

    def test_what_is_no_revision_is_an_error_of_the_caller(self, local: Client, filled: Context) -> None:
        with pytest.raises(ArgumentTypeError, match="Revision"):
            local.contexts.revert(filled, "2")  # type: ignore[arg-type]  # the error is the test

    def test_the_revisions_of_no_context_raise_why(self, local: Client) -> None:
        with pytest.raises(ApiError, match="NotFound"):
            [revision.number for revision in local.contexts.iter_revisions("SdkCtx-absent")]


def state(name: str) -> dict[str, object]:
    """What GetContext answers while a context is in a state."""
    return ok({"Id": "SdkCtx-1", "Name": "project", "State": name})


class TestWithoutTaskIds:
    def test_a_clear_is_done_when_the_context_is_no_longer_clearing(
        self, client: Client, server: ScriptedServer
    ) -> None:
        server.script("ClearContext", ok())
        server.script("GetContext", state("available"), state("clearing"), state("clearing"), state("available"))
        result = client.contexts.clear("SdkCtx-1")
        assert result.success
        assert len(server.asked("GetContext")) == 4

    def test_one_that_is_never_seen_clearing_is_believed_after_several_looks(
        self, client: Client, server: ScriptedServer
    ) -> None:
        server.script("ClearContext", ok())
        server.script("GetContext", state("available"))
        result = client.contexts.clear("SdkCtx-1")
        assert result.success
        assert len(server.asked("GetContext")) == 3

    def test_one_that_does_not_end_is_a_failure_that_says_so(self, client: Client, server: ScriptedServer) -> None:
        server.script("ClearContext", ok())
        server.script("GetContext", state("clearing"))
        result = client.contexts.clear("SdkCtx-1", timeout=0)
        assert result.error_message == "[Context.Timeout] the context SdkCtx-1 was still clearing after 0 s"


class TestUpdate:
    def test_a_context_gets_the_name_of_its_object(self, local: Client, project: Context) -> None:
        result = local.contexts.update(attrs.evolve(project, name="another"))
        assert result.success
        found = local.contexts.get(context_id=project.id).context
        assert found.name == "another"
