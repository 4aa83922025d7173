"""The command with a server instead of a data folder, also with servers that answer nonsense."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctxmgr import Client, retry
from ctxmgr.cli import progress
from tests.cli.commandline import PATIENCE, Command, tree
from tests.cli.served import Answering, serving
from tests.support.scripted import Dropped, Raw, Recorded, ScriptedServer

KEY = "the-key-8231"


@pytest.fixture(autouse=True)
def _key(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTXMGR_API_KEY", KEY)
    monkeypatch.setenv("CTXMGR_HOME", str(command.place.parent / "remembered"))
    monkeypatch.setattr(retry, "_BASE", 0.001)


@pytest.fixture
def served(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving(command.home) as server:
        monkeypatch.setenv("CTXMGR_ENDPOINT", server.url)
        yield server


def test_a_server_that_permits_the_root_syncs_as_the_data_folder_does(
    command: Command, workspace: Path, served: ScriptedServer
) -> None:
    assert command.sync("workspace").succeeded() == "uploaded 2 files (12.3 kB); revision 1 of project\n"
    assert command.sync("workspace").succeeded() == "nothing changed: project is at revision 1\n"
    command.sync("copy", "--mode", "download").succeeded()
    assert tree(command.place / "copy") == tree(workspace)
    assert command("info", "copy").succeeded().startswith("project\n  last upload: never\n  last download: Success")
    assert len(command("file", "list", "project").succeeded().splitlines()) == 3
    assert command("context", "delete", "project", "-y").succeeded() == "deleted project\n"


def test_a_dry_run_leaves_no_context_and_no_session(command: Command, workspace: Path, served: ScriptedServer) -> None:
    assert "would upload 2 files" in command.sync("workspace", "-n").succeeded()
    assert command("context", "list").out == ""


def test_the_key_is_sent_and_shown_nowhere(command: Command, workspace: Path, served: ScriptedServer) -> None:
    command.sync("workspace").succeeded()
    actions = [request for request in served.requests if not request.action.startswith("/node/")]
    assert {request.credential for request in actions} == {f"Bearer {KEY}"}
    assert all(request.credential_place == "body" for request in actions)
    calls = [request for request in served.requests if request not in actions]
    assert {request.headers["Authorization"] for request in calls} == {f"Bearer {KEY}"}
    assert not any(KEY in request.target for request in served.requests)


def test_a_server_on_the_command_line_counts_more_than_a_folder_in_the_environment(
    command: Command, served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTXMGR_HOME", str(command.place / "unused"))
    command("context", "list", "--endpoint", served.url)
    assert len(served.asked("ListContexts")) == 1


def test_a_folder_on_the_command_line_counts_more_than_a_server_in_the_environment(
    command: Command, served: ScriptedServer
) -> None:
    command("context", "create", "one", "--data", "folder").succeeded()
    assert served.requests == []


def test_a_server_without_a_key(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CTXMGR_API_KEY")
    monkeypatch.setenv("AGENTBAY_API_KEY", "the key of another service")
    expected = "there is no key for the server: set CTXMGR_API_KEY in the environment"
    assert command("context", "list", "--endpoint", "http://127.0.0.1:9").failed() == expected


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("127.0.0.1:8700", "has no scheme: write http://127.0.0.1:8700 or https://127.0.0.1:8700"),
        ("ftp://127.0.0.1", "only http and https are spoken"),
        ("http://", "names no host"),
        ("http://127.0.0.1:port", "is not a URL"),
    ],
)
def test_an_endpoint_that_is_none(command: Command, endpoint: str, told: str) -> None:
    assert told in command("context", "list", "--endpoint", endpoint).failed()


def test_a_key_in_the_endpoint_is_not_shown(command: Command) -> None:
    told = command("context", "list", "--endpoint", f"http://user:{KEY}@127.0.0.1").failed()
    assert "CTXMGR_API_KEY" in told
    assert KEY not in told


def test_a_server_that_is_not_there(command: Command, workspace: Path) -> None:
    with ScriptedServer() as server:
        gone = server.url
    told = command.sync("workspace", "--endpoint", gone).failed()
    assert told.startswith(f"no connection to {gone}")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Raw(b"<html>Sign in</html>", headers={"Content-Type": "text/html"}), "is not a JSON document (text/html)"),
        (Raw(b'{"Success": true, "Data": [{"Id"'), "is not a JSON document"),
        (Raw(b""), "with nothing in it"),
        (Raw(b"[]"), "not an envelope"),
        (Raw(b'{"Success": true, "Data": 7}'), "Data"),
        (Dropped(), "broke"),
        (Dropped(after=b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), "broke"),
        (Dropped(after=b"HTTP/1.1 200 OK\r\nContent-Len"), "with nothing in it"),
        ({"Success": False, "Code": "InvalidApiKey", "Message": "no such key"}, "no such key [InvalidApiKey]"),
    ],
)
@pytest.mark.parametrize("arguments", [("context", "list"), ("sync", "workspace", "-c", "project")])
def test_a_server_that_answers_something_else(
    command: Command,
    workspace: Path,
    server: ScriptedServer,
    arguments: tuple[str, ...],
    answer: Raw | Dropped | dict[str, object],
    told: str,
) -> None:
    for action in ("ListContexts", "GetContext"):
        server.script(action, answer)
    sentence = command(*arguments, "--endpoint", server.url).failed()
    assert told in sentence
    assert KEY not in sentence


def test_a_server_that_falls_silent_is_given_up_and_that_is_no_success(
    command: Command, workspace: Path, served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SILENCE", 0.1)
    monkeypatch.setattr(progress, "_BEFORE_BAR", 0.01)
    monkeypatch.setattr(progress, "_BETWEEN_LOOKS", 0.01)
    served.script("GetContextInfo", {"Success": True, "Data": None}, Dropped())
    ended = command.sync("workspace", "--json")
    assert ended.status == 1
    assert ended.sentence.startswith("the upload was begun and is not proven done: the server has not answered since")
    assert ended.document["success"] is False


def test_the_directory_is_of_this_machine_whatever_the_server_has_there(
    command: Command, workspace: Path, served: ScriptedServer
) -> None:
    command.sync("workspace").succeeded()
    (made,) = served.asked("CreateMcpSession")
    assert made.parameters["Node"].startswith("node-")
    assert made.parameters["Root"] == str(workspace)


def test_a_session_is_kept_for_the_directory_from_one_run_to_the_next(
    command: Command, workspace: Path, served: ScriptedServer
) -> None:
    for _ in range(3):
        command.sync("workspace").succeeded()
    assert [len(served.asked(action)) for action in ("CreateMcpSession", "/node/attach", "/node/leave")] == [1, 2, 3]


def test_a_directory_of_that_path_on_another_machine_is_another(
    command: Command, workspace: Path, served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.sync("workspace").succeeded()
    monkeypatch.setenv("CTXMGR_HOME", str(command.place.parent / "another machine"))
    assert "no context is kept for" in command("info", "workspace").failed()
    command.sync("workspace").succeeded()
    assert len(served.asked("CreateMcpSession")) == 2


def test_a_process_that_has_the_directory_at_this_moment_is_asked(
    command: Command, workspace: Path, served: ScriptedServer
) -> None:
    command.sync("workspace").succeeded()
    with Client(endpoint=served.url, api_key=KEY) as client:
        (session,) = client.sessions.iter()
        client.sessions.attach(session.session_id, workspace).raise_for_error()
        ended = command.sync("workspace")
    assert (ended.status, ended.out) == (0, "nothing changed: project is at revision 1\n")
    assert ended.err.startswith("it is asked of the process that has the directory: ")
    assert len(served.asked("CreateMcpSession")) == 1


def test_a_second_sync_at_once_waits_its_turn(
    command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def between(request: Recorded, answer: Answering) -> dict[str, Any]:
        if request.action == "SyncContext" and not begun.is_set():
            begun.set()
            assert go_on.wait(PATIENCE)
        return answer(request)

    line = ("sync", "workspace", "-c", "project")
    with serving(command.home, between) as server:
        monkeypatch.setenv("CTXMGR_ENDPOINT", server.url)
        with command.process(*line) as first:
            assert begun.wait(PATIENCE)
            with command.process(*line) as second:
                assert second.stderr is not None
                assert second.stderr.readline() == b"waits for another sync of the directory to end\n"
                go_on.set()
                assert first.communicate()[0] == b"uploaded 2 files (12.3 kB); revision 1 of project\n"
                assert second.communicate()[0] == b"nothing changed: project is at revision 1\n"
        assert len(server.asked("CreateMcpSession")) == 1


def test_a_server_without_nodes_is_told_apart_before_anything_is_done(command: Command, workspace: Path) -> None:
    with serving(command.home) as server:
        server.script("/node/hello", {"Success": False, "Code": "InvalidAction.NotFound", "Message": "no such action"})
        told = command.sync("workspace", "--endpoint", server.url).failed()
        assert told.startswith("this service syncs no directory of another machine")
        assert server.asked("CreateMcpSession") == []


def test_a_directory_with_the_folder_of_what_is_remembered_is_refused(
    command: Command, served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command.place / "all").mkdir()
    monkeypatch.setenv("CTXMGR_HOME", str(command.place / "all" / "home"))
    assert "name another data folder in CTXMGR_HOME" in command.sync("all").failed()


def test_a_data_folder_is_still_to_be_made_where_only_servers_were_used(
    command: Command, workspace: Path, served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.sync("workspace").succeeded()
    monkeypatch.delenv("CTXMGR_ENDPOINT")
    assert command("context", "list").err.startswith("no contexts yet")
    command.sync("workspace").succeeded()
    assert command("context", "list").succeeded() != ""


def test_what_other_libraries_log_is_no_noise(command: Command, server: ScriptedServer) -> None:
    server.script("ListContexts", Dropped(after=b"HTTP/1.1 200 OK\r\nContent-Len"))
    line = ("context", "list", "--endpoint", server.url)
    assert command.separately(*line).failed().endswith("with nothing in it")
