"""Requests that wait for a task over HTTP: answered at its end, and costing no thread until then."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests

from ctxmgr.engine.workspace.locks import held
from ctxmgr.testing import Service, serve

from .asking import PATIENCE, Asker, Waiting, connect, entries, until

LONG = 60_000


def trigger(asker: Asker, session: str) -> str:
    (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
    return str(task)


def parked(service: Service) -> int:
    """How many wait, as an operator sees it."""
    text = requests.get(service.endpoint + "/metrics", timeout=PATIENCE).text
    (line,) = (line for line in text.splitlines() if line.startswith("ctxmgr_parked_requests "))
    return int(float(line.split()[1]))


def send_poll(service: Service, asker: Asker, session: str, task: str) -> socket.socket:
    form = asker.form(SessionId=session, TaskIds=[task], WaitMs=LONG)
    body = urlencode(form).encode()
    connection = connect(service.endpoint)
    connection.sendall(
        b"POST /?Action=GetContextInfo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        b"content-type: application/x-www-form-urlencoded\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    )
    return connection


def received(connection: socket.socket) -> dict[str, object]:
    with connection:
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))


def test_a_parked_request_is_answered_when_its_task_ends(ctxmgr_service: Service, asker: Asker) -> None:
    session = asker.session()
    ctxmgr_service.faults.freeze()
    task = trigger(asker, session)
    waiting = Waiting(asker, "GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=LONG)
    until(lambda: parked(ctxmgr_service) == 1)
    ctxmgr_service.faults.thaw()
    (entry,) = entries(waiting.answer()["Data"])
    assert (entry["taskId"], entry["status"]) == (task, "Success")
    assert parked(ctxmgr_service) == 0


def test_a_parked_request_is_answered_when_its_time_is_up(ctxmgr_service: Service, asker: Asker) -> None:
    session = asker.session()
    ctxmgr_service.faults.freeze()
    task = trigger(asker, session)
    began = time.monotonic()
    (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=150))
    assert entry["status"] == "Waiting"
    assert time.monotonic() - began >= 0.15


def test_the_end_of_one_sessions_task_wakes_nobody_else(ctxmgr_service: Service, asker: Asker, tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    held_session, free = asker.session(Root=str(tmp_path / "held")), asker.session()
    engine = ctxmgr_service.service._runtime
    with held(engine.folder.workspace_lock(str(tmp_path / "held")), lambda: None):
        held_task = trigger(asker, held_session)
        waiting = Waiting(asker, "GetContextInfo", SessionId=held_session, TaskIds=[held_task], WaitMs=LONG)
        until(lambda: parked(ctxmgr_service) == 1)
        assert asker.wait(free, trigger(asker, free))["status"] == "Success"
        assert parked(ctxmgr_service) == 1
    (entry,) = entries(waiting.answer()["Data"])
    assert (entry["taskId"], entry["status"]) == (held_task, "Success")


def test_many_parked_requests_hold_no_thread_each(ctxmgr_service: Service, asker: Asker) -> None:
    session = asker.session()
    ctxmgr_service.faults.freeze()
    task = trigger(asker, session)
    before = threading.active_count()
    connections = [send_poll(ctxmgr_service, asker, session, task) for _ in range(300)]
    until(lambda: parked(ctxmgr_service) == 300)
    assert threading.active_count() == before
    # The door answers others all the while.
    assert asker.data("ListContexts")
    ctxmgr_service.faults.thaw()
    answers = [received(connection) for connection in connections]
    assert all(answer["Success"] for answer in answers)
    assert {entries(answer["Data"])[0]["status"] for answer in answers} == {"Success"}  # type: ignore[arg-type] # JSON


def test_a_client_that_goes_away_is_forgotten(ctxmgr_service: Service, asker: Asker) -> None:
    session = asker.session()
    ctxmgr_service.faults.freeze()
    connection = send_poll(ctxmgr_service, asker, session, trigger(asker, session))
    until(lambda: parked(ctxmgr_service) == 1)
    connection.close()
    until(lambda: parked(ctxmgr_service) == 0)
    assert session not in ctxmgr_service.service._runtime.listeners._by_session


def test_a_key_revoked_meanwhile_gets_no_answer(
    ctxmgr_service: Service, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.http.access.SECONDS_REMEMBERED", -1.0)
    session = asker.session()
    ctxmgr_service.faults.freeze()
    task = trigger(asker, session)
    waiting = Waiting(asker, "GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=LONG)
    until(lambda: parked(ctxmgr_service) == 1)
    ctxmgr_service.service.keys.revoke("test 1")
    ctxmgr_service.faults.thaw()
    assert waiting.answer()["Code"] == "Forbidden.Key"


def test_a_stopping_server_answers_what_is_parked() -> None:
    with serve() as service, Asker(service.endpoint, service.api_key) as asker:
        session = asker.session()
        service.faults.freeze()
        task = trigger(asker, session)
        waiting = Waiting(asker, "GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=LONG)
        until(lambda: parked(service) == 1)
    (entry,) = entries(waiting.answer()["Data"])  # which waits for less than the request may park
    assert entry["status"] == "Waiting"
