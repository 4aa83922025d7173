"""``client.store`` on the embedded service: what is counted, checked, pruned, and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxmgr import ApiError, ArgumentError, ArgumentTypeError, Client, Context, NotFoundError, Retention


@pytest.fixture
def grown(local: Client, project: Context) -> Context:
    """A context with four revisions of one file."""
    for number in range(1, 5):
        uploaded = local.files.upload(project, "/file", f"version {number}".encode() * 100)
        uploaded.raise_for_error()
    return project


class TestStats:
    def test_an_empty_store_holds_nothing(self, local: Client) -> None:
        stats = local.store.stats()
        assert (stats.success, stats.contexts, stats.stored_bytes) == (True, [], 0)

    def test_what_is_stored_is_counted(self, local: Client, grown: Context) -> None:
        local.contexts.create("empty")
        stats = local.store.stats()
        assert [each.name for each in stats.contexts] == ["empty", "project"]
        assert (stats.revisions, stats.files, stats.bytes, stats.history_bytes) == (4, 1, 900, 3600)
        assert stats.unique_bytes == 3600
        assert 0 < stats.stored_bytes < 900
        assert stats.saved_by_compression == 3600 - stats.stored_bytes

    def test_what_is_the_same_is_stored_once(self, local: Client, grown: Context) -> None:
        local.files.upload(grown, "/copy", b"version 4" * 100)
        stats = local.store.stats()
        assert (stats.files, stats.bytes, stats.history_bytes, stats.saved_by_dedup) == (2, 1800, 4500, 900)


class TestCheck:
    def test_a_whole_store_is_a_success(self, local: Client, grown: Context) -> None:
        result = local.store.check(read_data=True)
        assert (result.success, result.error_message, result.damages) == (True, "", [])
        assert (result.packs, result.chunks, result.files, result.revisions) == (4, 4, 4, 4)

    def test_a_damaged_store_is_none_and_says_what_it_concerns(
        self, local: Client, grown: Context, tmp_path: Path
    ) -> None:
        for pack in (tmp_path / "data" / "blobs" / "packs").glob("??/*"):
            pack.unlink()
        result = local.store.check()
        assert not result
        assert result.error_message.startswith("[Store.Damaged] 8 damages were found, the first in the pack ")
        assert result.error_message.endswith("; 4 versions of files can't be read")
        found = [(file.context_name, file.path, file.first_revision, file.last_revision) for file in result.affected]
        assert sorted(found) == [("project", "/file", number, 0 if number == 4 else number) for number in range(1, 5)]
        with pytest.raises(ApiError, match="it is missing"):
            result.raise_for_error()

    def test_a_repair_takes_what_is_lost_out_of_the_index(self, local: Client, grown: Context, tmp_path: Path) -> None:
        for pack in (tmp_path / "data" / "blobs" / "packs").glob("??/*"):
            pack.unlink()
        result = local.store.check(repair=True)
        assert result.repaired == 4
        local.files.upload(grown, "/again", b"version 4" * 100)
        result = local.store.check()
        assert {(file.path, file.first_revision) for file in result.affected} == {("/file", n) for n in (1, 2, 3)}


class TestPrune:
    def test_revisions_that_are_not_kept_end(self, local: Client, grown: Context) -> None:
        result = local.store.prune(retention=Retention(last=2))
        assert result.success
        (pruned,) = result.contexts
        assert (pruned.context_id, pruned.name, pruned.kept, pruned.pruned) == (grown.id, "project", (3, 4), (1, 2))
        numbers = []
        for revision in local.contexts.iter_revisions(grown):
            numbers.append(revision.number)
        assert numbers == [4, 3]
        refused = local.contexts.revert(grown, 1)
        with pytest.raises(NotFoundError, match="was pruned, and nothing brings it back"):
            refused.raise_for_error()
        checked = local.store.check(read_data=True)
        assert checked.success

    def test_a_dry_run_only_tells(self, local: Client, grown: Context) -> None:
        result = local.store.prune([grown], retention=Retention(last=1), dry_run=True)
        assert (result.contexts[0].pruned, result.freed_bytes) == ((1, 2, 3), 0)
        stats = local.store.stats()
        assert stats.revisions == 4

    def test_what_nothing_refers_to_gives_its_room_back(self, local: Client, grown: Context) -> None:
        local.contexts.delete(grown)
        stats = local.store.stats()
        assert stats.loose_bytes > 0
        result = local.store.prune()
        assert result.freed_bytes > 0
        stats = local.store.stats()
        assert stats.loose_bytes == 0

    def test_a_grace_leaves_it_for_a_while(self, local: Client, grown: Context) -> None:
        local.contexts.delete(grown)
        result = local.store.prune(grace=3600)
        assert (result.freed_bytes, result.waiting_bytes > 0) == (0, True)

    def test_a_retention_that_was_set_counts_where_none_is_given(self, local: Client, grown: Context) -> None:
        changed = local.store.set_retention(grown, Retention(last=3))
        assert changed.success
        stats = local.store.stats()
        assert stats.contexts[0].retention == Retention(last=3)
        result = local.store.prune()
        assert result.contexts[0].kept == (2, 3, 4)
        changed = local.store.set_retention(grown, None)
        assert changed.success
        stats = local.store.stats()
        assert stats.contexts[0].retention.keeps_everything

    def test_a_context_that_is_not_there_is_a_failure(self, local: Client) -> None:
        result = local.store.prune(["SdkCtx-1"], retention=Retention(last=1))
        assert result.error_message.startswith("[InvalidContext.NotFound]")

    def test_no_rule_at_all_is_refused(self, local: Client) -> None:
        with pytest.raises(ArgumentError, match="retention has no rule"):
            local.store.prune(retention=Retention())

    @pytest.mark.parametrize("grace", [-1, 1.5, True])
    def test_a_grace_that_is_none_is_refused(self, local: Client, grace: int) -> None:
        with pytest.raises(ArgumentTypeError, match="grace is"):
            local.store.prune(grace=grace)
