"""Restores into a directory: every path is written, read back and compared, in this process and behind HTTP."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ctxmgr import ArgumentTypeError, Client, ConnectionFailed, Context, NotFoundError
from ctxmgr.results import SyncProgress
from tests.support.relay import Relay

LARGE = os.urandom(3_000_001)
MTIME_NS = 1_000_000_000_123_456_789


@pytest.fixture
def kept(keeper: Client, tmp_path: Path) -> Context:
    """A context with a tree of all that there is, and an earlier revision with one other file."""
    root = tmp_path / "work"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "text").write_text("before")
    context = keeper.contexts.create("kept").context
    session = keeper.sessions.create(server_root=root, bind={"/": context}).session
    result = session.context.sync()
    result.raise_for_error()
    (root / "deep" / "text").write_text("after")
    os.utime(root / "deep" / "text", ns=(MTIME_NS, MTIME_NS))
    (root / "deep" / "er" / "large").write_bytes(LARGE)
    (root / "run").write_text("#!/bin/sh")
    (root / "run").chmod(0o750)
    (root / "nothing").touch()
    (root / os.fsdecode(b"bad\xff")).write_text("no UTF-8")
    (root / "link").symlink_to("deep/text")
    (root / "empty").mkdir()
    (root / "closed").mkdir()
    (root / "closed" / "in").write_text("inside")
    (root / "closed").chmod(0o500)
    result = session.context.sync()
    result.raise_for_error()
    session.delete()
    return context


def described(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a restore keeps of what is below a folder, by relative path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        mode = stat.filemode(status.st_mode)
        if path.is_symlink():
            found[str(path.relative_to(folder))] = mode, status.st_mtime_ns, os.readlink(path)
        elif path.is_dir():
            found[str(path.relative_to(folder))] = (mode,)
        else:
            found[str(path.relative_to(folder))] = mode, status.st_mtime_ns, path.read_bytes()
    return found


class TestWhole:
    def test_it_is_the_same_in_every_respect(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to" / "here")
        result.raise_for_error()
        assert described(tmp_path / "to" / "here") == described(tmp_path / "work")
        assert (result.directory, result.revision, result.files) == (str(tmp_path / "to" / "here"), 2, 7)

    def test_the_receipt_has_every_path_with_its_digest(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to")
        by_path = {each.path: each for each in result.receipt}
        assert set(by_path) == {f"/{path}" for path in described(tmp_path / "work")}
        known = keeper.files.stat(kept, "/deep/er/large").file
        assert (by_path["/deep/er/large"].digest, by_path["/deep/er/large"].size) == (known.digest, len(LARGE))
        assert (by_path["/link"].type, by_path["/link"].target, by_path["/empty"].type) == (
            "link",
            "deep/text",
            "folder",
        )

    def test_an_empty_context_makes_an_empty_directory(self, keeper: Client, tmp_path: Path) -> None:
        empty = keeper.contexts.create("empty").context
        result = keeper.contexts.restore(empty, tmp_path / "to")
        assert (result.success, result.receipt, list((tmp_path / "to").iterdir())) == (True, [], [])

    def test_a_folder_that_only_its_files_tell_of_is_made(self, keeper: Client, tmp_path: Path) -> None:
        context = keeper.contexts.create("by-url").context
        keeper.files.upload(context, "/a/b/c", b"text")
        result = keeper.contexts.restore(context, tmp_path / "to")
        assert (result.success, (tmp_path / "to" / "a" / "b" / "c").read_bytes()) == (True, b"text")

    def test_a_context_that_is_not_there_is_a_failure_and_makes_nothing(self, keeper: Client, tmp_path: Path) -> None:
        result = keeper.contexts.restore("SdkCtx-absent", tmp_path / "to")
        with pytest.raises(NotFoundError):
            result.raise_for_error()
        assert not (tmp_path / "to").exists()


class TestProgress:
    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> list[SyncProgress]:
        """Where all is gathered that is told."""
        monkeypatch.setattr("ctxmgr._localrestore.SECONDS_BETWEEN_TELLS", 0.0)
        return []

    def test_it_is_told_how_much_of_what_there_is_to_write_is_written(
        self, keeper: Client, kept: Context, tmp_path: Path, seen: list[SyncProgress]
    ) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to", progress=seen.append)
        result.raise_for_error()
        assert {(each.files_total, each.bytes_total) for each in seen} == {(7, result.bytes)}
        assert (seen[-1].files_done, seen[-1].bytes_done) == (7, result.bytes)
        done = [(each.files_done, each.bytes_done) for each in seen]
        assert done == sorted(done)
        # The large file is told of while it comes.
        assert len({size for _, size in done if 0 < size < len(LARGE)}) > 1

    def test_what_is_there_already_is_not_counted(
        self, keeper: Client, kept: Context, tmp_path: Path, seen: list[SyncProgress]
    ) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to")
        (tmp_path / "to" / "run").unlink()
        result = keeper.contexts.restore(kept, tmp_path / "to", progress=seen.append)
        assert (result.success, seen[-1].files_total, seen[-1].bytes_total) == (True, 1, len("#!/bin/sh"))

    def test_what_is_raised_ends_it_and_the_next_one_goes_on(
        self, keeper: Client, kept: Context, tmp_path: Path, seen: list[SyncProgress]
    ) -> None:
        def enough(progress: SyncProgress) -> None:
            if progress.files_done == 3:
                raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            keeper.contexts.restore(kept, tmp_path / "to", progress=enough)
        result = keeper.contexts.restore(kept, tmp_path / "to", progress=seen.append)
        assert result.success
        assert 0 < seen[-1].files_total < 7


class TestEarlier:
    def test_by_number(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to", revision=1)
        assert (result.revision, (tmp_path / "to" / "deep" / "text").read_text()) == (1, "before")
        assert not (tmp_path / "to" / "run").exists()

    def test_by_time(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        later = datetime.now(timezone.utc) + timedelta(seconds=1)
        result = keeper.contexts.restore(kept, tmp_path / "to", revision=later)
        assert (result.success, result.revision) == (True, 2)

    def test_one_that_is_not_there_is_a_failure_and_makes_nothing(
        self, keeper: Client, kept: Context, tmp_path: Path
    ) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to", revision=9)
        assert result.error_message.startswith("[InvalidRevision.NotFound]")
        assert not (tmp_path / "to").exists()

    def test_what_was_a_revision_once_says_what_it_is_now(self, keeper: Client, kept: Context) -> None:
        with pytest.raises(ArgumentTypeError, match="revert"):
            keeper.contexts.restore(kept, 1)  # type: ignore[arg-type]  # the error is the test


class TestPart:
    def test_files_and_folders_keep_their_paths(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to", "/deep/er", "run")
        assert result.success
        assert set(described(tmp_path / "to")) == {"deep", "deep/er", "deep/er/large", "run"}

    def test_the_folders_above_keep_their_modes(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to", "/closed/in")
        assert result.success
        assert stat.S_IMODE((tmp_path / "to" / "closed").stat().st_mode) == 0o500

    def test_one_that_is_not_there_is_a_failure_and_makes_nothing(
        self, keeper: Client, kept: Context, tmp_path: Path
    ) -> None:
        result = keeper.contexts.restore(kept, tmp_path / "to", "/run", "/absent")
        assert result.error_message.startswith("[InvalidFile.NotFound]")
        assert "/absent" in result.error_message
        assert not (tmp_path / "to").exists()


class TestDirectory:
    def test_one_with_something_else_in_it_is_refused_and_left_alone(
        self, keeper: Client, kept: Context, tmp_path: Path
    ) -> None:
        (tmp_path / "to").mkdir()
        (tmp_path / "to" / "mine").write_text("mine")
        result = keeper.contexts.restore(kept, tmp_path / "to")
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Restore.NotEmpty")
        assert "'mine'" in result.error_message
        assert os.listdir(tmp_path / "to") == ["mine"]

    def test_by_force_what_is_in_the_place_is_replaced_and_the_rest_stays(
        self, keeper: Client, kept: Context, tmp_path: Path
    ) -> None:
        (tmp_path / "to").mkdir()
        (tmp_path / "to" / "mine").write_text("mine")
        (tmp_path / "to" / "run").write_text("another")
        result = keeper.contexts.restore(kept, tmp_path / "to", force=True)
        assert result.success
        expected = described(tmp_path / "work")
        found = described(tmp_path / "to")
        assert found.pop("mine")[-1] == b"mine"
        assert found == expected

    def test_a_directory_with_something_in_it_is_not_replaced_by_a_file(
        self, keeper: Client, kept: Context, tmp_path: Path
    ) -> None:
        (tmp_path / "to" / "run").mkdir(parents=True)
        (tmp_path / "to" / "run" / "mine").write_text("mine")
        result = keeper.contexts.restore(kept, tmp_path / "to", force=True)
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Restore.Failed")
        assert (tmp_path / "to" / "run" / "mine").read_text() == "mine"

    def test_what_is_there_already_is_not_written_again(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        keeper.contexts.restore(kept, tmp_path / "to")
        os.unlink(tmp_path / "to" / "run")
        before = (tmp_path / "to" / "deep" / "er" / "large").stat().st_ino
        result = keeper.contexts.restore(kept, tmp_path / "to")
        assert (result.success, result.files, result.bytes) == (True, 1, len("#!/bin/sh"))
        assert (tmp_path / "to" / "deep" / "er" / "large").stat().st_ino == before

    def test_what_is_no_directory_is_a_failure(self, keeper: Client, kept: Context, tmp_path: Path) -> None:
        (tmp_path / "to").write_text("a file")
        result = keeper.contexts.restore(kept, tmp_path / "to")
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[Restore.Failed")
        assert (tmp_path / "to").read_text() == "a file"


class TestDisturbed:
    @pytest.fixture
    def many(self, relay: Relay) -> Context:
        """A context with more than a connection holds when it breaks."""
        with Client(api_key=relay.key, endpoint=relay.url) as client:
            context = client.contexts.create("many").context
            for number in range(20):
                client.files.upload(context, f"/{number:02}", os.urandom(100_000))
        return context

    def test_what_came_before_the_connection_broke_is_not_asked_for_again(
        self, relay: Relay, many: Context, tmp_path: Path
    ) -> None:
        relay.seen.clear()
        relay.cut = 1
        with Client(api_key=relay.key, endpoint=relay.url, attempts=2) as client:
            result = client.contexts.restore(many, tmp_path / "to")
        assert (result.success, result.files) == (True, 20)
        first, second = (len(request.body) for request in relay.seen)
        assert second < first

    def test_a_restore_that_broke_off_goes_on_when_it_is_begun_again(
        self, relay: Relay, many: Context, tmp_path: Path
    ) -> None:
        relay.cut = 1
        with Client(api_key=relay.key, endpoint=relay.url, attempts=1) as client:
            with pytest.raises(ConnectionFailed):
                client.contexts.restore(many, tmp_path / "to")
            there = len(os.listdir(tmp_path / "to"))
            result = client.contexts.restore(many, tmp_path / "to")
        assert (result.success, result.files, len(result.receipt)) == (True, 20 - there, 20)
        assert 0 < there < 20

    def test_a_bit_that_was_flipped_on_the_way_never_reaches_a_file(
        self, relay: Relay, many: Context, tmp_path: Path
    ) -> None:
        with Client(api_key=relay.key, endpoint=relay.url, attempts=2) as client:
            for number in range(10):
                relay.flip = 1
                result = client.contexts.restore(many, tmp_path / str(number))
                assert result.success, result
