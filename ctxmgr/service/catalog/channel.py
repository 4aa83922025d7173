"""Notifications between the processes that share a PostgreSQL database: NOTIFY and LISTEN, on one connection.

They are sent after the commit that makes them true, not in it: of transactions that notify, PostgreSQL lets one commit
at a time, and a commit waits for the disk. What only notifies does not wait, and tells many things at once. So a
process that is killed in between tells nothing: whoever waits has to look now and then as well.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ctxmgr.reasons import reason

if TYPE_CHECKING:
    import psycopg

__all__ = ["Channel"]

logger = logging.getLogger(__name__)

NAME: Final = "ctxmgr"
MAX_PAYLOAD: Final = 7_900
"""Bytes of one notification, of which PostgreSQL takes less than 8,000."""
SECONDS_BETWEEN_LOOKS: Final = 1.0
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
STOP_TIMEOUT: Final = 3.0


class Channel:
    """Tells other processes which topics have news, and is told. Can be used from any thread.

    Args:
        connect: makes a connection that commits each statement.
        received: called with each topic that another process told.
        missed: called when this process listens, at first or again: anything may have been told before.
        look: called every second, so that what was told to nobody is not missed.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        received: Callable[[str], None],
        missed: Callable[[], None],
        look: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._received = received
        self._missed = missed
        self._look = look
        self._guard = threading.Lock()
        self._topics: dict[str, None] = {}
        self._closed = threading.Event()
        self._waking, self._woken = socket.socketpair()
        self._waking.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="ctxmgr-channel", daemon=True)
        self._thread.start()

    def send(self, topic: str) -> None:
        """Notify the other processes that a topic has news; while the database is away, as soon as it is back."""
        with self._guard:
            if not self._closed.is_set():
                self._topics[topic] = None
                self._wake()

    def close(self) -> None:
        """Send what is to be sent, and listen no more."""
        with self._guard:
            if self._closed.is_set():
                return
            self._closed.set()
            self._wake()
        self._thread.join(STOP_TIMEOUT)
        self._waking.close()

    def _wake(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):  # woken by so many already, or it has just ended
            self._waking.send(b"x")

    def _run(self) -> None:
        pause, lost = FIRST_PAUSE, False
        with self._woken:
            while True:
                try:
                    with self._connect() as connection:
                        self._listen(connection)
                        pause, lost = FIRST_PAUSE, False
                        self._talk(connection)
                    return
                except Exception as error:
                    if self._closed.is_set():
                        return
                    logger.log(
                        logging.DEBUG if lost else logging.WARNING,
                        "other processes of the service can't be heard for now, and are looked at again: %s",
                        reason(error),
                    )
                lost = True
                self._closed.wait(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {NAME}")
        self._missed()

    def _talk(self, connection: psycopg.Connection[Any]) -> None:
        own = connection.info.backend_pid
        due = time.monotonic() + SECONDS_BETWEEN_LOOKS
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                closing = self._closed.is_set()
                self._send(connection)
                if closing:
                    return
                for notification in connection.notifies(timeout=0):
                    if notification.pid != own:
                        for topic in notification.payload.split(","):
                            self._received(topic)
                if time.monotonic() >= due:
                    self._look()
                    due = time.monotonic() + SECONDS_BETWEEN_LOOKS
                ready = selector.select(max(0.0, due - time.monotonic()))
                if any(key.fileobj is self._woken for key, _ in ready):
                    self._woken.recv(4096)

    def _send(self, connection: psycopg.Connection[Any]) -> None:
        with self._guard:
            topics, self._topics = self._topics, {}
        try:
            for payload in _payloads(topics):
                connection.execute("SELECT pg_notify(%s, %s)", (NAME, payload))
        except BaseException:
            with self._guard:
                self._topics = topics | self._topics
            raise


def _payloads(topics: Iterable[str]) -> Iterator[str]:
    """Join topics, as many at a time as fit."""
    payload = ""
    for topic in topics:
        if payload and len(payload) + len(topic) >= MAX_PAYLOAD:
            yield payload
            payload = ""
        payload = f"{payload},{topic}" if payload else topic
    if payload:
        yield payload
