"""A process forked from one with a loop: a client made before says that it can't be used, and one made there works."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable

import pytest

from ctxmgr_async import Client, ClosedError
from tests.support.answers import listed, ok, started
from tests.support.scripted import Held, ScriptedServer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

KEY = "akm-0123456789"


async def in_child(act: Callable[[], Awaitable[object]]) -> str:
    """Do something in a forked process, in a loop of its own, and return what it told."""
    told, tell = os.pipe()
    process = os.fork()
    if not process:
        try:
            text = str(asyncio.run(told_of(act)))
        except BaseException:
            text = traceback.format_exc()
        os.write(tell, text.encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as file:
        text = (await asyncio.to_thread(file.read)).decode()
    await asyncio.to_thread(os.waitpid, process, 0)
    return text


async def told_of(act: Callable[[], Awaitable[object]]) -> object:
    return await act()


@pytest.mark.parametrize("kind", ["of a server", "embedded"])
async def test_a_client_made_before_the_fork_says_so_and_can_be_closed(
    server: ScriptedServer, tmp_path: object, kind: str
) -> None:
    server.script("ListContexts", ok([]))
    made = Client.local(f"{tmp_path}/data") if kind == "embedded" else Client(api_key=KEY, endpoint=server.url)
    async with made as client:
        assert (await client.contexts.list()).success

        async def act() -> str:
            with pytest.raises(ClosedError, match="made before this process was forked") as raised:
                await client.contexts.list()
            await client.close()
            return str(raised.value)

        assert (await in_child(act)).endswith(": make one here")
        assert (await client.contexts.list()).success
    assert len({request.connection for request in server.requests}) <= 1


async def test_a_client_made_in_the_child_works(server: ScriptedServer) -> None:
    server.script("ListContexts", ok([]))

    async def act() -> bool:
        async with Client(api_key=KEY, endpoint=server.url) as client:
            return (await client.contexts.list()).success

    async with Client(api_key=KEY, endpoint=server.url) as client:
        await client.contexts.list()
        assert await in_child(act) == "True"


async def test_waits_begun_in_the_parent_stay_the_parents(server: ScriptedServer) -> None:
    held = Held()
    server.script("SyncContext", started("t-1"))
    server.script("GetContextInfo", listed(), held)
    called: list[bool] = []
    async with Client(api_key=KEY, endpoint=server.url) as client:
        await client.session("s-1").context.sync(callback=called.append)
        await asyncio.to_thread(held.wait)

        async def act() -> list[bool]:
            await client.close()
            return called

        assert await in_child(act) == "[]"
        assert called == []
    assert called == [False]
