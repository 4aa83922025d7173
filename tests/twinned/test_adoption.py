"""Sessions of AgentBay's SDK, synced with proof."""

from __future__ import annotations

import pytest

from ctxmgr import ArgumentTypeError, Client, ContextManager
from tests.support.answers import entry, listed, started
from tests.support.scripted import ScriptedServer
from tests.support.sdk import SdkAgentBay, SdkHttpClient, SdkSession

KEY = "akm-of-the-sdk"


@pytest.fixture
def sdk_session(server: ScriptedServer) -> SdkSession:
    host = server.url.removeprefix("http://")
    return SdkSession(SdkAgentBay(KEY, SdkHttpClient(host, "HTTP")), "s-of-the-sdk")


def test_a_sync_goes_to_the_sessions_own_service_with_its_key(server: ScriptedServer, sdk_session: SdkSession) -> None:
    server.script("GetContextInfo", listed(), listed(entry("Success", task_id="t")))
    server.script("SyncContext", started("t"))
    with ContextManager.for_session(sdk_session) as manager:
        result = manager.sync()
    assert result.success
    (request,) = server.asked("SyncContext")
    assert (request.parameters["SessionId"], request.credential) == ("s-of-the-sdk", f"Bearer {KEY}")


def test_it_is_closed_by_itself_too(server: ScriptedServer, sdk_session: SdkSession) -> None:
    manager = ContextManager.for_session(sdk_session, attempts=1)
    manager.close()
    assert server.requests == []


def test_what_is_no_session_is_refused(client: Client) -> None:
    with pytest.raises(ArgumentTypeError, match="AgentBay's SDK"):
        ContextManager.for_session(client)


def test_one_that_was_not_closed_warns(sdk_session: SdkSession) -> None:
    managers = [ContextManager.for_session(sdk_session)]
    with pytest.warns(ResourceWarning, match=r"unclosed .*\.AdoptedManager "):
        managers.clear()
