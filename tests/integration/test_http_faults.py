"""``ctxmgr.testing``: the service misbehaves as it is told to, and the client copes or says so."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ctxmgr.errors import ArgumentError, ConnectionFailed
from ctxmgr.testing import Service, serve

from .asking import Asker


def test_a_failure_is_counted_down(ctxmgr_service: Service, asker: Asker) -> None:
    ctxmgr_service.faults.fail("ListContexts", "InvalidContext.NotFound", times=2, message="gone")
    answers = [asker.ask("ListContexts") for _ in range(3)]
    assert [answer["Code"] for answer in answers] == ["InvalidContext.NotFound"] * 2 + ["ok"]
    assert answers[0]["Message"] == "gone"


def test_a_failure_of_the_service_is_repaired_by_asking_again(ctxmgr_service: Service) -> None:
    ctxmgr_service.faults.fail("ListContexts", "InternalError", times=1)
    with ctxmgr_service.client() as client:
        assert client.contexts.list().success


def test_a_failure_that_stays_is_told(ctxmgr_service: Service) -> None:
    ctxmgr_service.faults.fail("ListContexts", "InternalError", times=None)
    with ctxmgr_service.client(attempts=2) as client:
        assert client.contexts.list().error_message == "[InternalError] ListContexts was made to fail"


def test_a_dropped_connection_is_an_error_of_the_transport(ctxmgr_service: Service) -> None:
    ctxmgr_service.faults.drop("ListContexts", times=None)
    with ctxmgr_service.client(attempts=1) as client, pytest.raises(ConnectionFailed):
        client.contexts.list()


def test_a_request_dropped_before_is_not_carried_out(ctxmgr_service: Service, asker: Asker) -> None:
    ctxmgr_service.faults.drop("GetContext")
    with ctxmgr_service.client(attempts=1) as client, pytest.raises(ConnectionFailed):
        client.contexts.get("project", create=True)
    assert asker.data("ListContexts") == []


def test_a_request_dropped_after_is(ctxmgr_service: Service, asker: Asker) -> None:
    ctxmgr_service.faults.drop("GetContext", after=True)
    with ctxmgr_service.client(attempts=1) as client, pytest.raises(ConnectionFailed):
        client.contexts.get("project", create=True)
    assert [context["Name"] for context in asker.data("ListContexts")] == ["project"]


def test_any_action_is_meant_by_a_star(ctxmgr_service: Service, asker: Asker) -> None:
    ctxmgr_service.faults.fail("*", "Throttling", times=1)
    assert asker.ask("ListSession")["Code"] == "Throttling"
    assert asker.ask("ListSession")["Success"]


def test_nothing_is_left_after_a_clear(ctxmgr_service: Service, asker: Asker) -> None:
    ctxmgr_service.faults.fail("*", times=None)
    ctxmgr_service.faults.freeze()
    ctxmgr_service.faults.clear()
    assert asker.session()


def test_a_delay_is_waited_for(ctxmgr_service: Service, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("ctxmgr.testing.sleep", sleep)
    ctxmgr_service.faults.delay("ListContexts", 1.5, times=1)
    asker.ask("ListContexts")
    asker.ask("ListContexts")
    assert slept.count(1.5) == 1


def test_frozen_tasks_wait_until_they_are_thawed(ctxmgr_service: Service, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    with ctxmgr_service.client() as client:
        context = client.contexts.get("project", create=True).context
        with client.sessions.create(root=str(tmp_path), bind={"/": context}).session as session:
            ctxmgr_service.faults.freeze()
            ended = threading.Event()
            session.context.sync(callback=lambda ok: ended.set())
            assert "Success" not in {
                entry.status for entry in session.context.info(task_type="upload").context_status_data
            }
            ctxmgr_service.faults.thaw()
            assert ended.wait(30)


def test_a_service_with_frozen_tasks_can_be_closed() -> None:
    with serve() as service, Asker(service.endpoint, service.api_key) as asker:
        session = asker.session()
        service.faults.freeze()
        asker.data("SyncContext", SessionId=session)
    assert not service.folder.exists()


def test_what_a_fault_can_not_be_is_refused(ctxmgr_service: Service) -> None:
    with pytest.raises(ArgumentError, match="times is 0"):
        ctxmgr_service.faults.fail("ListContexts", times=0)
    with pytest.raises(ArgumentError, match="seconds is -1"):
        ctxmgr_service.faults.delay("ListContexts", -1)


async def test_the_client_for_asyncio_speaks_to_it_too(ctxmgr_service: Service) -> None:
    async with ctxmgr_service.async_client() as client:
        assert (await client.contexts.list()).success


def test_a_key_of_another_account_opens_another_account(ctxmgr_service: Service) -> None:
    with ctxmgr_service.client() as client, ctxmgr_service.client(api_key=ctxmgr_service.key("other")) as other:
        client.contexts.get("project", create=True)
        assert [found.name for found in client.contexts.list().contexts] == ["project"]
        assert other.contexts.list().contexts == []


def test_a_data_folder_of_ones_own_is_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with serve(tmp_path / "data") as service, Asker(service.endpoint, service.api_key) as asker:
            asker.context("project")
            service.service.keys.revoke("test 1")
    assert (tmp_path / "data" / "catalog.db").exists()
