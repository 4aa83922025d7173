"""Clients of the scripted server and of the embedded service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr import Client, Context, ContextManager
from tests.support.relay import Relay
from tests.support.scripted import ScriptedServer

KEY = "akm-0123456789"


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    """A client that asks once and believes what it gets."""
    with Client(api_key=KEY, endpoint=server.url, attempts=1) as client:
        yield client


@pytest.fixture
def manager(client: Client) -> ContextManager:
    """The contexts of a session of the scripted server."""
    return client.session("s-1").context


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Client]:
    """A client of an embedded service with a fresh data folder."""
    with Client.local(tmp_path / "data") as client:
        yield client


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A service behind HTTP, which can be disturbed."""
    with Relay(tmp_path / "served") as relay:
        yield relay


@pytest.fixture(params=["embedded", "served"])
def keeper(request: pytest.FixtureRequest, relay: Relay, tmp_path: Path) -> Iterator[Client]:
    """A client of an embedded service, and one of a service behind HTTP."""
    made = {
        "embedded": lambda: Client.local(tmp_path / "data"),
        "served": lambda: Client(api_key=relay.key, endpoint=relay.url),
    }
    with made[request.param]() as client:
        yield client


@pytest.fixture
def project(local: Client) -> Context:
    """A context of the embedded service."""
    return local.contexts.get("project", create=True).context
