"""The way to the service's door for nodes: a message there and one back, sent again until that works or is hopeless."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol, TypeVar

import msgspec

from ctxmgr import nodewire
from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.engine.sync.task import TaskInterrupted
from ctxmgr.errors import ProtocolError, ServiceError, TransportError
from ctxmgr.filedigests import is_intact
from ctxmgr.patience import unpacked
from ctxmgr.protocol import Answer, Reply
from ctxmgr.retry import retry_after

__all__ = ["Connect", "Door", "Unreachable", "Wire"]

_Message = TypeVar("_Message", bound=nodewire.Message)
_Read = TypeVar("_Read")

UNREACHABLE: Final = "ServiceUnavailable.Unreachable"
ANSWER_SECONDS: Final = 60.0
"""How long an answer may keep silent."""
PATIENCE_SECONDS: Final = 120.0
"""How long a call is sent again while none gets an answer: a service that is started anew is back before."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_WORDLESS_SECONDS: Final = 10.0
_CONTENT_TYPES: Final = (nodewire.CONTENT_TYPE, "application/octet-stream")
_NAMES: Final = {asked: name for name, (asked, _) in nodewire.CALLS.items()}
_NODE_GONE: Final = "Node.NotFound"
"""The node's lease is over, and so all that it ran has ended."""
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Wire(Protocol):
    """What carries messages to one service, as one account.

    Attributes:
        place: tells that service and account from others, without the credential.
    """

    @property
    def place(self) -> str: ...

    def post(self, path: str, body: bytes, wait: float) -> Reply: ...

    def put(self, url: str, data: bytes) -> None: ...

    def get(self, url: str, start: int, end: int) -> bytes: ...

    def read_refusal(self, reply: Reply) -> Answer: ...

    def close(self) -> None: ...


Connect = Callable[[], Wire]
"""Makes a way to a service."""


class Unreachable(ServiceError):
    """The service gave no answer that can be used, for as long as is worth waiting."""


class Door:
    """Calls the service. Used by several threads at once.

    Args:
        wire: sends a message once.
        closing: ends every pause, when the node is closed.
    """

    def __init__(self, wire: Wire, closing: threading.Event) -> None:
        self._wire = wire
        self._closing = closing

    def call(
        self,
        message: nodewire.Message,
        kind: type[_Message],
        *,
        patience: float | None = None,
        wait: float = ANSWER_SECONDS,
    ) -> _Message:
        """Send a message, again and again if need be, and return the one that answers it.

        Args:
            kind: of the answer.
            patience: seconds after which a call that gets no answer is given up, if not the usual; 0 to send it once.
            wait: seconds that the answer may keep silent.

        Raises:
            TaskInterrupted: the task that it is about has ended, or the node is being closed.
            HeadMoved: another committed first.
            ServiceError: the service refuses it.
            Unreachable: there was no answer.
        """
        return self._answered(message, lambda body: nodewire.decode(body, kind), patience, wait)

    def tell(self, message: nodewire.Message) -> None:
        """Send a message once, of which it does not matter much whether it arrives.

        Raises:
            TaskInterrupted: the task that it is about has ended, or the node is being closed.
        """
        with suppress(ServiceError):
            self.call(message, nodewire.Done, patience=0, wait=_WORDLESS_SECONDS)

    def read(self, message: nodewire.Read, *, patience: float | None = None) -> bytes:
        """Send a message as ``call`` does, and return the bytes that answer it."""
        return self._answered(message, bytes, patience, ANSWER_SECONDS)

    def send(self, url: str, data: bytes) -> None:
        """Send bytes to a presigned URL, once.

        Raises:
            TaskInterrupted: the node is being closed.
            TransportError: they did not arrive, or are refused.
        """
        with self._unless_closing():
            self._wire.put(url, data)

    def fetch(self, url: str, start: int, end: int) -> bytes:
        """Fetch the bytes of a presigned URL from a start to an end, exclusive, once.

        Raises:
            TaskInterrupted: the node is being closed.
            TransportError: they did not come, or are refused.
        """
        with self._unless_closing():
            return self._wire.get(url, start, end)

    @contextmanager
    def _unless_closing(self) -> Iterator[None]:
        try:
            yield
        except TransportError as error:
            if self._closing.is_set():
                raise TaskInterrupted from error
            raise

    def _answered(
        self, message: nodewire.Message, read: Callable[[bytes], _Read], patience: float | None, wait: float
    ) -> _Read:
        end = time.monotonic() + (PATIENCE_SECONDS if patience is None else patience)
        attempt = 0
        while True:
            if self._closing.is_set():
                raise TaskInterrupted
            attempt += 1
            try:
                return read(self._once(message, wait))
            except (TransportError, nodewire.Garbled) as error:
                if self._closing.is_set():
                    raise TaskInterrupted from error
                pause = _pause_after(error, attempt)
                if time.monotonic() + pause >= end:
                    text = f"the service did not answer the call {_NAMES[type(message)]!r}: {error}"
                    raise Unreachable(UNREACHABLE, text) from error
                if hasattr(message, "again") and getattr(error, "received", True):
                    message = msgspec.structs.replace(message, again=True)
            self._closing.wait(pause)

    def _once(self, message: nodewire.Message, wait: float) -> bytes:
        reply = self._wire.post(f"/node/{_NAMES[type(message)]}", nodewire.encode(message), wait)
        if not is_intact(reply.body, reply.headers.get("Content-Digest", "")):
            raise ProtocolError("the answer was damaged on the way", http_status=reply.status)
        if reply.status == 200 and reply.headers.get("Content-Type", "").startswith(_CONTENT_TYPES):
            try:
                return unpacked(reply.body, reply.headers.get("Content-Encoding", ""))
            except ValueError as error:
                raise ProtocolError(f"the answer can't be read: {error}") from None
        answer = self._wire.read_refusal(reply)
        if reply.status in _PASSING or answer.code == nodewire.DAMAGED:
            raise ProtocolError(answer.error_message, http_status=reply.status, retry_after=answer.retry_after)
        raise _refusal(answer)


def _refusal(answer: Answer) -> Exception:
    if answer.code in (nodewire.TASK_INTERRUPTED, _NODE_GONE):
        return TaskInterrupted()
    if answer.code == nodewire.HEAD_MOVED:
        return HeadMoved()
    return ServiceError(answer.code, answer.message, request_id=answer.request_id)


def _pause_after(error: Exception, attempt: int) -> float:
    pause: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
    return max(pause, retry_after(error.retry_after)) if isinstance(error, ProtocolError) else pause
