"""``ctxmgr attach``: a directory that is synced whenever someone asks, from a process that stays."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr import Client
from tests.cli.attaching import Attached, attaching
from tests.cli.commandline import Command, tree
from tests.integration.serving import Serving, serving

pytestmark = pytest.mark.slow

KEY = "the-key-8231"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "served", CTXMGR_API_KEY=KEY) as running:
        yield running


@pytest.fixture
def there(server: Serving, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a command that uses the server."""
    environ = {"CTXMGR_ENDPOINT": server.address, "CTXMGR_API_KEY": KEY}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.fixture
def client(server: Serving) -> Iterator[Client]:
    with Client(endpoint=server.address, api_key=KEY) as opened:
        yield opened


@pytest.fixture
def attached(command: Command, workspace: Path, there: dict[str, str]) -> Iterator[Attached]:
    with attaching(workspace, "-c", "project", home=command.home, **there) as running:
        running.next("attached")
        yield running


def test_whoever_asks_has_the_sync_done_there(attached: Attached, client: Client) -> None:
    result = client.session(attached.session_id).context.sync()
    assert (result.success, result.files) == (True, 2)
    told = attached.next("synced")
    assert (told["mode"], told["context"], told["status"], told["files"]) == ("upload", "project", "Success", 2)
    assert attached.end() == 0


def test_people_read_a_line_a_sync(command: Command, workspace: Path, there: dict[str, str], client: Client) -> None:
    with command.process("attach", "workspace", "-c", "project") as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("attached workspace: session ")
        client.session(line.split()[-1]).context.sync().raise_for_error()
        assert process.stdout.readline() == b"uploaded 2 files (12.3 kB); revision 1 of project\n"
        process.terminate()
        assert process.wait(30) == 0


def test_it_begins_with_what_the_context_has(command: Command, workspace: Path, there: dict[str, str]) -> None:
    command.sync("workspace").succeeded()
    copy = command.place / "copy"
    with attaching(copy, "-c", "project", home=command.home, **there) as running:
        running.next("attached")
        assert tree(copy) == tree(workspace)


def test_it_begins_with_the_directory_as_it_is_if_told_to(
    command: Command, workspace: Path, there: dict[str, str]
) -> None:
    command.sync("workspace").succeeded()
    copy = command.place / "copy"
    copy.mkdir()
    with attaching(copy, "-c", "project", "--no-download", home=command.home, **there) as running:
        running.next("attached")
        assert tree(copy) == {}


def test_sync_asks_the_process_that_is_attached(command: Command, workspace: Path, attached: Attached) -> None:
    ended = command.sync("workspace")
    assert (ended.status, ended.out) == (0, "uploaded 2 files (12.3 kB); revision 1 of project\n")
    assert ended.err.startswith("it is asked of the process that has the directory: ")
    assert attached.next("synced")["files"] == 2
    assert "last upload: Success" in command("info", "workspace").succeeded()


def test_a_second_one_stands_by_until_the_first_leaves(
    command: Command, workspace: Path, attached: Attached, there: dict[str, str]
) -> None:
    with attaching(workspace, "-c", "project", home=command.home, **there) as second:
        second.wait_for_complaint("stands by until the other process leaves: ")
        assert attached.end() == 0
        assert second.next("attached")["session"] == attached.session_id
        assert second.end() == 0


def test_one_that_stands_by_ends_cleanly(
    command: Command, workspace: Path, attached: Attached, there: dict[str, str]
) -> None:
    with attaching(workspace, "-c", "project", home=command.home, **there) as second:
        second.wait_for_complaint("stands by")
        assert second.end(signal.SIGINT) == 0


def test_a_restarted_server_is_told_once_and_waited_for(
    command: Command, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"CTXMGR_ENDPOINT": f"http://127.0.0.1:{port}", "CTXMGR_API_KEY": KEY}
    with (
        serving(tmp_path / "served", port=port, CTXMGR_API_KEY=KEY) as first,
        attaching(workspace, "-c", "project", home=command.home, **environ) as running,
    ):
        running.next("attached")
        first.end()
        assert running.next("lost")["reason"]
        with (
            serving(tmp_path / "served", port=port, CTXMGR_API_KEY=KEY) as second,
            Client(endpoint=second.address, api_key=KEY) as client,
        ):
            running.next("found")
            assert client.session(running.session_id).context.sync().files == 2
            assert running.next("synced")["files"] == 2
            assert running.end() == 0


def test_a_session_that_was_made_elsewhere(
    command: Command, workspace: Path, there: dict[str, str], client: Client
) -> None:
    context = client.contexts.create("other").context
    session = client.sessions.create(bind={"/work": context}).session
    with attaching(workspace, "--session", session.session_id, home=command.home, **there) as running:
        assert running.next("attached")["session"] == session.session_id
        (workspace / "work" / "new.txt").write_text("new")
        assert session.context.sync().files == 1
        assert running.end() == 0


def test_a_session_that_ends_is_nothing_to_stay_for(attached: Attached, client: Client) -> None:
    client.session(attached.session_id).delete().raise_for_error()
    attached.wait_for_complaint(f"the session {attached.session_id} is over here: ")
    assert attached.process.wait(30) == 1


def test_a_last_upload_at_the_end(command: Command, workspace: Path, there: dict[str, str], client: Client) -> None:
    with attaching(workspace, "-c", "project", "--sync-at-end", home=command.home, **there) as running:
        running.next("attached")
        assert running.end() == 0
    context = client.contexts.get("project").context
    assert client.contexts.history(context).raise_for_error().revisions[0].number == 1


def test_what_is_not_uploaded_at_the_end_is_no_clean_end(
    command: Command, workspace: Path, server: Serving, there: dict[str, str]
) -> None:
    with attaching(workspace, "-c", "project", "--sync-at-end", "--grace", "0", home=command.home, **there) as running:
        running.next("attached")
        server.end(signal.SIGKILL)
        assert running.end() == 3


def test_changes_are_uploaded_when_it_watches(
    command: Command, workspace: Path, there: dict[str, str], client: Client
) -> None:
    with attaching(workspace, "-c", "project", "--watch", home=command.home, **there) as running:
        assert running.next("synced")["files"] == 2
        (workspace / "deep" / "er").mkdir(parents=True)
        (workspace / "deep" / "er" / "new.txt").write_text("new")
        assert running.next("synced")["files"] == 1
        assert running.end() == 0


def test_a_directory_that_is_emptied_is_complained_of_and_not_uploaded(
    command: Command, workspace: Path, there: dict[str, str], client: Client
) -> None:
    with attaching(workspace, "-c", "project", "--watch", home=command.home, **there) as running:
        assert running.next("synced")["files"] == 2
        shutil.rmtree(workspace / "sub")
        (workspace / "a.txt").unlink()
        running.wait_for_complaint("the directory is empty")
        assert running.end() == 3
    context = client.contexts.get("project").context
    assert client.contexts.history(context).raise_for_error().revisions[0].number == 1


def test_a_data_folder_is_kept_up_to_date_without_a_server(command: Command, workspace: Path) -> None:
    with attaching(workspace, "-c", "project", "--watch", home=command.home) as running:
        running.next("attached")
        assert running.next("synced")["files"] == 2
        assert running.end() == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name the context with --context, or a session"),
        (("-c", "one", "--session", "s-1"), "one of them"),
        (("--session", "s-1", "--no-download"), "--no-download goes with --context"),
        (("-c", "one"), "without a server nobody can ask for a sync: give --endpoint"),
    ],
)
def test_options_that_mean_nothing(command: Command, workspace: Path, arguments: tuple[str, ...], told: str) -> None:
    assert told in command("attach", "workspace", *arguments).failed(2)


@pytest.mark.parametrize(
    ("directory", "arguments", "told"),
    [
        ("missing", ("-c", "none"), "missing does not exist"),
        ("workspace/a.txt", ("-c", "none"), "is not a directory"),
        ("workspace", ("--session", "s-none"), "s-none"),
    ],
)
def test_what_can_not_be_attached(
    command: Command, workspace: Path, there: dict[str, str], directory: str, arguments: tuple[str, ...], told: str
) -> None:
    assert told in command("attach", directory, *arguments).failed()
    assert command("context", "list").out == ""


def test_a_process_that_died_is_told_by_info_and_the_next_goes_on(
    command: Command, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "served", "--lease", "0.5", CTXMGR_API_KEY=KEY) as server:
        monkeypatch.setenv("CTXMGR_ENDPOINT", server.address)
        monkeypatch.setenv("CTXMGR_API_KEY", KEY)
        with attaching(workspace, "-c", "project", home=command.home) as running:
            running.next("attached")
            # Stopped, it takes a task and does nothing with it, as one that died does.
            running.process.send_signal(signal.SIGSTOP)
            with Client(endpoint=server.address, api_key=KEY) as client:
                result = client.session(running.session_id).context.sync()
            assert not result.success
            running.end(signal.SIGKILL)
        assert "last upload: Failed" in command("info", "workspace").succeeded()
        assert command.sync("workspace").out == "uploaded 2 files (12.3 kB); revision 1 of project\n"
