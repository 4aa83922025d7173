"""Carries a call to the service and back, sending it again where that is safe and may help."""

from __future__ import annotations

from collections.abc import Mapping

from ._io import Closing, HttpWire, LocalWire
from .errors import ClosedError, TransportError
from .protocol import Answer, Request
from .retry import delay_after_answer, delay_after_error

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
        self._closing: Closing = closing
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
    ) -> Answer:
        """Send one action and give its answer, which may be a failure.

        Args:
            idempotent: whether sending it twice does no harm.
            attempts: how often it may be sent in all, if not the usual.
            timeout: seconds the server may take beyond the usual, because it is asked to park.

        Raises:
            TransportError: no answer could be had.
            ClosedError: the client is closed.
        """
        request = Request(action, parameters, timeout)
        limit = attempts or self._attempts
        attempt = 0
        while True:
            if self._closing.is_set:
                raise ClosedError(f"{action} was not sent: the client is closed")
            attempt += 1
            try:
                answer = self._wire.send(request)
                delay = delay_after_answer(answer, attempt, limit, idempotent=idempotent)
                if delay is None:
                    return answer
            except TransportError as error:
                if self._closing.is_set:
                    raise ClosedError(f"the client was closed during {action}") from error
                delay = delay_after_error(error, attempt, limit, idempotent=idempotent)
                if delay is None:
                    raise
            self._closing.pause(delay)

    def close(self) -> None:
        """Close the way; what is under way fails at once."""
        self._wire.close()
