"""What all tests start from: an environment that configures no client, and a server to script."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.scripted import ScriptedServer

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


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server
