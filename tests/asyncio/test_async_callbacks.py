"""Callbacks in asyncio: plain and async ones, and syncs that nobody awaits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ctxmgr_async import Client
from tests.support.answers import entry, listed, ok, started
from tests.support.scripted import PATIENCE, Held, ScriptedServer

KEY = "akm-0123456789"


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[Client]:
    server.script("SyncContext", started("t-1"))
    server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
    async with Client(api_key=KEY, endpoint=server.url) as client:
        yield client


async def test_a_sync_that_nobody_awaits_calls_an_async_callback(client: Client) -> None:
    called: asyncio.Queue[bool] = asyncio.Queue()

    async def callback(ok: bool) -> None:
        await asyncio.sleep(0)
        await called.put(ok)

    client.session("s-1").context.sync(callback=callback)
    assert await asyncio.wait_for(called.get(), PATIENCE) is True


async def test_awaiting_it_gives_what_the_service_said_to_the_trigger(client: Client) -> None:
    result = await client.session("s-1").context.sync(callback=lambda ok: None)
    assert result.success
    assert result.pending


async def test_an_async_callback_that_raises_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    raised = asyncio.Event()

    async def callback(ok: bool) -> None:
        raised.set()
        raise ValueError("the callback's own trouble")

    with caplog.at_level(logging.ERROR, "ctxmgr"):
        client.session("s-1").context.sync(callback=callback)
        await asyncio.wait_for(raised.wait(), PATIENCE)
        await client.close()
    assert "the callback's own trouble" in caplog.text


async def test_close_waits_for_a_callback_that_has_begun(client: Client) -> None:
    began, done = asyncio.Event(), asyncio.Event()

    async def callback(ok: bool) -> None:
        began.set()
        for _ in range(5):
            await asyncio.sleep(0.001)
        done.set()

    client.session("s-1").context.sync(callback=callback)
    await asyncio.wait_for(began.wait(), PATIENCE)
    await client.close()
    assert done.is_set()


async def test_a_callback_may_close_the_client(client: Client) -> None:
    closed = asyncio.Event()

    async def callback(ok: bool) -> None:
        await client.close()
        closed.set()

    client.session("s-1").context.sync(callback=callback)
    await asyncio.wait_for(closed.wait(), PATIENCE)


@pytest.mark.parametrize("sessions", [1, 2, 20])
async def test_any_number_of_callbacks_may_close_the_client_at_once(client: Client, sessions: int) -> None:
    closed: list[bool] = []
    all_closed = asyncio.Event()

    async def callback(ok: bool) -> None:
        await asyncio.sleep(0)
        await client.close()
        closed.append(ok)
        if len(closed) == 2 * sessions:
            all_closed.set()

    for number in range(2 * sessions):
        client.session(f"s-{number % sessions}").context.sync(callback=callback)
    await asyncio.wait_for(all_closed.wait(), PATIENCE)


async def test_callbacks_that_close_as_they_are_abandoned_are_all_called(
    server: ScriptedServer, client: Client
) -> None:
    server.script("GetContextInfo", listed(), held := Held())
    closed: list[bool] = []

    async def callback(ok: bool) -> None:
        await client.close()
        await asyncio.sleep(0)
        closed.append(ok)

    for _ in range(5):
        await client.session("s-1").context.sync(callback=callback)
    await asyncio.to_thread(held.wait)
    await asyncio.wait_for(client.close(), PATIENCE)
    assert closed == [False] * 5


async def test_a_task_that_a_callback_waits_for_may_close_the_client(client: Client) -> None:
    closed: asyncio.Queue[bool] = asyncio.Queue()

    async def callback(ok: bool) -> None:
        await asyncio.gather(client.close(), client.close())
        await closed.put(ok)

    client.session("s-1").context.sync(callback=callback)
    assert await asyncio.wait_for(closed.get(), PATIENCE) is True


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, SystemExit, BaseException])
async def test_whatever_an_async_callback_raises_disturbs_no_other(
    client: Client, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    called: asyncio.Queue[bool] = asyncio.Queue()

    async def raising(ok: bool) -> None:
        await asyncio.sleep(0)
        raise error

    manager = client.session("s-1").context
    for callback in (raising, called.put, raising, called.put):
        manager.sync(callback=callback)
    assert [await asyncio.wait_for(called.get(), PATIENCE) for _ in range(2)] == [True, True]
    await client.close()
    assert "the callback of a sync raised" in caplog.text


async def test_leaving_a_session_waits_for_async_callbacks_to_return(server: ScriptedServer, client: Client) -> None:
    server.script("DeleteSessionAsync", ok())
    server.script("GetSessionDetail", ok({"Status": "FINISH"}))
    returned: list[bool] = []

    async def callback(ok: bool) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        returned.append(ok)

    async with client.session("s-1") as session:
        session.context.sync(callback=callback)  # and nobody awaits it
    assert returned == [True]


async def test_leaving_an_embedded_session_tells_the_truth_of_a_sync_that_nobody_awaits(tmp_path: Path) -> None:
    called: list[bool] = []
    async with Client.local(tmp_path / "data") as client:
        context = (await client.contexts.get("project", create=True)).context
        (tmp_path / "workspace").mkdir()
        created = await client.sessions.create(root=tmp_path / "workspace", bind={"/": context})
        async with created.session as session:
            session.context.sync(callback=called.append)
        assert called == [True]


def test_a_sync_outside_of_a_loop_calls_back_false_and_says_why(server: ScriptedServer) -> None:
    called: list[bool] = []

    async def make() -> Client:
        return Client(api_key=KEY, endpoint=server.url)

    client = asyncio.run(make())
    with pytest.raises(RuntimeError, match="no running event loop"):
        client.session("s-1").context.sync(callback=called.append)
    assert called == [False]
    asyncio.run(client.close())


async def test_several_callbacks_may_end_their_session(server: ScriptedServer, client: Client) -> None:
    server.script("DeleteSessionAsync", ok())
    server.script("GetSessionDetail", ok({"Status": "FINISH"}))
    session = client.session("s-1")
    ended: asyncio.Queue[bool] = asyncio.Queue()

    async def callback(ok: bool) -> None:
        (await session.delete()).raise_for_error()
        await ended.put(ok)

    for _ in range(3):
        session.context.sync(callback=callback)
    assert [await asyncio.wait_for(ended.get(), PATIENCE) for _ in range(3)] == [True] * 3


async def test_the_embedded_service_works_on_the_callers_executor_and_leaves_it_open(tmp_path: object) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="lent") as executor:
        async with Client.local(f"{tmp_path}/data", executor=executor) as client:
            context = (await client.contexts.create("c")).context
            async with (await client.sessions.create(bind={"/": context})).session as session:
                assert (await session.context.sync()).success
            assert not any(thread.name.startswith("ctxmgr-embedded") for thread in threading.enumerate())
        assert executor.submit(int, "7").result(PATIENCE) == 7


async def test_the_embedded_service_does_not_block_the_loop(tmp_path: object) -> None:
    """The loop keeps turning while files are synced."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with Client.local(f"{tmp_path}/data") as client:
        context = (await client.contexts.create("c")).context
        turning = asyncio.ensure_future(turn())
        async with (await client.sessions.create(bind={"/": context})).session as session:
            before = turns
            result = await session.context.sync()
            assert result.success
            assert turns - before > 10
        turning.cancel()
