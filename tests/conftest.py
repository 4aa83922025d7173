"""What all tests start from: an environment that configures no client, and a server to script."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.scripted import ScriptedServer

if TYPE_CHECKING:
    from ctxmgr.testing import Service

# How fast examples are made says something of the machine, and nothing of the project.
settings.register_profile("ctxmgr", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ctxmgr")


def pytest_configure() -> None:
    """Listen to Ctrl-C even where the tests were started in the background: the processes they start inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what would configure a client or send its requests elsewhere."""
    for name in list(os.environ):
        if name.startswith(("CTXMGR_", "AGENTBAY_")) or name.lower().endswith("_proxy") or name.endswith("_CA_BUNDLE"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def new_account() -> Iterator[Callable[[], tuple[str, str]]]:
    """Make an account of a service that all tests of a module share; tells where that is, and the account's key."""
    numbers = itertools.count(1)
    with ExitStack() as stack:
        running: list[Service] = []

        def make() -> tuple[str, str]:
            if not running:
                from ctxmgr.testing import serve

                running.append(stack.enter_context(serve()))
            return running[0].endpoint, running[0].key(f"account-{next(numbers)}")

        yield make


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server
