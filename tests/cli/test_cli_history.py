"""``ctxmgr history``, ``diff``, ``restore``, ``revert``, ``fork`` and ``clear``, and what changes single files."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from socket import gethostname

import pytest

from ctxmgr import Client
from ctxmgr.cli.moments import moment_of
from ctxmgr.engine.workspace.restore import Restore, Unproven
from tests.cli.commandline import PATIENCE, Command, Terminal, tree

ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
HOST = re.escape(gethostname())
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def edited(command: Command, workspace: Path) -> Path:
    """A workspace whose context, project, has two revisions."""
    command.sync("workspace").succeeded()
    (workspace / "a.txt").write_text("hello world")
    (workspace / "sub" / "b.txt").unlink()
    (workspace / "new").write_text("1")
    command.sync("workspace").succeeded()
    return workspace


class TestHistory:
    def test_each_revision_is_a_line_latest_first(self, command: Command, edited: Path) -> None:
        second, first = command("history", "project").succeeded().splitlines()
        assert re.fullmatch(rf"2  {ISO}  \+1  ~1  -1     12 B  upload  {HOST}:{edited}", second)
        assert re.fullmatch(rf"1  {ISO}  \+2  ~0  -0  12.3 kB  upload  {HOST}:{edited}", first)

    def test_as_json_it_is_a_list(self, command: Command, edited: Path) -> None:
        document = command("history", "project", "--json").document
        latest = document["revisions"][0]
        assert (latest["revision"], latest["added"], latest["changed"], latest["deleted"]) == (2, 1, 1, 1)
        assert (latest["current"], latest["directory"], document["more"]) == (True, str(edited), False)
        assert latest["host"] == gethostname()

    def test_what_is_left_out_is_told(self, command: Command, edited: Path) -> None:
        ended = command("history", "project", "--limit", "1")
        assert (ended.status, len(ended.out.splitlines())) == (0, 1)
        assert ended.err == "older revisions are left out: --limit 0 shows all\n"
        assert command("history", "project", "--limit", "1", "--json").document["more"] is True

    def test_more_revisions_than_a_page_holds_are_all_listed(self, command: Command) -> None:
        with Client.local(command.home) as client:
            context = client.contexts.create("project").context
            for number in range(105):
                client.files.upload(context, "/a", str(number).encode()).raise_for_error()
        assert len(command("history", "project", "--limit", "0").succeeded().splitlines()) == 105
        assert len(command("history", "project", "--limit", "103").out.splitlines()) == 103

    def test_a_context_without_any_says_so(self, command: Command) -> None:
        command("context", "create", "project")
        ended = command("history", "project")
        assert (ended.status, ended.out) == (0, "")
        assert ended.err == "project has no revisions yet: 'ctxmgr sync DIR --context NAME' makes one\n"


class TestDiff:
    def test_each_path_is_a_line(self, command: Command, edited: Path) -> None:
        expected = [
            "~ /a.txt (5 B to 11 B)",
            "+ /new (1 B)",
            "- /sub/b.txt (12.3 kB)",
            "3 differ between revisions 1 and 2 of project",
        ]
        assert command("diff", "project").succeeded().splitlines() == expected
        assert command("diff", "project", "1").succeeded().splitlines() == expected
        assert command("diff", "project", "1", "2").succeeded().splitlines() == expected

    def test_what_is_no_change_of_content_is_named(self, command: Command, edited: Path) -> None:
        (edited / "a.txt").chmod(0o600)
        (edited / "sub").rmdir()
        (edited / "sub").symlink_to("a.txt")
        command.sync("workspace").succeeded()
        lines = command("diff", "project").succeeded().splitlines()
        assert lines[:-1] == ["~ /a.txt (mode 0644 to 0600)", "~ /sub (folder to link)"]

    def test_a_time_names_a_revision(self, command: Command, edited: Path) -> None:
        lines = command("diff", "project", "0", "0 seconds ago").succeeded().splitlines()
        assert lines[-1] == "3 differ between revisions 0 and 2 of project"

    def test_as_json_both_sides_are_told(self, command: Command, edited: Path) -> None:
        document = command("diff", "project", "--json").document
        changed, added, deleted = document["changes"]
        assert (document["from"], document["to"]) == (1, 2)
        assert (changed["change"], changed["before"]["size"], changed["after"]["size"]) == ("changed", 5, 11)
        assert (added["before"], deleted["after"]) == (None, None)

    def test_nothing_differs(self, command: Command, edited: Path) -> None:
        assert (
            command("diff", "project", "2", "2").succeeded() == "nothing differs between revisions 2 and 2 of project\n"
        )

    def test_more_paths_than_a_page_holds_are_all_named(self, command: Command, workspace: Path) -> None:
        for number in range(1100):
            (workspace / f"{number:04}").touch()
        command.sync("workspace")
        assert len(command("diff", "project").succeeded().splitlines()) == 1104

    def test_a_revision_that_is_not_there_is_named(self, command: Command, edited: Path) -> None:
        assert "has no revision 9" in command("diff", "project", "1", "9").failed()

    def test_what_is_neither_a_number_nor_a_time_is_refused(self, command: Command, edited: Path) -> None:
        assert "'last week' is neither the number of a revision nor a time: write" in command(
            "diff", "project", "last week"
        ).failed(2)


class TestRestore:
    def test_an_earlier_revision_is_restored_and_proven(self, command: Command, edited: Path) -> None:
        told = command("restore", "project", "--to", "back", "--revision", "1").succeeded()
        expected = "restored revision 1 of project to back: 2 files (12.3 kB); 3 paths read back and the same\n"
        assert told == expected
        assert tree(command.place / "back") == {b"a.txt": b"hello", b"sub/b.txt": b"x" * 12_300}

    def test_the_receipt_is_the_json(self, command: Command, edited: Path) -> None:
        document = command("restore", "project", "--to", "back", "--json").document
        assert document["directory"] == str(command.place / "back")
        assert [(each["path"], each["type"]) for each in document["receipt"]] == [
            ("/a.txt", "file"),
            ("/new", "file"),
            ("/sub", "folder"),
        ]
        assert len(document["receipt"][0]["digest"]) == 64

    def test_verbose_tells_in_lines_how_far_it_is_and_quiet_nothing(
        self, command: Command, edited: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = threading.Event()
        lines = set()

        def note(line: str) -> None:
            lines.add(line)
            if "100 %" in line:
                told.set()

        def wait_and_prove(restore: Restore) -> list[Unproven]:
            assert told.wait(PATIENCE)
            return prove(restore)

        prove = Restore.unproven
        with monkeypatch.context() as patch:
            patch.setattr(Restore, "unproven", wait_and_prove)
            patch.setattr("ctxmgr.cli.progress._BETWEEN_LINES", 0.01)
            patch.setattr("ctxmgr.cli.progress.note", note)
            assert "restored revision 2" in command("restore", "project", "--to", "back", "-v").succeeded()
        assert "Restoring project: 100 %, 2/2 files, 12 B of 12 B" in lines
        assert command("restore", "project", "--to", "again", "-q").succeeded() == ""
        assert "contradict each other" in command("restore", "project", "--to", "back", "-q", "-v").failed(2)

    def test_paths_are_restored_alone(self, command: Command, edited: Path) -> None:
        command("restore", "project", "sub/b.txt", "--to", "back", "--revision", "1").succeeded()
        assert set(tree(command.place / "back")) == {b"sub/b.txt"}

    def test_by_time(self, command: Command, edited: Path) -> None:
        command("restore", "project", "--to", "back", "--at", "0 seconds ago").succeeded()
        assert tree(command.place / "back") == tree(edited)

    def test_the_time_that_history_shows_names_its_revision(self, command: Command, edited: Path) -> None:
        shown = command("history", "project", "--json").document["revisions"][0]["time"]
        assert command("restore", "project", "--to", "back", "--at", shown, "--json").document["revision"] == 2

    def test_again_it_finds_that_nothing_is_missing(self, command: Command, edited: Path) -> None:
        command("restore", "project", "--to", "back").succeeded()
        assert "nothing was missing; 3 paths" in command("restore", "project", "--to", "back").succeeded()

    def test_a_directory_that_holds_something_else_is_refused_without_force(
        self, command: Command, edited: Path
    ) -> None:
        (command.place / "back").mkdir()
        (command.place / "back" / "mine").write_text("mine")
        assert "it holds 'mine'" in command("restore", "project", "--to", "back").failed()
        command("restore", "project", "--to", "back", "--force").succeeded()
        assert tree(command.place / "back") == {**tree(edited), b"mine": b"mine"}

    def test_the_data_folder_is_no_place_for_it(self, command: Command, edited: Path) -> None:
        assert "lie one in the other" in command("restore", "project", "--to", command.home / "back").failed()
        assert not (command.home / "back").exists()

    def test_what_the_service_refuses_is_told_with_the_name_that_was_given(
        self, command: Command, edited: Path
    ) -> None:
        for options in (["--revision", "9"], ["absent"]):
            sentence = command("restore", "project", "--to", "back", *options).failed()
            assert sentence.startswith("the context 'project' ")
            assert "SdkCtx-" not in sentence

    def test_a_directory_that_cant_be_made_is_named(self, command: Command, edited: Path) -> None:
        (command.place / "file").touch()
        target = command.place / "file" / "back"
        sentence = command("restore", "project", "--to", target).failed()
        assert f"'{target}' can't be made: Not a directory" in sentence

    def test_two_revisions_are_refused(self, command: Command, edited: Path) -> None:
        sentence = command("restore", "project", "--to", "back", "--revision", "1", "--at", "1 hour ago").failed(2)
        assert "give one of them" in sentence

    def test_a_directory_must_be_named(self, command: Command, edited: Path) -> None:
        assert "--to" in command("restore", "project").failed(2)


class TestRevert:
    def test_it_goes_back_and_says_how_to_undo_it(self, command: Command, edited: Path) -> None:
        told = command("revert", "project", "--revision", "1").succeeded()
        did = "2 files (12.3 kB) came back, 1 went; revision 3 of project"
        assert told == f"{did}; 'ctxmgr revert project --revision 2' undoes it\n"
        command("revert", "project", "--revision", "2").succeeded()
        assert command("diff", "project", "2", "4").out.startswith("nothing differs")

    def test_to_what_it_is_changes_nothing(self, command: Command, edited: Path) -> None:
        told = command("revert", "project", "--revision", "2").succeeded()
        assert told == "nothing changed: project is what it was then\n"

    def test_the_revision_must_be_named(self, command: Command, edited: Path) -> None:
        assert "give --revision or --at" in command("revert", "project").failed(2)


class TestFork:
    def test_it_is_a_context_of_its_own(self, command: Command, edited: Path) -> None:
        assert command("fork", "project", "two", "--revision", "1").succeeded() == "forked project as two\n"
        assert "fork of revision 1 of project" in command("history", "two").succeeded()
        command("context", "delete", "project", "--yes").succeeded()
        command("restore", "two", "--to", "back").succeeded()
        assert tree(command.place / "back")[b"a.txt"] == b"hello"

    def test_a_name_that_is_taken_fails(self, command: Command, edited: Path) -> None:
        assert "there is a context named 'project' already" in command("fork", "project", "project").failed()


class TestClear:
    def test_it_is_undone_by_what_it_says(self, command: Command, edited: Path) -> None:
        told = command("clear", "project", "--yes").succeeded()
        assert told == "cleared project: 3 paths went; 'ctxmgr revert project --revision 2' undoes it\n"
        assert command("file", "list", "project").out == ""
        command("revert", "project", "--revision", "2").succeeded()
        assert len(command("file", "list", "project").out.splitlines()) == 3

    def test_an_empty_one_is_left_as_it_is(self, command: Command) -> None:
        command("context", "create", "project")
        assert command("clear", "project", "--yes").succeeded() == "nothing changed: project is empty\n"

    def test_without_a_terminal_nothing_is_asked_or_done(self, command: Command, edited: Path) -> None:
        sentence = command.separately("clear", "project").failed(2)
        assert "clearing a context asks first, and there is no terminal to ask on: give --yes" in sentence

    @pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 0), ("n\n", 1, 3)])
    def test_on_a_terminal_it_asks(self, command: Command, edited: Path, answer: str, status: int, left: int) -> None:
        terminal = Terminal("clear", "project", place=command.place)
        terminal.wait_for("Clear 'project'? Its history stays.")
        terminal.type(answer)
        assert terminal.end() == status
        assert len(command("file", "list", "project").out.splitlines()) == left


class TestFiles:
    def test_a_file_is_put_and_removed(self, command: Command, edited: Path) -> None:
        told = command("file", "put", "project", "workspace/new", "/d/new").succeeded()
        assert told == "uploaded workspace/new to /d/new (1 B); revision 3 of project\n"
        command("file", "get", "project", "/d/new", "got").succeeded()
        assert (command.place / "got").read_text() == "1"
        assert command("file", "rm", "project", "/d/new").succeeded() == "removed /d/new from project\n"
        assert "holds no file '/d/new'" in command("file", "get", "project", "/d/new", "got").failed()

    def test_several_are_removed_together_or_not_at_all(self, command: Command, edited: Path) -> None:
        assert "/absent" in command("file", "rm", "project", "/new", "/absent").failed()
        command("file", "rm", "project", "/new", "/a.txt").succeeded()
        assert command("file", "list", "project").out.splitlines()[0].endswith("/sub/")

    def test_a_folder_goes_with_what_is_in_it_only_if_that_is_said(self, command: Command, workspace: Path) -> None:
        command.sync("workspace")
        assert "it is a folder that holds files" in command("file", "rm", "project", "/sub").failed()
        command("file", "rm", "project", "/sub", "-r").succeeded()

    def test_a_source_that_is_not_there_is_named(self, command: Command, edited: Path) -> None:
        assert "absent" in command("file", "put", "project", "absent", "/a").failed()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2 hours ago", NOW - timedelta(hours=2)),
        ("an hour ago", NOW - timedelta(hours=1)),
        ("1 Day ago", NOW - timedelta(days=1)),
        ("90 seconds ago", NOW - timedelta(seconds=90)),
        ("3weeks ago", NOW - timedelta(weeks=3)),
        ("2026-11-25T09:30:00Z", datetime(2026, 11, 25, 9, 30, 0, 999_000, tzinfo=timezone.utc)),
        ("2026-11-25T09:30:00.5+00:00", datetime(2026, 11, 25, 9, 30, 0, 500_000, tzinfo=timezone.utc)),
        ("2026-11-25 09:30", datetime(2026, 11, 25, 9, 30, 0, 999_000).astimezone()),
        ("2026-11-25", datetime(2026, 11, 25, 0, 0, 0, 999_000).astimezone()),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "soon", "2 hours", "hours ago", "-1 hours ago", "2026-13-01", "1e3 days ago", "@1"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        moment_of(text, NOW)


@pytest.mark.parametrize("text", ["999999 weeks ago", "0001-01-01"])
def test_a_time_that_no_revision_is_as_old_as(command: Command, edited: Path, text: str) -> None:
    ended = command("restore", "project", "--to", "back", "--at", text)
    assert ended.status in (1, 2)
    assert "Traceback" not in ended.err
    assert not (command.place / "back").exists()
