"""The history of contexts: what changed, forks, and the way back, in this process and behind HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ctxmgr import ArgumentError, ArgumentTypeError, Client, ConflictError, Context, NotFoundError


@pytest.fixture
def edited(keeper: Client, tmp_path: Path) -> Context:
    """A context with three revisions: two files put, then one changed, one added and one deleted together, then one."""
    root = tmp_path / "work"
    root.mkdir()
    context = keeper.contexts.create("edited").context
    session = keeper.sessions.create(server_root=root, bind={"/": context}).session
    (root / "changed").write_text("one")
    (root / "gone").write_text("two")
    result = session.context.sync()
    result.raise_for_error()
    (root / "changed").write_text("three")
    (root / "gone").unlink()
    (root / "added").write_text("four")
    (root / "added").chmod(0o600)
    result = session.context.sync()
    result.raise_for_error()
    (root / "added").chmod(0o644)
    result = session.context.sync()
    result.raise_for_error()
    session.delete()
    return context


class TestHistory:
    def test_each_revision_says_what_it_changed(self, keeper: Client, edited: Context) -> None:
        page = keeper.contexts.history(edited)
        told = [(each.number, each.added, each.changed, each.deleted, each.bytes) for each in page.revisions]
        assert told == [(3, 0, 1, 0, 4), (2, 1, 1, 1, 9), (1, 2, 0, 0, 6)]

    def test_each_revision_says_which_directory_it_came_from(
        self, keeper: Client, edited: Context, tmp_path: Path
    ) -> None:
        page = keeper.contexts.history(edited)
        assert {each.directory for each in page.revisions} == {str(tmp_path / "work")}
        assert len({each.workspace for each in page.revisions}) == 1

    def test_a_directory_that_this_process_keeps_for_a_service_is_told_too(
        self, keeper: Client, tmp_path: Path
    ) -> None:
        (tmp_path / "here").mkdir()
        context = keeper.contexts.create("kept").context
        session = keeper.sessions.create(root=tmp_path / "here", bind={"/": context}).session
        (tmp_path / "here" / "file").write_text("content")
        result = session.context.sync()
        result.raise_for_error()
        page = keeper.contexts.history(context)
        assert [each.directory for each in page.revisions] == [str(tmp_path / "here")]

    def test_a_page_leads_to_the_next(self, keeper: Client, edited: Context) -> None:
        first = keeper.contexts.history(edited, max_results=2)
        second = keeper.contexts.history(edited, max_results=2, next_token=first.next_token)
        assert ([each.number for each in second.revisions], second.next_token) == ([1], "")
        assert second.revisions[0].added == 2

    def test_the_history_of_no_context_is_a_failure(self, keeper: Client) -> None:
        result = keeper.contexts.history("SdkCtx-absent")
        with pytest.raises(NotFoundError):
            result.raise_for_error()


class TestDiff:
    def test_it_names_what_was_added_changed_and_deleted(self, keeper: Client, edited: Context) -> None:
        page = keeper.contexts.diff(edited, 1, 2)
        assert [(each.path, each.change) for each in page.changes] == [
            ("/added", "added"),
            ("/changed", "changed"),
            ("/gone", "deleted"),
        ]
        added, changed, gone = page.changes
        assert (changed.before is not None and changed.before.size, changed.after and changed.after.size) == (3, 5)
        assert (added.before, gone.after) == (None, None)
        assert (page.from_revision, page.to_revision) == (1, 2)

    def test_without_revisions_it_tells_of_the_latest_change(self, keeper: Client, edited: Context) -> None:
        page = keeper.contexts.diff(edited)
        assert [(each.path, each.change) for each in page.changes] == [("/added", "mode")]
        (added,) = page.changes
        assert (added.before is not None and added.before.mode, added.after and added.after.mode) == ("0600", "0644")

    def test_backwards_it_is_the_other_way_round(self, keeper: Client, edited: Context) -> None:
        page = keeper.contexts.diff(edited, 2, 1)
        assert [each.change for each in page.changes] == ["deleted", "changed", "added"]

    def test_from_the_empty_context_all_is_added(self, keeper: Client, edited: Context) -> None:
        page = keeper.contexts.diff(edited, 0)
        assert {each.change for each in page.changes} == {"added"}
        assert page.to_revision == 3

    def test_what_went_and_came_back_is_no_difference(self, keeper: Client, edited: Context) -> None:
        result = keeper.contexts.revert(edited, 1)
        result.raise_for_error()
        page = keeper.contexts.diff(edited, 1, 4)
        assert page.changes == []

    def test_all_pages_together_are_the_whole_and_of_one_revision(self, keeper: Client, edited: Context) -> None:
        whole = keeper.contexts.diff(edited, 1)
        first = keeper.contexts.diff(edited, 1, max_results=1)
        put = keeper.files.upload(edited, "/zzz", b"later")
        put.raise_for_error()
        found = list(first.changes)
        token = first.next_token
        while token:
            page = keeper.contexts.diff(edited, 1, max_results=1, next_token=token)
            found += page.changes
            token = page.next_token
        assert found == whole.changes

    def test_going_through_all_turns_the_pages(self, keeper: Client, edited: Context) -> None:
        paths = [each.path for each in keeper.contexts.iter_diff(edited, 1, 2)]
        assert paths == ["/added", "/changed", "/gone"]

    def test_a_revision_that_is_not_there_is_a_failure(self, keeper: Client, edited: Context) -> None:
        result = keeper.contexts.diff(edited, 1, 9)
        assert result.error_message.startswith("[InvalidRevision.NotFound]")


class TestRevert:
    def test_it_is_a_new_head_and_undone_the_same_way(self, keeper: Client, edited: Context, tmp_path: Path) -> None:
        reverted = keeper.contexts.revert(edited, 1)
        assert (reverted.success, reverted.revision) == (True, 4)
        keeper.files.download(edited, "/gone", tmp_path / "gone")
        assert (tmp_path / "gone").read_text() == "two"
        undone = keeper.contexts.revert(edited, 3)
        assert undone.success
        page = keeper.contexts.diff(edited, 3, undone.revision)
        assert page.changes == []

    def test_a_moment_stands_for_what_was_the_latest_then(self, keeper: Client, edited: Context) -> None:
        now = datetime.now(timezone.utc) + timedelta(seconds=1)
        result = keeper.contexts.revert(edited, now)
        assert (result.success, result.nothing_to_sync) == (True, True)

    def test_a_moment_before_the_first_revision_is_a_failure(self, keeper: Client, edited: Context) -> None:
        result = keeper.contexts.revert(edited, datetime(2001, 1, 1, tzinfo=timezone.utc))
        assert result.error_message.startswith("[InvalidRevision.NotFound]")
        assert "2001-01-01T00:00:00Z" in result.error_message

    def test_a_moment_without_a_zone_is_an_error_of_the_caller(self, keeper: Client, edited: Context) -> None:
        with pytest.raises(ArgumentError, match="time zone"):
            keeper.contexts.revert(edited, datetime(2001, 1, 1))

    def test_a_number_below_zero_is_an_error_of_the_caller(self, keeper: Client, edited: Context) -> None:
        with pytest.raises(ArgumentError, match="-1"):
            keeper.contexts.revert(edited, -1)

    def test_a_flag_is_no_revision(self, keeper: Client, edited: Context) -> None:
        with pytest.raises(ArgumentTypeError, match="True"):
            keeper.contexts.revert(edited, True)


class TestFork:
    def test_it_holds_the_same_and_says_from_where(self, keeper: Client, edited: Context, tmp_path: Path) -> None:
        fork = keeper.contexts.fork(edited, "another", revision=1).context
        page = keeper.contexts.history(fork)
        assert [(each.number, each.note) for each in page.revisions] == [(1, "fork of revision 1 of edited")]
        assert (page.revisions[0].added, page.revisions[0].bytes) == (2, 6)
        got = keeper.files.download(fork, "/gone", tmp_path / "gone")
        assert (got.success, (tmp_path / "gone").read_text()) == (True, "two")

    def test_without_a_revision_it_is_of_the_latest(self, keeper: Client, edited: Context) -> None:
        fork = keeper.contexts.fork(edited, "another").context
        listed = keeper.files.list(fork)
        assert [file.path for file in listed.files] == ["/added", "/changed"]

    def test_both_go_on_for_themselves(self, keeper: Client, edited: Context, tmp_path: Path) -> None:
        fork = keeper.contexts.fork(edited, "another").context
        put = keeper.files.upload(fork, "/changed", b"only in the fork")
        assert put.revision == 2
        keeper.files.download(edited, "/changed", tmp_path / "changed")
        assert (tmp_path / "changed").read_text() == "three"

    def test_it_outlives_what_it_was_made_from(self, keeper: Client, edited: Context, tmp_path: Path) -> None:
        fork = keeper.contexts.fork(edited, "another").context
        deleted = keeper.contexts.delete(edited)
        got = keeper.files.download(fork, "/changed", tmp_path / "changed")
        assert (deleted.success, got.success, (tmp_path / "changed").read_text()) == (True, True, "three")

    def test_a_name_that_is_taken_is_a_conflict(self, keeper: Client, edited: Context) -> None:
        result = keeper.contexts.fork(edited, "edited")
        with pytest.raises(ConflictError):
            result.raise_for_error()

    def test_a_revision_that_is_not_there_makes_no_context(self, keeper: Client, edited: Context) -> None:
        result = keeper.contexts.fork(edited, "another", revision=9)
        assert result.error_message.startswith("[InvalidRevision.NotFound]")
        found = keeper.contexts.get("another")
        assert not found.success

    def test_an_empty_context_can_be_forked(self, keeper: Client) -> None:
        empty = keeper.contexts.create("empty").context
        fork = keeper.contexts.fork(empty, "another").context
        page = keeper.contexts.history(fork)
        assert [(each.number, each.added) for each in page.revisions] == [(1, 0)]
