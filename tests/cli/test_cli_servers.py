"""The command with a server instead of a data folder, also with servers that answer nonsense."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from ctxmgr import Client, retry
from ctxmgr.cli import progress
from ctxmgr.service.api import rootproof
from tests.cli.commandline import Command, tree
from tests.cli.served import Answering, proven, serving
from tests.support.scripted import Dropped, Raw, Recorded, ScriptedServer

KEY = "the-key-8231"


@pytest.fixture(autouse=True)
def _key(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTXMGR_API_KEY", KEY)
    monkeypatch.delenv("CTXMGR_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/no-data-folder-may-be-made")
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
    assert {request.credential for request in served.requests} == {f"Bearer {KEY}"}
    assert all(request.credential_place == "body" for request in served.requests)


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
    server.script("ProveRoot", proven)
    for action in ("ListContexts", "GetContext"):
        server.script(action, answer)
    sentence = command(*arguments, "--endpoint", server.url).failed()
    assert told in sentence
    assert KEY not in sentence


def test_a_server_that_takes_no_notice_of_the_root_uploads_nothing_and_is_no_success(
    command: Command, workspace: Path
) -> None:
    def without_root(request: Recorded, answer: Answering) -> dict[str, Any]:
        others = {name: value for name, value in request.parameters.items() if name != "Root"}
        found = answer(request if request.action == "ProveRoot" else attrs.evolve(request, parameters=others))
        if request.action == "CreateMcpSession":
            del found["Data"]["Root"]
        return found

    with serving(command.home, without_root) as server:
        told = command.sync("workspace", "--endpoint", server.url).failed()
        assert "it works in directories of its own only" in told
        assert server.asked("SyncContext") == []
        assert len(server.asked("DeleteSessionAsync")) == 1


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


def test_what_the_servers_own_machine_lacks_is_passed_on(
    command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(request: Recorded, answer: Answering) -> dict[str, Any]:
        moved = {**request.parameters, "Root": "/proc/there-is-no-such-directory"}
        return answer(attrs.evolve(request, parameters=moved) if "Root" in request.parameters else request)

    with serving(command.home, elsewhere) as server:
        told = command.sync("workspace", "--endpoint", server.url).failed()
    assert "must be a directory that exists" in told
    assert os.listdir(command.place) == ["workspace"]


COMMANDS = [
    ("sync", "workspace", "-c", "project"),
    ("sync", "workspace", "-c", "project", "-n"),
    ("sync", "copy", "-c", "project", "--mode", "download"),
    ("sync", "copy", "-c", "project", "--mode", "download", "-n"),
    ("info", "workspace"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_server_with_another_directory_of_that_path_is_refused_and_nothing_is_done(
    command: Command, workspace: Path, arguments: tuple[str, ...]
) -> None:
    """The other machine: what the client calls by a path, the server finds elsewhere, with other files in it."""
    theirs = command.place.parent / "theirs"
    (theirs / "workspace").mkdir(parents=True)
    (theirs / "workspace" / "of the server").write_text("not the user's")

    def on_another_machine(request: Recorded, answer: Answering) -> dict[str, Any]:
        if "Root" not in request.parameters:
            return answer(request)
        moved = request.parameters["Root"].replace(str(command.place), str(theirs))
        return answer(attrs.evolve(request, parameters={**request.parameters, "Root": moved}))

    with serving(command.home, on_another_machine) as server:
        with Client(endpoint=server.url, api_key=KEY) as client:
            client.contexts.create("project").raise_for_error()
        told = command(*arguments, "--endpoint", server.url).failed()
        assert "is not proven to be within the server's reach: it has another directory of the path" in told
        assert "use a data folder here (--data), or run 'ctxmgr serve --root DIR' here" in told
        for action in ("CreateMcpSession", "SyncContext", "PlanSync", "ListSession"):
            assert server.asked(action) == []
    assert sorted(path.name for path in command.place.rglob("*")) == ["a.txt", "b.txt", "sub", "workspace"]


@pytest.mark.parametrize("arguments", [COMMANDS[0], COMMANDS[1], COMMANDS[4]], ids=" ".join)
@pytest.mark.parametrize(
    "answer",
    [
        {"Success": False, "Code": "InvalidAction.NotFound", "Message": "there is no action 'ProveRoot' here"},
        {"Success": True, "Data": {"Token": "0" * 32}},
        {"Success": True, "Data": {"Token": ""}},
        {"Success": True},
        Raw(b"<html>Sign in</html>", headers={"Content-Type": "text/html"}),
    ],
)
def test_a_server_that_can_not_prove_what_it_reaches_is_refused(
    command: Command,
    workspace: Path,
    server: ScriptedServer,
    arguments: tuple[str, ...],
    answer: Raw | dict[str, object],
) -> None:
    server.script("ProveRoot", answer)
    assert command(*arguments, "--endpoint", server.url).failed()
    assert {request.action for request in server.requests} <= {"ProveRoot"}
    assert tree(command.place).keys() == {b"workspace/a.txt", b"workspace/sub/b.txt"}


def test_a_proof_that_another_sync_clears_away_is_tried_again(
    command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = []

    def cleared_once(request: Recorded, answer: Answering) -> dict[str, Any]:
        if request.action == "ProveRoot":
            proofs.append(workspace / request.parameters["Proof"])
            if len(proofs) == 1:
                proofs[0].unlink()
        return answer(request)

    with serving(command.home, cleared_once) as server:
        command.sync("workspace", "--endpoint", server.url).succeeded()
    assert len(proofs) == 2


def test_a_directory_that_nothing_can_be_written_to_is_not_proven(
    command: Command, workspace: Path, served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(rootproof, "written_proof", full)
    assert (
        "to prove it: No space left on device; make room on that disk, and try again"
        in command.sync("workspace").failed()
    )


def test_what_other_libraries_log_is_no_noise(command: Command, server: ScriptedServer) -> None:
    server.script("ListContexts", Dropped(after=b"HTTP/1.1 200 OK\r\nContent-Len"))
    line = ("context", "list", "--endpoint", server.url)
    assert command.separately(*line).failed().endswith("with nothing in it")
