"""What info() tells of a session's tasks."""

from __future__ import annotations

import pytest

from ctxmgr import Client, ContextManager, ContextStatusData, NotFoundError, ProtocolError
from tests.support.answers import REQUEST_ID, entry, listed, ok, refused
from tests.support.scripted import ScriptedServer


def test_it_tells_every_task(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed(entry(path="/a"), entry("Failed", path="/b", error="disk full")))
    result = manager.info()
    assert result.context_status_data == [
        ContextStatusData(
            context_id="SdkCtx-1", path="/a", status="Success", start_time=200, finish_time=205, task_type="upload"
        ),
        ContextStatusData(
            context_id="SdkCtx-1",
            path="/b",
            status="Failed",
            error_message="disk full",
            start_time=200,
            finish_time=205,
            task_type="upload",
        ),
    ]


def test_a_session_without_tasks_is_a_success(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed())
    result = manager.info()
    assert (result.success, result.context_status_data) == (True, [])


def test_it_carries_the_request_id(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed())
    result = manager.info()
    assert result.request_id == REQUEST_ID


def test_without_arguments_it_asks_for_the_whole_session(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed())
    manager.info()
    assert server.requests[0].parameters == {"SessionId": "s-1"}


def test_what_it_is_narrowed_to_is_sent(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed())
    manager.info("SdkCtx-1", "/data", "upload")
    narrowed = {"SessionId": "s-1", "ContextId": "SdkCtx-1", "Path": "/data", "TaskType": "upload"}
    assert server.requests[0].parameters == narrowed


def test_it_may_be_narrowed_to_one_task_type_alone(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed())
    manager.info(task_type="download")
    assert server.requests[0].parameters == {"SessionId": "s-1", "TaskType": "download"}


def test_a_refusal_is_a_result(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", refused("InvalidMcpSession.NotFound", "no such session"))
    result = manager.info()
    assert (result.success, result.context_status_data) == (False, [])
    assert result.error_message == "[InvalidMcpSession.NotFound] no such session"


def test_a_refusal_can_be_raised(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", refused("InvalidMcpSession.NotFound", "no such session"))
    result = manager.info()
    with pytest.raises(NotFoundError):
        result.raise_for_error()


def test_a_status_that_cannot_be_read_is_raised_with_its_path(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", listed(entry(), entry(startTime=[])))
    with pytest.raises(ProtocolError, match=r"^Data\.ContextStatus\[0\]\.data\[1\]\.startTime: expected int"):
        manager.info()


def test_a_status_that_is_no_text_is_raised_with_its_path(server: ScriptedServer, manager: ContextManager) -> None:
    server.script("GetContextInfo", ok({"ContextStatus": [entry()]}))
    with pytest.raises(ProtocolError, match=r"^Data\.ContextStatus is a list, not a JSON string$"):
        manager.info()


def test_the_credential_is_in_the_body(server: ScriptedServer, client: Client) -> None:
    server.script("GetContextInfo", listed())
    client.session("s-1").context.info()
    (request,) = server.requests
    assert (request.credential_place, request.credential) == ("body", "Bearer akm-0123456789")
