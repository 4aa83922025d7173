"""A real context service behind a real HTTP server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ctxmgr.service import ContextService
from ctxmgr.service.api.registry import ACTIONS
from tests.support.scripted import Recorded, ScriptedServer

__all__ = ["Answering", "proven", "serving"]

Answering = Callable[[Recorded], dict[str, Any]]
Between = Callable[[Recorded, Answering], dict[str, Any]]


def _directly(request: Recorded, answer: Answering) -> dict[str, Any]:
    return answer(request)


def proven(request: Recorded) -> dict[str, Any]:
    """Answer ProveRoot as a service does that reaches the directory."""
    token = (Path(request.parameters["Root"]) / request.parameters["Proof"]).read_text()
    return {"Success": True, "Data": {"Token": token}}


@contextmanager
def serving(folder: Path, between: Between = _directly) -> Iterator[ScriptedServer]:
    """Serve a data folder.

    Args:
        between: stands between the server and the service, and may change what passes.
    """
    service = ContextService.open(folder)

    def answer(request: Recorded) -> dict[str, Any]:
        return service.handle(request.action, request.parameters)

    try:
        with ScriptedServer() as server:
            for action in ACTIONS:
                server.script(action, lambda request: between(request, answer))
            yield server
    finally:
        service.close()
