"""Requests that a context service in this process answers."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from os import PathLike
from typing import TYPE_CHECKING

from ctxmgr._embedded import Location, open_service
from ctxmgr._forks import renewed_in_child
from ctxmgr._localfiles import Source, get_in_process, put_in_process
from ctxmgr._localrestore import Target
from ctxmgr.errors import ClosedError
from ctxmgr.protocol import Answer, Request, answer_from_document

from .closing import now

if TYPE_CHECKING:
    from ctxmgr.service import ContextService, Watch

__all__ = ["LocalWire"]


class LocalWire:
    """Hands requests to a context service in this process.

    Args:
        location: where the service keeps what it keeps; made if it does not exist.
        executor: needed in asyncio only; here the caller's own thread does the work.
    """

    def __init__(self, location: Location, executor: Executor | None = None) -> None:
        self._location = location
        self._closed = False
        self._begin()
        renewed_in_child(self)

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._service: ContextService | None = None
        self._parked: set[threading.Event] = set()

    def renew(self) -> None:
        """Leave the service to the parent in a forked child, which opens one of its own when it needs it."""
        self._begin()

    def open(self) -> None:
        """Open the data folder.

        Raises:
            DataFolderError: it is not a data folder of ours, or of a newer version.
        """
        self._opened()

    def send(self, request: Request) -> Answer:
        """Have one request answered, parking as long as it asks."""
        service = self._opened()
        watch = service.watch(request.action, request.parameters)
        if watch is not None:
            self._park(watch)
        return answer_from_document(service.handle(request.action, request.parameters))

    def put_file(self, context_id: str, path: str, source: Source) -> Answer:
        """Have the service take a file.

        Raises:
            OSError: the caller's file can't be read.
        """
        return put_in_process(self._opened(), context_id, path, source)

    def get_file(self, context_id: str, path: str, target: str | PathLike[str], revision: int) -> Answer:
        """Have the service give a file; it takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
        """
        return get_in_process(self._opened(), context_id, path, target, revision)

    def fill(self, context_id: str, target: Target) -> None:
        """Have the service give the files of a restore.

        Raises:
            ApiError: one can't be read or written.
        """
        target.read(self._opened(), context_id)

    def _opened(self) -> ContextService:
        with self._guard:
            if self._closed:
                raise ClosedError("the client is closed")
            if self._service is None:
                self._service = open_service(self._location)
            return self._service

    def _park(self, watch: Watch) -> None:
        """Wait until a task has ended, the time is up, or the wire is closed."""
        changed = threading.Event()
        with self._guard:
            self._parked.add(changed)
        unsubscribe = watch.subscribe(changed.set)
        try:
            deadline = now() + watch.timeout
            while not self._closed and not watch.ready() and (left := deadline - now()) > 0:
                changed.wait(left if watch.poll is None else min(left, watch.poll))
                changed.clear()
        finally:
            unsubscribe()
            with self._guard:
                self._parked.discard(changed)

    def close(self) -> None:
        """Close the service; what still runs is marked as interrupted."""
        with self._guard:
            self._closed = True
            service, self._service = self._service, None
            for parked in self._parked:
                parked.set()
        if service is not None:
            service.close()
