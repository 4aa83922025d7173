"""Callbacks in asyncio: plain and async ones, and syncs that nobody awaits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from ctxmgr_async import Client
from tests.support.answers import entry, listed, started
from tests.support.scripted import PATIENCE, ScriptedServer

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
