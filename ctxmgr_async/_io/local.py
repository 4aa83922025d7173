"""Requests that a context service in this process answers, on threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from ctxmgr._embedded import Location, open_service
from ctxmgr._forks import renewed_in_child
from ctxmgr._localfiles import Source, get_in_process, put_in_process
from ctxmgr._localrestore import Target
from ctxmgr.errors import ClosedError
from ctxmgr.protocol import Answer, Request, answer_from_document

from .closing import happens, now, of_parent

if TYPE_CHECKING:
    from ctxmgr.service import ContextService, Watch

__all__ = ["LocalWire"]

_log = logging.getLogger("ctxmgr")
_T = TypeVar("_T")


class LocalWire:
    """Hands requests to a context service in this process, on threads, so that the loop goes on.

    Args:
        location: where the service keeps what it keeps; made if it does not exist.
        executor: the caller's, left open, on which the service works; ``None`` makes one of a few threads.
    """

    def __init__(self, location: Location, executor: Executor | None = None) -> None:
        self._location = location
        self._executor = executor
        self._threads: Executor | None = None
        self._opening: asyncio.Future[ContextService] | None = None
        self._parked: set[asyncio.Event] = set()
        self._closed = False
        self._is_parents = False
        renewed_in_child(self)

    def renew(self) -> None:
        """Leave the service to the parent in a forked child."""
        self._is_parents = True
        self._opening = self._threads = None

    async def open(self) -> None:
        """Open the data folder.

        Raises:
            DataFolderError: it is not a data folder of ours, or of a newer version.
        """
        await self._opened()

    async def send(self, request: Request) -> Answer:
        """Have one request answered, parking as long as it asks."""
        service = await self._opened()
        watch, document = await self._call(_answer_or_watch, service, request)
        if watch is not None:
            await self._park(watch)
            document = await self._call(service.handle, request.action, request.parameters)
        return answer_from_document(document)

    async def put_file(self, context_id: str, path: str, source: Source) -> Answer:
        """Have the service take a file.

        Raises:
            OSError: the caller's file can't be read.
        """
        return await self._call(put_in_process, await self._opened(), context_id, path, source)

    async def get_file(self, context_id: str, path: str, target: str | PathLike[str], revision: int) -> Answer:
        """Have the service give a file; it takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
        """
        return await self._call(get_in_process, await self._opened(), context_id, path, target, revision)

    async def fill(self, context_id: str, target: Target) -> None:
        """Have the service give the files of a restore.

        Raises:
            ApiError: one can't be read or written.
        """
        await self._call(target.read, await self._opened(), context_id)

    async def _opened(self) -> ContextService:
        if self._is_parents:
            raise of_parent()
        if self._closed:
            raise ClosedError("the client is closed")
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            if self._threads is None:
                own = self._executor is None
                self._threads = ThreadPoolExecutor(4, thread_name_prefix="ctxmgr-embedded") if own else self._executor
            loop = asyncio.get_running_loop()
            self._opening = loop.run_in_executor(self._threads, open_service, self._location)
        # Shielded: who is cancelled while it opens must not leave a service behind that nobody closes.
        return await asyncio.shield(self._opening)

    async def _call(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _park(self, watch: Watch) -> None:
        """Wait until a task has ended, the time is up, or the wire is closed; no thread is held."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        self._parked.add(changed)

        def notify() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        unsubscribe = watch.subscribe(notify)
        try:
            deadline = now() + watch.timeout
            while not self._closed and not await self._call(watch.ready) and (left := deadline - now()) > 0:
                await happens(changed, left if watch.poll is None else min(left, watch.poll))
                changed.clear()
        finally:
            unsubscribe()
            self._parked.discard(changed)

    async def close(self) -> None:
        """Close the service; what still runs is marked as interrupted."""
        self._closed = True
        for parked in self._parked:
            parked.set()
        opening, self._opening = self._opening, None
        if opening is not None:
            try:
                service = await opening
            except Exception:
                _log.debug("the data folder could not be opened, so there is nothing to close", exc_info=True)
            else:
                await self._call(service.close)
        if self._threads is not None and self._executor is None:
            self._threads.shutdown(wait=False)


def _answer_or_watch(service: ContextService, request: Request) -> tuple[Watch | None, dict[str, Any]]:
    """Answer a request, or say what it has to wait for first."""
    watch = service.watch(request.action, request.parameters)
    if watch is not None and not watch.ready():
        return watch, {}
    return None, service.handle(request.action, request.parameters)
