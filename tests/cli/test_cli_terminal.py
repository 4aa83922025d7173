"""What a person at a terminal sees: the bar, the question, and how Ctrl-C ends it."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import BaseFileLock, FileLock

from ctxmgr.cli.progress import Bar, can_be_shown
from ctxmgr.results import SyncProgress
from ctxmgr.service.storage.datafolder import DataFolder
from tests.cli.commandline import Command, Terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def stuck(command: Command, workspace: Path) -> Iterator[BaseFileLock]:
    """The workspace is locked, as by another sync of it: whoever syncs it now waits until the lock is released."""
    command.sync("workspace").succeeded()
    (workspace / "new").write_text("new")
    lock = DataFolder.open(command.home).workspace_lock(os.path.realpath(workspace))
    with FileLock(lock) as held:
        yield held


def test_a_sync_that_takes_a_while_shows_a_bar_and_leaves_one_line(command: Command, stuck: BaseFileLock) -> None:
    terminal = Terminal("sync", "workspace", "-c", "project", place=command.place)
    terminal.wait_for("Looking for changes: project")
    stuck.release()
    assert terminal.end() == 0
    assert terminal.left == ["uploaded 1 file (3 B); revision 2 of project"]


def test_the_bar_shows_files_and_bytes_and_is_not_done_before_all_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal := _Screen())
    assert can_be_shown()
    shown = []
    for files_total, files_done, bytes_total, bytes_done in ((0, 7, 0, 1500), (4, 2, 4000, 2000), (4, 4, 4000, 4000)):
        with Bar("download", "[red]project") as bar:
            bar.update(
                SyncProgress(
                    files_total=files_total, files_done=files_done, bytes_total=bytes_total, bytes_done=bytes_done
                )
            )
        shown.append(terminal.getvalue())
    assert "Looking for changes: [red]project" in shown[0]
    assert "7 files read, 1.5 kB" in shown[0]
    assert "Downloading [red]project" in shown[1]
    assert "2/4 files, 2.0 kB of 4.0 kB" in shown[1]
    assert "Finishing: [red]project" not in shown[1]
    assert "Finishing: [red]project" in shown[2]


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["", "dumb"])
def test_a_terminal_that_cannot_draw_gets_no_bar(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr(sys, "stderr", _Screen())
    assert not can_be_shown()


def test_a_quick_sync_shows_no_bar(command: Command, workspace: Path) -> None:
    terminal = Terminal("sync", "workspace", "-c", "project", "--json", place=command.place)
    assert terminal.end() == 0
    assert "\x1b" not in terminal.seen


@pytest.mark.usefixtures("stuck")
def test_a_sync_that_fails_leaves_no_full_bar_but_the_reason(command: Command, workspace: Path) -> None:
    terminal = Terminal("sync", "workspace", "-c", "project", place=command.place)
    terminal.wait_for("Looking for changes: project")
    terminal.type("\x03")
    terminal.wait_for("interrupted before the upload was proven done; run it again to go on where it stopped")
    assert terminal.end() == 130
    assert len(terminal.left) == 1
    assert terminal.seen.count("\x1b[?25h") == terminal.seen.count("\x1b[?25l"), "the cursor is shown again"


def test_what_was_interrupted_goes_on_with_the_next_run(command: Command, workspace: Path, stuck: BaseFileLock) -> None:
    with command.process("sync", "workspace", "-c", "project", "--json") as process:
        _wait_until_running(command, workspace)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    expected = b"ctxmgr: interrupted before the upload was proven done; run it again to go on where it stopped\n"
    assert err == expected
    assert b'"success": false' in out
    assert "last upload: Failed" in command("info", "workspace").out


@pytest.mark.usefixtures("stuck")
def test_a_second_ctrl_c_ends_it_at_once(command: Command, workspace: Path) -> None:
    with command.process("sync", "workspace", "-c", "project") as process:
        _wait_until_running(command, workspace)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"ctxmgr: interrupted")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT


def test_other_signals_end_it_in_order_too_unless_they_are_ignored(
    command: Command, workspace: Path, stuck: BaseFileLock
) -> None:
    ignoring = ["sh", "-c", """trap '' HUP; exec "$@\"""", "sh"]
    with command.process("sync", "workspace", "-c", "project", by=ignoring) as process:
        _wait_until_running(command, workspace)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert (out, err.count(b"\n")) == (b"", 1)


def _wait_until_running(command: Command, workspace: Path) -> None:
    """Look until the sync of another process is under way."""
    for _ in range(1000):
        (told,) = command("info", "workspace", "--json").document["contexts"]
        if told["upload"]["status"] == "Running":
            return
    raise AssertionError("the sync never began")


def test_delete_asks_and_a_yes_deletes(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    terminal = Terminal("context", "delete", "project", place=command.place)
    terminal.wait_for("Delete 'project' and the 3 paths in it, at every revision? [y/N]: ")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert terminal.left[-1] == "deleted project"


@pytest.mark.parametrize("keys", ["n\n", "\n", "\x04"])
def test_anything_else_deletes_nothing(command: Command, keys: str) -> None:
    command("context", "create", "project")
    terminal = Terminal("context", "delete", "project", place=command.place)
    terminal.wait_for("Delete 'project' (empty)? [y/N]: ")
    terminal.type(keys)
    assert terminal.end() == 1
    assert terminal.left[-1] == "ctxmgr: 'project' was not deleted"
    assert command("context", "delete", "project", "-y").status == 0


def test_ctrl_c_at_the_question_deletes_nothing(command: Command) -> None:
    command("context", "create", "project")
    terminal = Terminal("context", "delete", "project", place=command.place)
    terminal.wait_for("[y/N]: ")
    terminal.interrupt()
    assert terminal.end() == 130
    assert terminal.plain.rstrip().endswith("ctxmgr: interrupted")
    assert command("context", "delete", "project", "-y").status == 0


def test_a_list_has_a_heading_on_a_terminal(command: Command) -> None:
    command("context", "create", "project")
    terminal = Terminal("context", "list", place=command.place)
    assert terminal.end() == 0
    assert terminal.left[0].split() == ["LAST", "USED", "NAME"]
    assert terminal.left[1].endswith("  project")
