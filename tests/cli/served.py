"""A real context service behind a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService, Watch
from ctxmgr.service.api.registry import ACTIONS
from tests.support.scripted import PATIENCE, Raw, Recorded, ScriptedServer
from tests.support.scriptedwire import refusing

__all__ = ["Answering", "serving"]

Answering = Callable[[Recorded], dict[str, Any]]
Between = Callable[[Recorded, Answering], dict[str, Any]]


def _directly(request: Recorded, answer: Answering) -> dict[str, Any]:
    return answer(request)


@contextmanager
def serving(folder: Path, between: Between = _directly) -> Iterator[ScriptedServer]:
    """Serve a data folder.

    Args:
        between: stands between the server and the service, and may change what passes.
    """
    service = ContextService.open(folder)
    try:
        with ScriptedServer() as server:

            def answer(request: Recorded) -> dict[str, Any]:
                watch = service.watch(request.action, request.parameters)
                _park(watch, server)
                return service.handle(request.action, request.parameters, watch=watch)

            for action in ACTIONS:
                server.script(action, lambda request: between(request, answer))
            for call in nodewire.CALLS:
                server.script(f"/node/{call}", partial(_call, service, server, call))
            yield server
    finally:
        service.close()


def _call(service: ContextService, server: ScriptedServer, name: str, request: Recorded) -> Raw:
    try:
        opened = service.open_call(name, request.body)
        _park(opened.watch, server)
        return Raw(opened.answer(), headers={"Content-Type": nodewire.CONTENT_TYPE})
    except ServiceError as error:
        refusal = refusing(error.code, 409)
        return Raw(refusal.body, refusal.status, refusal.headers)


def _park(watch: Watch | None, server: ScriptedServer) -> None:
    if watch is None:
        return
    changed = threading.Event()
    ignore = watch.subscribe(changed.set)
    waited = 0.0
    while not watch.ready() and waited < min(watch.timeout, PATIENCE) and not server.closing.is_set():
        changed.wait(_BETWEEN_LOOKS)
        changed.clear()
        waited += _BETWEEN_LOOKS
    ignore()


_BETWEEN_LOOKS = 0.02
