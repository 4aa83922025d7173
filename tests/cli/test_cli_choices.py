"""What ``ctxmgr sync`` leaves out, who wins a conflict, how much it deletes, and how much it tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.cli import progress as shown_progress
from ctxmgr.cli.estimate import Estimate
from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.sync import progress as recorded_progress
from ctxmgr.results import SyncProgress
from tests.cli.commandline import PATIENCE, Command, tree
from tests.cli.served import serving


@pytest.fixture(params=["data folder", "server"])
def kept(request: pytest.FixtureRequest, command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Contexts are kept in the data folder, or by a server that this process is the node of."""
    if request.param == "data folder":
        yield
        return
    with serving(command.home) as server:
        monkeypatch.setenv("CTXMGR_HOME", str(command.place.parent / "remembered"))
        monkeypatch.setenv("CTXMGR_ENDPOINT", server.url)
        monkeypatch.setenv("CTXMGR_API_KEY", "the-key-8231")
        yield


@pytest.fixture
def other(command: Command, workspace: Path) -> Path:
    """A directory that has changed a.txt since its last sync, as the context has."""
    command.sync("workspace").succeeded()
    command.sync("other", "--mode", "download").succeeded()
    (workspace / "a.txt").write_text("theirs")
    command.sync("workspace").succeeded()
    (command.place / "other" / "a.txt").write_text("ours")
    return command.place / "other"


@pytest.mark.usefixtures("kept")
class TestExclude:
    def test_what_is_ignored_or_excluded_is_left_out(self, command: Command, workspace: Path) -> None:
        (workspace / ".ctxignore").write_text("*.log\n")
        (workspace / "x.log").write_text("x")
        command.sync("workspace", "--exclude", "sub/", "-x", "no*").succeeded()
        assert "a.txt" in command("file", "list", "project").out
        assert "b.txt" not in command("file", "list", "project").out
        assert "x.log" not in command("file", "list", "project").out

    def test_a_dry_run_says_which_rule_leaves_out_what(self, command: Command, workspace: Path) -> None:
        (workspace / ".ctxignore").write_text("# logs\n*.log\n")
        (workspace / "x.log").write_text("x")
        told = command.sync("workspace", "-n", "--exclude", "sub/").succeeded().splitlines()
        assert told[:2] == ["leave out sub/: 'sub/' (--exclude)", "leave out x.log: '*.log' (.ctxignore, line 2)"]
        document = command.sync("workspace", "-n", "--exclude", "sub/", "--json").document
        assert document["excluded"] == [
            {"path": "sub/", "pattern": "sub/", "source": None, "line": None},
            {"path": "x.log", "pattern": "*.log", "source": ".ctxignore", "line": 2},
        ]
        assert (document["excluded_total"], document["excluded_folders"]) == (2, {"/": 2})

    def test_of_many_the_first_are_named_and_the_rest_counted_by_folder(
        self, command: Command, workspace: Path
    ) -> None:
        for number in range(30):
            (workspace / "sub" / f"{number:02}.log").write_text("x")
        (workspace / "z.log").write_text("x")
        told = command.sync("workspace", "-n", "-x", "*.log").succeeded().splitlines()
        assert [line for line in told if line.startswith("leave out")][
            -1
        ] == "leave out sub/19.log: '*.log' (--exclude)"
        assert [line for line in told if line.startswith("left out")] == [
            "left out in /: 1 path",
            "left out in sub/: 30 paths",
            "left out in all: 31 paths",
        ]
        every = command.sync("workspace", "-n", "-v", "-x", "*.log").succeeded().splitlines()
        assert len([line for line in every if line.startswith("leave out")]) == 31

    def test_what_the_context_keeps_is_said_once(self, command: Command, workspace: Path) -> None:
        command.sync("workspace").succeeded()
        (workspace / ".ctxignore").write_text("a.*\n")
        ended = command.sync("workspace")
        assert ended.err == (
            "skipped a.txt: is excluded by 'a.*' (.ctxignore, line 1) and stays in the context as it is\n"
        )
        assert command.sync("workspace").err == ""

    def test_a_pattern_that_excludes_nothing_is_refused(self, command: Command, workspace: Path) -> None:
        assert "is '#x', and must be a pattern of gitignore's syntax" in command.sync("workspace", "-x", "#x").failed()


@pytest.mark.usefixtures("kept")
class TestConflict:
    def test_a_copy_is_named(self, command: Command, other: Path) -> None:
        told = command.sync("other", "--mode", "download", "--conflict", "keep-both").succeeded()
        (copy,) = [name for name in tree(other) if b".conflict-" in name]
        assert tree(other)[copy] == b"ours"
        assert f"; a copy of it is {copy.decode()}; to get it: " in told

    def test_the_version_that_stays_where_it_is_is_told(self, command: Command, other: Path) -> None:
        told = command.sync("other", "--conflict", "theirs").succeeded()
        assert told.endswith("conflict in a.txt: context wins, the directory had another version, which stays there\n")
        told = command.sync("other", "--conflict", "theirs", "-n").succeeded()
        assert told.startswith("conflict in a.txt: context wins, and nothing changes\n")

    def test_a_sync_that_decides_no_conflict_fails_and_names_them(self, command: Command, other: Path) -> None:
        ended = command.sync("other", "--conflict", "fail")
        assert ended.status == 1
        assert "conflict in a.txt: both sides have changed it\n" in ended.err
        assert "have both changed 'a.txt', and nothing was changed" in ended.err
        assert command.sync("other", "--conflict", "fail", "--json").document["conflicts"][0]["winner"] is None

    def test_force_decides_every_conflict_itself(self, command: Command, workspace: Path) -> None:
        sentence = command.sync("workspace", "--mode", "download", "--force", "--conflict", "ours").failed(2)
        assert "--force has every conflict won by the context" in sentence


@pytest.mark.usefixtures("kept")
class TestMassDelete:
    def test_more_than_half_of_a_context_is_deleted_only_if_that_is_meant(
        self, command: Command, workspace: Path
    ) -> None:
        for number in range(20):
            (workspace / f"{number}").write_text("x")
        command.sync("workspace").succeeded()
        for number in range(18):
            (workspace / f"{number}").unlink()
        for more in ([], ["-n"]):
            assert (
                "the upload would delete 18 of the 22 files in the context" in command.sync("workspace", *more).failed()
            )
        document = command.sync("workspace", "--json").document
        assert document["success"] is False
        assert "--allow-mass-delete" in document["error"]
        assert "deleted 18" in command.sync("workspace", "--allow-mass-delete").succeeded()


@pytest.mark.usefixtures("kept")
class TestTelling:
    def test_quiet_tells_nothing_of_a_success_and_all_of_a_failure(self, command: Command, workspace: Path) -> None:
        assert command.sync("workspace", "-q").succeeded() == ""
        assert command.sync("missing", "-q").failed() == "missing does not exist: name the directory to upload"
        assert command.sync("workspace", "-q", "--json").document["success"] is True

    def test_verbose_tells_how_much_of_what_there_is_to_do_is_done(
        self, command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = threading.Event()
        lines = set()

        def note(line: str) -> None:
            lines.add(line)
            if "100 %" in line:
                told.set()

        def wait_and_flush(writer: PackWriter) -> None:
            assert told.wait(PATIENCE)
            flush(writer)

        flush = PackWriter.flush
        monkeypatch.setattr(PackWriter, "flush", wait_and_flush)
        monkeypatch.setattr(recorded_progress, "SECONDS_BETWEEN_RECORDS", 0.0)
        monkeypatch.setattr(shown_progress, "_BETWEEN_LINES", 0.01)
        monkeypatch.setattr(shown_progress, "note", note)
        assert command.sync("workspace", "-v").succeeded() == "uploaded 2 files (12.3 kB); revision 1 of project\n"
        assert "Uploading project: 100 %, 2/2 files, 12.3 kB of 12.3 kB" in lines

    def test_quiet_and_verbose_contradict_each_other(self, command: Command, workspace: Path) -> None:
        assert "contradict each other" in command.sync("workspace", "-q", "-v").failed(2)


class TestEstimate:
    def test_rate_and_time_left_come_from_what_was_seen(self) -> None:
        now = 0.0
        estimate = Estimate(lambda: now)

        def at(seconds: float, files: int, size: int) -> str:
            nonlocal now
            now = seconds
            progress = SyncProgress(files_done=files, files_total=100, bytes_done=size, bytes_total=10_000)
            estimate.add(progress)
            return estimate.line(progress)

        assert at(0, 0, 0) == "0 %, 0/100 files, 0 B of 10.0 kB"
        assert at(10, 10, 2000) == "19 %, 10/100 files, 2.0 kB of 10.0 kB, 200 B/s, 1:30 left"
        assert at(20, 60, 9000) == "89 %, 60/100 files, 9.0 kB of 10.0 kB, 700 B/s, 0:08 left"
        assert at(30, 100, 10_000) == "100 %, 100/100 files, 10.0 kB of 10.0 kB, 100 B/s"

    def test_what_is_only_looked_at_has_no_end_to_tell(self) -> None:
        estimate = Estimate(lambda: 0.0)
        estimate.add(SyncProgress(files_done=7, bytes_done=1500))
        assert estimate.line(SyncProgress(files_done=7, bytes_done=1500)) == "7 files read, 1.5 kB"

    def test_what_stands_still_has_no_end_to_tell(self) -> None:
        now = 0.0
        estimate = Estimate(lambda: now)
        stuck = SyncProgress(files_done=1, files_total=9000, bytes_done=1, bytes_total=9000)
        estimate.add(stuck)
        now = 5.0
        estimate.add(stuck)
        assert (estimate.rate, estimate.left) == (0.0, None)

    def test_a_new_total_begins_anew(self) -> None:
        now = 0.0
        estimate = Estimate(lambda: now)
        estimate.add(SyncProgress(files_done=0, files_total=5, bytes_total=100))
        now = 1.0
        estimate.add(SyncProgress(files_done=0, files_total=7, bytes_done=100, bytes_total=200))
        assert (estimate.rate, estimate.left) == (0.0, None)

    def test_a_span_of_hours_is_told_in_hours(self) -> None:
        now = 0.0
        estimate = Estimate(lambda: now)
        estimate.add(SyncProgress(files_total=1, bytes_total=7300))
        now = 1.0
        progress = SyncProgress(files_total=1, bytes_done=1, bytes_total=7300)
        estimate.add(progress)
        assert estimate.line(progress).endswith("1 B/s, 2:01:39 left")
