"""Nodes that go, lose their service or are refused: clear errors, nothing lost, and no success that is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctxmgr import Client, ContextStatusData, DataFolderError, Session
from ctxmgr.engine.workspace import state
from ctxmgr.node import node as nodes
from ctxmgr.testing import Service, serve
from tests.integration.serving import environment_with, serving
from tests.support.gates import Gate
from tests.support.scripted import PATIENCE
from tests.unit.test_forks import Child

LEASE = 0.5
"""Seconds: long enough for a node to be heard of, short enough to wait for."""

NODE = """
import os, sys, threading
from ctxmgr import Client
from ctxmgr.engine.sync.run import Syncs

def hang(self, task, root, monitor):
    print("begun", flush=True)
    threading.Event().wait()

if sys.argv[2] == "hangs":
    Syncs._upload = hang
client = Client()
context = client.contexts.get("project", create=True).context
session = client.sessions.create(sys.argv[1], {"/": context}).session
print(session.session_id, flush=True)
if sys.argv[2] == "ends":
    sys.exit()
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "a.txt").write_text("one")
    return root


@pytest.fixture
def service() -> Iterator[Service]:
    with serve(lease=LEASE) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Client:
    return service.client()


@contextmanager
def another_process(service: Service, root: Path, how: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that is the node of a session, and the session's id."""
    environment = environment_with(CTXMGR_ENDPOINT=service.endpoint, CTXMGR_API_KEY=service.api_key)
    command = [sys.executable, "-c", NODE, str(root), how]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def session_at(client: Client, root: Path) -> Session:
    return client.sessions.create(root, {"/": client.contexts.get("project", create=True).context}).session


def names(client: Client) -> list[str]:
    return sorted(file.name for file in client.files.list(client.contexts.get("project").context).files)


def tasks_of(session: Session) -> list[ContextStatusData]:
    return session.context.info(task_type="upload").raise_for_error().context_status_data


class TestNodeThatGoes:
    def test_what_a_killed_one_had_begun_fails_after_its_lease_and_the_next_one_goes_on(
        self, service: Service, client: Client, root: Path
    ) -> None:
        with another_process(service, root, "hangs") as (process, session_id):
            session = client.session(session_id)
            results = []
            syncing = threading.Thread(target=lambda: results.append(session.context.sync()))
            syncing.start()
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            process.kill()
            syncing.join(PATIENCE)
        (result,) = results
        assert not result.success
        assert f", pid {process.pid}) has not been heard of for 0.5 s" in result.error_message
        assert names(client) == []
        attached = client.sessions.attach(session_id, root).session
        assert attached.context.sync().raise_for_error().files == 1
        assert names(client) == ["a.txt"]

    def test_one_that_ends_without_closing_leaves_at_once(self, service: Service, client: Client, root: Path) -> None:
        service.service._runtime.leases.seconds = 3600.0
        with another_process(service, root, "ends") as (process, session_id):
            assert process.wait(PATIENCE) == 0
        assert client.sessions.attach(session_id, root, wait=False).success

    def test_closing_it_in_the_middle_of_an_upload_is_prompt_and_told(
        self, service: Service, client: Client, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nodes.Node.close, "__defaults__", (0.0,))
        gate = Gate(monkeypatch)
        session = session_at(client, root)
        called: list[bool] = []
        session.context.sync(callback=called.append)
        gate.wait()
        client.close()
        assert called == [False]
        (task,) = tasks_of(service.client().session(session.session_id))
        assert (task.status, task.error_message) == (
            "Failed",
            "interrupted: the process that had the directory left",
        )

    def test_a_second_one_is_refused_or_stands_by_until_the_first_leaves(self, service: Service, root: Path) -> None:
        first, second = service.client(), service.client()
        session = session_at(first, root)
        refused = second.sessions.attach(session.session_id, root, wait=False)
        assert refused.error_message.startswith(f"[Node.Conflict] the process {os.getpid()} on ")
        found = []
        standing_by = threading.Thread(target=lambda: found.append(second.sessions.attach(session.session_id, root)))
        standing_by.start()
        assert session.context.sync().success
        first.close()
        standing_by.join(PATIENCE)
        (root / "b.txt").write_text("two")
        assert found[0].session.context.sync().raise_for_error().files == 1

    def test_one_that_lost_its_session_while_it_was_not_heard_of_stands_by_for_the_one_that_took_it(
        self, service: Service, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nodes, "STANDBY_MS", 10)
        first, second = service.client(), service.client()
        session = session_at(first, root)
        leases = service.service._runtime.leases
        with service.service._runtime.catalog.write() as connection:
            leases.leave(connection, "local", first._core.node.open().id)  # type: ignore[union-attr]
        assert second.sessions.attach(session.session_id, root, wait=False).success
        second.close()
        found = first.session(session.session_id).context.sync()
        assert found.success

    def test_a_forked_child_is_no_node_and_becomes_one_of_its_own(
        self, client: Client, root: Path, tmp_path: Path
    ) -> None:
        session = session_at(client, root)
        other = tmp_path / "other"
        other.mkdir()

        def in_child() -> object:
            synced = session_at(client, other).context.sync()
            client.close()
            return synced.success

        assert Child(in_child).outcome() == "True"
        assert session.context.sync().success


class TestServiceThatGoes:
    def test_one_that_is_killed_in_the_middle_and_started_again_costs_time_alone(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate(monkeypatch)
        data = tmp_path / "data"
        with serving(data, CTXMGR_API_KEY="the-key-8231") as first:
            port = int(first.address.rpartition(":")[2])
            with Client(endpoint=first.address, api_key="the-key-8231") as client:
                session = session_at(client, root)
                called: list[bool] = []
                ended = threading.Event()

                def hear(ok: bool) -> None:
                    called.append(ok)
                    ended.set()

                session.context.sync(callback=hear)
                gate.wait()
                first.end(signal.SIGKILL)
                with serving(data, port=port, CTXMGR_API_KEY="the-key-8231"):
                    gate.open()
                    assert ended.wait(PATIENCE)
                    assert called == [True]
                    assert names(client) == ["a.txt"]

    def test_a_key_that_is_revoked_in_the_middle_is_an_error_that_says_so(
        self, service: Service, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate(monkeypatch)
        key, text = service.service.keys.create("a key that is revoked", "local")
        client = service.client(api_key=text)
        session = session_at(client, root)
        results = []
        syncing = threading.Thread(target=lambda: results.append(session.context.sync()))
        syncing.start()
        gate.wait()
        service.service.keys.revoke(key.id)
        while client.contexts.list().success:
            pass  # the server may remember a key for a second
        gate.open()
        syncing.join(PATIENCE)
        assert results[0].error_message.startswith("[Forbidden.Key]")
        client.close()
        assert names(service.client()) == []

    def test_a_context_that_is_deleted_in_the_middle_is_named(
        self, service: Service, client: Client, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate(monkeypatch)
        session = session_at(client, root)
        context = client.contexts.get("project").context
        results = []
        syncing = threading.Thread(target=lambda: results.append(session.context.sync()))
        syncing.start()
        gate.wait()
        client.contexts.delete(context).raise_for_error()
        gate.open()
        syncing.join(PATIENCE)
        assert not results[0].success
        assert (root / "a.txt").read_text() == "one"

    def test_the_clock_of_the_node_does_not_count(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(tmp_path / "data", CTXMGR_API_KEY="the-key-8231") as running:
            now = time.time
            monkeypatch.setattr(time, "time", lambda: now() + 366 * 86400)
            with Client(endpoint=running.address, api_key="the-key-8231") as client:
                session = session_at(client, root)
                assert session.context.sync().raise_for_error().files == 1
                assert session.context.sync().nothing_to_sync
                (root / "a.txt").unlink()
                assert session.context.sync(mode="download").success


class TestFolderOfTheNode:
    def test_one_that_is_full_fails_what_needs_it_and_loses_nothing(
        self, client: Client, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = session_at(client, root)
        session.context.sync().raise_for_error()
        (root / "a.txt").unlink()

        def full(*arguments: object, **named: object) -> None:
            raise OSError(28, "No space left on device", str(root.parent / "home"))

        monkeypatch.setattr(state, "replace_durably", full)
        result = session.context.sync(mode="download")
        assert "No space left on device" in result.error_message
        monkeypatch.undo()
        assert names(client) == ["a.txt"]

    def test_one_that_can_not_be_made_is_named_before_anything_is_created(
        self, client: Client, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "file"))
        context = client.contexts.create("project").context
        with pytest.raises(DataFolderError, match="CTXMGR_HOME"):
            client.sessions.create(root, {"/": context})
        assert list(client.sessions.iter()) == []
