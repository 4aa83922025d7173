"""Cancelling: what was awaited ends at once, and leaves nothing running and nothing open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import aiohttp
import pytest

from ctxmgr_async import Client
from ctxmgr_async._io import HttpWire
from tests.support.answers import entry, listed, ok, started
from tests.support.programs import output_of
from tests.support.scripted import PATIENCE, Answer, Held, Recorded, ScriptedServer

pytestmark = pytest.mark.slow

KEY = "akm-0123456789"


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[Client]:
    async with Client(api_key=KEY, endpoint=server.url) as client:
        yield client


async def reached(held: Held) -> None:
    """Wait, without holding up the loop, until the server holds a request back."""
    await asyncio.to_thread(held.wait)


def others() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {task for task in [asyncio.current_task()] if task is not None}


@pytest.mark.parametrize("stage", ["SyncContext", "GetContextInfo"])
async def test_a_cancelled_sync_leaves_no_task_and_no_connection(
    server: ScriptedServer, client: Client, stage: str
) -> None:
    held = Held(listed())
    server.script("GetContextInfo", *([held] if stage == "GetContextInfo" else [listed()]))
    server.script("SyncContext", *([held] if stage == "SyncContext" else [started("t-1")]))
    before = others()
    sync = asyncio.ensure_future(client.session("s-1").context.sync())
    await reached(held)
    sync.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sync
    assert others() == before
    wire = client._core.transport._wire
    assert isinstance(wire, HttpWire)
    assert isinstance(wire._session, aiohttp.ClientSession)
    assert wire._session.connector is not None
    assert not wire._session.connector._acquired, "a connection is still taken"
    held.release()


async def test_a_cancelled_pause_between_polls_ends_at_once(server: ScriptedServer, client: Client) -> None:
    polled = threading.Event()

    def running(_: Recorded) -> Answer:
        polled.set()
        return listed(entry("Running"))

    server.script("SyncContext", started())
    server.script("GetContextInfo", listed(), running)
    sync = asyncio.ensure_future(client.session("s-1").context.sync(retry_interval=60_000))
    assert await asyncio.to_thread(polled.wait, PATIENCE)
    sync.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(sync, PATIENCE)


async def test_cancelling_the_awaited_start_of_a_background_sync_calls_back_false(
    server: ScriptedServer, client: Client
) -> None:
    held = Held(started("t-1"))
    server.script("GetContextInfo", listed())
    server.script("SyncContext", held)
    called: asyncio.Queue[bool] = asyncio.Queue()
    begun = asyncio.ensure_future(client.session("s-1").context.sync(callback=called.put_nowait))
    await reached(held)
    begun.cancel()
    assert await asyncio.wait_for(called.get(), PATIENCE) is False
    held.release()


UNCLOSED = """
import asyncio, sys
from ctxmgr_async import Client

endpoint, kind, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def called(ok):
    await asyncio.sleep(0)
    print("called", ok)

async def main():
    client = Client(api_key="akm-0123456789", endpoint=endpoint)
    callback = called if kind == "async" else lambda ok: print("called", ok)
    begun = client.session("s-1").context.sync(callback=callback)
    if turns:
        await begun
    for _ in range(turns):
        await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("turns", [0, 1, 30], ids=["before it began", "once it was accepted", "while it is polled for"])
def test_a_program_that_ends_without_closing_its_client_has_its_callbacks_called(
    server: ScriptedServer, kind: str, turns: int
) -> None:
    server.script("SyncContext", started("t-1"))
    server.script("GetContextInfo", listed(), Held())
    assert output_of(UNCLOSED, server.url, kind, str(turns), options=("-W", "ignore")) == "called False\n"


DROPPED = UNCLOSED.replace(
    "asyncio.run(main())", "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()"
)


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("turns", [0, 1, 30], ids=["before it began", "once it was accepted", "while it is polled for"])
def test_a_loop_that_ends_without_cancelling_its_tasks_loses_no_callback(
    server: ScriptedServer, kind: str, turns: int
) -> None:
    server.script("SyncContext", started("t-1"))
    server.script("GetContextInfo", listed(), Held())
    assert output_of(DROPPED, server.url, kind, str(turns), options=("-W", "ignore")) == "called False\n"


async def test_a_cancelled_call_to_the_embedded_service_leaves_it_usable(tmp_path: object) -> None:
    async with Client.local(f"{tmp_path}/data") as client:
        call = asyncio.ensure_future(client.contexts.create("one"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.contexts.create("two")).success


async def test_info_can_be_cancelled_by_a_time_limit(server: ScriptedServer, client: Client) -> None:
    held = Held(ok())
    server.script("GetContextInfo", held)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.session("s-1").context.info(), 0.05)
    held.release()
