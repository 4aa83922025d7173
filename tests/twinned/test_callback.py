"""sync(callback=...): it returns at once, and the callback is called exactly once, whatever happens."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Iterator

import pytest

from ctxmgr import ArgumentError, Client, ContextManager
from tests.support.answers import REQUEST_ID, entry, listed, ok, refused, started
from tests.support.scripted import Answer, Dropped, Held, Raw, ScriptedServer
from tests.support.simulated import ParkedTask, SharedTasks

from .called import Called

KEY = "akm-0123456789"
SOON = 5  # milliseconds between polls


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    """A client that the test closes, to see that nothing is called afterwards."""
    with Client(api_key=KEY, endpoint=server.url, attempts=1) as client:
        yield client


def failing(ok: bool) -> None:
    raise ValueError("the callback's own trouble")


OUTCOMES = [
    pytest.param(started("t-1"), [listed(entry(task_id="t-1"))], True, id="named task succeeds"),
    pytest.param(started("t-1"), [Dropped(), Raw(), listed(entry(task_id="t-1"))], True, id="named task after trouble"),
    pytest.param(started(), [listed(entry("Running")), listed(entry())], True, id="unnamed task succeeds"),
    pytest.param(started(), [listed()], True, id="nothing to do"),
    pytest.param(started("t-1"), [listed(entry("Failed", task_id="t-1"))], False, id="named task fails"),
    pytest.param(started(), [listed(entry("Failed"))], False, id="unnamed task fails"),
    pytest.param(started("t-1"), [listed(entry("Running", task_id="t-1"))], False, id="named task times out"),
    pytest.param(started(), [listed(entry("Running"))], False, id="unnamed task times out"),
    pytest.param(started("t-1"), [Dropped()], False, id="server of named tasks is gone"),
    pytest.param(started(), [Dropped()], False, id="server of unnamed tasks is gone"),
    pytest.param(started("t-1"), [refused("InvalidMcpSession.NotFound")], False, id="session of named tasks is gone"),
    pytest.param(started(), [refused("InvalidMcpSession.NotFound")], False, id="session of unnamed tasks is gone"),
    pytest.param(refused("InvalidBinding.NotFound"), [listed()], False, id="trigger refused"),
    pytest.param(Dropped(), [listed()], False, id="trigger unanswered"),
    pytest.param(Raw(b"<html>"), [listed()], False, id="trigger answered with HTML"),
    pytest.param(ok({"TaskIds": 7}), [listed()], False, id="trigger answered with nonsense"),
]


@pytest.mark.parametrize(("trigger", "polls", "ok"), OUTCOMES)
def test_the_callback_tells_how_it_ended(
    server: ScriptedServer, client: Client, trigger: Answer, polls: list[Answer], ok: bool
) -> None:
    server.script("SyncContext", trigger)
    server.script("GetContextInfo", listed(), *polls)
    called = Called()
    client.session("s-1").context.sync(callback=called, max_retries=30_000 if ok else 30, retry_interval=SOON)
    called.wait()
    assert called.calls == [ok]


@pytest.mark.parametrize(("trigger", "polls", "ok"), OUTCOMES)
def test_the_callback_is_not_called_again_by_closing(
    server: ScriptedServer, client: Client, trigger: Answer, polls: list[Answer], ok: bool
) -> None:
    server.script("SyncContext", trigger)
    server.script("GetContextInfo", listed(), *polls)
    called = Called()
    client.session("s-1").context.sync(callback=called, max_retries=30_000 if ok else 30, retry_interval=SOON)
    called.wait()
    client.close()
    assert len(called.calls) == 1


class TestResult:
    def test_an_accepted_sync_is_pending(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())
        result = client.session("s-1").context.sync(callback=Called())
        assert (result.success, result.pending, result.error_message) == (True, True, "")

    def test_it_comes_back_before_the_sync_has_ended(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())
        called = Called()
        client.session("s-1").context.sync(callback=called)
        assert called.calls == []

    def test_it_carries_the_request_id(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())
        result = client.session("s-1").context.sync(callback=Called())
        assert result.request_id == REQUEST_ID

    def test_a_refused_sync_is_a_failure(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", refused("InvalidBinding.NotFound", "nothing is bound"))
        server.script("GetContextInfo", listed())
        result = client.session("s-1").context.sync(callback=Called())
        assert (result.success, result.pending) == (False, False)
        assert result.error_message == "[InvalidBinding.NotFound] nothing is bound"

    def test_a_trigger_that_got_no_answer_is_a_failure_and_not_raised(
        self, server: ScriptedServer, client: Client
    ) -> None:
        server.script("SyncContext", Dropped())
        server.script("GetContextInfo", listed())
        result = client.session("s-1").context.sync(callback=Called())
        assert (result.success, result.pending) == (False, False)
        assert result.error_message.startswith("[Client.ConnectionFailed] the connection to http://127.0.0.1:")

    def test_an_argument_that_cannot_be_used_is_raised_and_the_callback_left_alone(self, client: Client) -> None:
        called = Called()
        with pytest.raises(ArgumentError):
            client.session("s-1").context.sync(mode="sideways", callback=called)  # type: ignore[arg-type]
        client.close()
        assert called.calls == []


class TestClosing:
    @pytest.mark.parametrize("trigger", [started("t-1"), started()], ids=["named", "unnamed"])
    def test_in_the_middle_of_a_poll_it_calls_with_false(
        self, server: ScriptedServer, client: Client, trigger: Answer
    ) -> None:
        server.script("SyncContext", trigger)
        server.script("GetContextInfo", listed(), Held())
        called = Called()
        client.session("s-1").context.sync(callback=called)
        client.close()
        assert called.calls == [False]

    @pytest.mark.parametrize("trigger", [started("t-1"), started()], ids=["named", "unnamed"])
    def test_between_two_polls_it_calls_with_false(
        self, server: ScriptedServer, client: Client, trigger: Answer
    ) -> None:
        server.script("SyncContext", trigger)
        server.script("GetContextInfo", listed(), listed(entry("Running", task_id="t-1")))
        called = Called()
        client.session("s-1").context.sync(callback=called, retry_interval=60_000)
        client.close()
        assert called.calls == [False]

    def test_it_calls_every_callback_that_is_owed(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())
        called = Called(10)
        for number in range(10):
            client.session(f"s-{number}").context.sync(callback=called)
        client.close()
        assert called.calls == [False] * 10

    def test_it_goes_on_after_a_callback_that_raises(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())
        called = Called(2)
        for callback in (called, failing, called):
            client.session("s-1").context.sync(callback=callback)
        client.close()
        assert called.calls == [False, False]

    def test_a_sync_on_a_closed_client_is_refused_and_calls_with_false(self, client: Client) -> None:
        client.close()
        called = Called()
        result = client.session("s-1").context.sync(callback=called)
        called.wait()
        assert (result.success, called.calls) == (False, [False])


class TestFailingCallback:
    @pytest.fixture
    def client(self, server: ScriptedServer) -> Iterator[Client]:
        """A client that calls back in the order in which the syncs end."""
        with Client(api_key=KEY, endpoint=server.url, attempts=1, workers=1) as client:
            yield client

    @pytest.fixture(autouse=True)
    def _succeeding(self, server: ScriptedServer) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))

    def test_it_disturbs_no_other(self, client: Client) -> None:
        called = Called(4)
        manager = client.session("s-1").context
        for callback in (called, failing, called, failing, called, called):
            manager.sync(callback=callback)
        called.wait()
        assert called.calls == [True] * 4

    def test_it_is_logged_with_its_traceback(self, client: Client, caplog: pytest.LogCaptureFixture) -> None:
        failed, called = Called(), Called()

        def counted_and_failing(ok: bool) -> None:
            failed(ok)
            failing(ok)

        manager = client.session("s-1").context
        manager.sync(callback=counted_and_failing)
        failed.wait()
        manager.sync(callback=called)
        called.wait()
        (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
        assert record.getMessage() == "the callback of a sync raised; the sync itself succeeded"
        assert "the callback's own trouble" in caplog.text


class TestCallbackThatRaisesAnything:
    ERRORS = (KeyboardInterrupt, CancelledError, SystemExit, GeneratorExit, BaseException)

    @pytest.mark.parametrize("error", ERRORS)
    def test_all_others_are_called_and_the_client_closes(
        self, server: ScriptedServer, client: Client, error: type[BaseException]
    ) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))

        def raising(ok: bool) -> None:
            raise error

        called = Called(3)
        for session_id in ("s-1", "s-2", "s-3"):
            manager: ContextManager = client.session(session_id).context
            for callback in (raising, raising, called):
                manager.sync(callback=callback)
        called.wait()
        client.close()
        assert called.calls == [True] * 3

    @pytest.mark.parametrize("error", ERRORS)
    def test_closing_calls_all_that_are_owed(
        self, server: ScriptedServer, client: Client, error: type[BaseException]
    ) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())

        def raising(ok: bool) -> None:
            raise error

        called = Called(3)
        for session_id in ("s-1", "s-2", "s-3"):
            manager: ContextManager = client.session(session_id).context
            for callback in (raising, called):
                manager.sync(callback=callback)
        client.close()
        assert called.calls == [False] * 3


def test_a_failure_is_logged_with_its_reason(
    server: ScriptedServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    server.script("SyncContext", started("t-1"))
    server.script("GetContextInfo", listed(), listed(entry("Failed", task_id="t-1", error="disk full")))
    called = Called()
    client.session("s-1").context.sync(callback=called)
    called.wait()
    assert "disk full" in caplog.text


class TestSharedPolls:
    def test_named_tasks_of_one_session_share_their_polls(self, server: ScriptedServer, client: Client) -> None:
        SharedTasks(server, together=49)  # all but the one whose request is parked already
        called = Called(50)
        manager: ContextManager = client.session("s-1").context
        for _ in range(50):
            manager.sync(callback=called)
        called.wait()
        assert called.calls == [True] * 50

    def test_unnamed_tasks_of_one_session_share_their_polls(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started())
        server.script("GetContextInfo", *[listed()] * 20, *[listed(entry("Running"))] * 40, listed(entry()))
        called = Called(20)
        manager: ContextManager = client.session("s-1").context
        for _ in range(20):
            manager.sync(callback=called, retry_interval=20)
        called.wait()
        assert called.calls == [True] * 20
        assert len(server.asked("GetContextInfo")) < 20 * 40 / 2

    def test_the_server_is_asked_to_park(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        called = Called()
        client.session("s-1").context.sync(callback=called)
        called.wait()
        assert server.requests[-1].parameters["WaitMs"] == "10000"

    def test_one_that_joins_while_a_poll_is_parked_hears_as_soon(self, server: ScriptedServer, client: Client) -> None:
        first = ParkedTask(server)
        manager: ContextManager = client.session("s-1").context
        slow, quick = Called(), Called()
        manager.sync(callback=slow)
        while not first.parked:
            manager.info()
        manager.sync(callback=quick)
        quick.wait()
        assert (slow.calls, quick.calls) == ([], [True])

    def test_each_is_told_of_its_own_tasks(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"), started("t-2"))
        server.script(
            "GetContextInfo", listed(), listed(entry(task_id="t-1"), entry("Failed", task_id="t-2", error="disk full"))
        )
        good, bad = Called(), Called()
        manager: ContextManager = client.session("s-1").context
        manager.sync(callback=good)
        manager.sync(callback=bad)
        good.wait()
        bad.wait()
        assert (good.calls, bad.calls) == ([True], [False])
