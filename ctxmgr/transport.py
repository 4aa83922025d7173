"""Carries a call to the service and back, sending it again where that is safe and may help."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING

from ._io import Closing, HttpWire, LocalWire, Waitable, now
from ._localfiles import Source
from ._localrestore import Target
from .errors import ClosedError, RequestTimeout, TransportError
from .protocol import Answer, Request
from .retry import delay_after
from .structuring import FileUrlData, structure

if TYPE_CHECKING:
    from .engine.manifest.entries import Manifest

__all__ = ["Transport"]


class Transport:
    """One way to one service, shared by everything a client gives out.

    Args:
        wire: what sends a request once.
        attempts: how often a request may be sent in all when that is safe.
        closing: ends the pauses between attempts.
    """

    def __init__(self, wire: HttpWire | LocalWire, attempts: int, closing: Closing) -> None:
        self._wire: HttpWire | LocalWire = wire
        self._attempts = attempts
        self._closing = closing
        #: Whether SyncContext tells the ids of its tasks: the embedded service does, others show it in their answers.
        self.tells_task_ids = isinstance(wire, LocalWire)

    def open(self) -> None:
        """Make ready, so that what can't work fails here."""
        self._wire.open()

    def call(
        self,
        action: str,
        parameters: Mapping[str, str],
        *,
        idempotent: bool = True,
        attempts: int | None = None,
        timeout: float = 0.0,
        within: float = math.inf,
    ) -> Answer:
        """Send one action and give its answer, which may be a failure.

        Args:
            idempotent: whether sending it twice does no harm.
            attempts: how often it may be sent in all, if not the usual.
            timeout: seconds the server may take beyond the usual, because it is asked to park.
            within: seconds the call may take in all, repetitions and pauses included. Without it, each attempt is
                bounded by the client's time-outs and each pause by 30 s.

        Raises:
            TransportError: no answer could be had.
            ClosedError: the client is closed.
        """

        def send(left: float) -> Answer:
            return self._wire.send(Request(action, parameters, timeout, left))

        return self._repeat(action, send, attempts or self._attempts, idempotent, within)

    def put_file(self, context_id: str, path: str, source: Source) -> Answer:
        """Upload a file to a context: by a signed URL, or hand it over in this process.

        Raises:
            OSError: the caller's file can't be read.
            TransportError: no answer could be had.
            ClosedError: the client is closed.
        """
        wire = self._wire
        if isinstance(wire, LocalWire):
            return wire.put_file(context_id, path, source)
        granted = self.call("GetContextFileUploadUrl", {"ContextId": context_id, "FilePath": path})
        if not granted.success:
            return granted
        url = structure(granted.data, FileUrlData).url

        def put(left: float) -> Answer:
            return wire.put_url(url, source)

        return self._repeat("the upload of a file", put, self._attempts)

    def get_file(self, context_id: str, path: str, target: str | PathLike[str], revision: int) -> Answer:
        """Download a file from a context: by a signed URL, or take it over in this process.

        Raises:
            OSError: the caller's file can't be written.
            TransportError: no answer could be had, or not all of it.
            ClosedError: the client is closed.
        """
        wire = self._wire
        if isinstance(wire, LocalWire):
            return wire.get_file(context_id, path, target, revision)
        parameters = {"ContextId": context_id, "FilePath": path}
        if revision:
            parameters["Revision"] = str(revision)
        granted = self.call("GetContextFileDownloadUrl", parameters)
        if not granted.success:
            return granted
        url = structure(granted.data, FileUrlData).url

        def get(left: float) -> Answer:
            return wire.get_url(url, target)

        return self._repeat("the download of a file", get, self._attempts)

    def fill(self, context_id: str, target: Target) -> Answer | None:
        """Fetch the files of a restore: many at a time by a signed URL, or read in this process.

        Returns:
            the refusal, if there is one.

        Raises:
            ApiError: one can't be written.
            TransportError: no answer could be had, or not all of it.
            ClosedError: the client is closed.
        """
        wire = self._wire
        if isinstance(wire, LocalWire):
            wire.fill(context_id, target)
            return None
        for batch in target.batches():
            answer = self._fill(wire, context_id, target, batch)
            if not answer.success:
                return answer
        return None

    def _fill(self, wire: HttpWire, context_id: str, target: Target, batch: Manifest) -> Answer:
        granted = self.call("GetContextContentsUrl", {"ContextId": context_id, "Revision": str(target.revision)})
        if not granted.success:
            return granted
        url = structure(granted.data, FileUrlData).url

        def fetch(left: float) -> Answer:
            # What came before the connection broke is written, and not asked for again.
            return wire.post_url(url, target.asked(batch), lambda pieces: target.take(batch, pieces))

        return self._repeat("the download of a context's files", fetch, self._attempts)

    def _repeat(
        self,
        what: str,
        exchange: Callable[[float], Waitable[Answer]],
        limit: int,
        idempotent: bool = True,
        within: float = math.inf,
    ) -> Answer:
        """Carry out an exchange until there is an answer to take, or no sense or no time for another attempt.

        Args:
            exchange: sends it once; told the seconds until nobody waits for the answer any more.
        """
        end = now() + within
        attempt = 0
        while True:
            if self._closing.is_set:
                raise ClosedError(f"{what} was not sent: the client is closed")
            left = end - now()
            if left <= 0:
                raise RequestTimeout(f"{what} was not sent: there was no time left for it", received=False)
            attempt += 1
            try:
                answer = exchange(left)
                delay = delay_after(answer, attempt, limit, idempotent=idempotent)
                if delay is None or delay >= end - now():
                    return answer
            except TransportError as error:
                if self._closing.is_set:
                    raise ClosedError(f"the client was closed during {what}") from error
                delay = delay_after(error, attempt, limit, idempotent=idempotent)
                if delay is None or delay >= end - now():
                    raise
            self._closing.pause(delay)

    def close(self) -> None:
        """Close the way; what is under way fails at once."""
        self._wire.close()
