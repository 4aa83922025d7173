"""Clients of the scripted server, of the embedded service and of served ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from ctxmgr import Client, Context, ContextManager
from tests.support.keeping import _template as _template
from tests.support.keeping import bucket, database, postgresql_server, seaweed_server
from tests.support.relay import Relay
from tests.support.scripted import ScriptedServer

from .services import EMBEDDED, THERE, works_in_roots_of_its_own

__all__ = ["bucket", "database", "postgresql_server", "seaweed_server"]

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
def kept(request: pytest.FixtureRequest) -> str:
    """By which of the services contexts are kept."""
    return getattr(request, "param", EMBEDDED)


@pytest.fixture
def account(new_account: Callable[[], tuple[str, str]]) -> Callable[[], tuple[str, str]]:
    """Tells where a served service is, and the key of the test's account there."""
    return cache(new_account)


@pytest.fixture
def local(
    kept: str, account: Callable[[], tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A client of a service that has nothing yet, the embedded one unless ``kept`` says otherwise."""
    if kept == EMBEDDED:
        with Client.local(tmp_path / "data") as client:
            yield client
        return
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    endpoint, key = account()
    with Client(endpoint=endpoint, api_key=key) as client:
        if kept == THERE:
            works_in_roots_of_its_own(client)
        yield client


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A service behind HTTP, which can be disturbed."""
    with Relay(tmp_path / "served") as relay:
        yield relay


@pytest.fixture(params=["embedded", "served"])
def keeper(
    request: pytest.FixtureRequest, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A client of an embedded service, and one of a service behind HTTP."""
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    made = {
        "embedded": lambda: Client.local(tmp_path / "data"),
        "served": lambda: Client(api_key=relay.key, endpoint=relay.url),
    }
    with made[request.param]() as client:
        yield client


@pytest.fixture
def project(local: Client) -> Context:
    """A context of the service."""
    return local.contexts.create("project").context
