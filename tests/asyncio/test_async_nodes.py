"""A directory that this process keeps for a service elsewhere: the engine works on threads, and the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ctxmgr.testing import serve
from ctxmgr_async import Client, ClosedError, Session
from tests.support.gates import Gate
from tests.support.scripted import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    with serve(tmp_path / "data") as service:
        async with service.async_client() as client:
            yield client


@pytest.fixture
async def session(client: Client, tmp_path: Path) -> Session:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "a.txt").write_text("one")
    context = (await client.contexts.create("project")).context
    return (await client.sessions.create(root, {"/": context})).session


async def test_the_loop_goes_on_while_the_engine_works(session: Session, gate: Gate) -> None:
    sync = asyncio.ensure_future(session.context.sync())
    await asyncio.to_thread(gate.wait)
    # Were the loop held up by the engine, nobody could open the gate.
    gate.open()
    result = await asyncio.wait_for(sync, PATIENCE)
    assert (result.success, result.files) == (True, 1)


async def test_a_cancelled_sync_ends_while_the_engine_works(session: Session, gate: Gate) -> None:
    sync = asyncio.ensure_future(session.context.sync())
    await asyncio.to_thread(gate.wait)
    sync.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(sync, PATIENCE)
    gate.open()


async def test_closing_the_client_stops_what_the_engine_does(client: Client, session: Session, gate: Gate) -> None:
    called: list[bool] = []
    await session.context.sync(callback=called.append)
    await asyncio.to_thread(gate.wait)
    await asyncio.wait_for(client.close(), PATIENCE)
    assert called == [False]
    with pytest.raises(ClosedError):
        await session.context.sync()


async def test_a_session_that_is_cancelled_while_it_is_attached_is_left_when_the_client_closes(
    client: Client, session: Session, tmp_path: Path
) -> None:
    attaching = asyncio.ensure_future(client.sessions.attach(session.session_id, tmp_path / "workspace"))
    await asyncio.sleep(0)
    attaching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attaching
    await asyncio.wait_for(client.close(), PATIENCE)
