"""A wait for the end of tasks, for doors that can park a request: a future in a loop, or a blocked thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Listeners", "Watch"]

logger = logging.getLogger(__name__)


class Listeners:
    """Who wants to know when a task of a session ends, or something else by its id has news.

    Attributes:
        tell: called with the id of what has news here, for those who listen in other processes.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = lambda _: None
        self._lock = threading.Lock()
        self._by_session: dict[str, list[Callable[[], None]]] = {}

    def add(self, session_id: str, notify: Callable[[], None]) -> Callable[[], None]:
        """Call ``notify`` at every end of a task of the session, until the function given back is called."""
        # An object of its own, so that the same function can listen twice and each be taken back by itself.
        entry = lambda: notify()  # noqa: E731
        with self._lock:
            self._by_session.setdefault(session_id, []).append(entry)

        def remove() -> None:
            with self._lock:
                entries = self._by_session.get(session_id, [])
                with suppress(ValueError):
                    entries.remove(entry)
                if not entries:
                    self._by_session.pop(session_id, None)

        return remove

    def newest(self) -> dict[str, object]:
        """Return who was last to begin to listen, by what is listened to."""
        with self._lock:
            return {session_id: entries[-1] for session_id, entries in self._by_session.items()}

    def notify(self, session_id: str) -> None:
        """Notify those that listen to a session, here and elsewhere."""
        self.notify_here(session_id)
        self.tell(session_id)

    def notify_here(self, session_id: str) -> None:
        """Notify those that listen to a session in this process."""
        with self._lock:
            entries = list(self._by_session.get(session_id, ()))
        _call(entries)

    def notify_all(self) -> None:
        """Notify everyone: nothing more will happen, or anything may have."""
        with self._lock:
            entries = [entry for group in self._by_session.values() for entry in group]
        _call(entries)


@dataclass(frozen=True)
class Watch:
    """What a request that asks to wait is waiting for. Subscribe first, then ask ``ready``: so no end is missed.

    Attributes:
        timeout: seconds to wait at most.
        poll: seconds after which to ask ``ready`` again though nobody called, because a task runs in another
            process; None when every end is notified.
        ready: tells whether the answer is worth giving now; never raises.
        subscribe: calls the given function, from a worker thread, whenever a task of the session ends, until the
            function that it gives back is called.
        asked: the id of the question to a node whose answer is waited for; "" if it is not that.
    """

    timeout: float
    poll: float | None
    ready: Callable[[], bool]
    subscribe: Callable[[Callable[[], None]], Callable[[], None]]
    asked: str = ""


def _call(entries: list[Callable[[], None]]) -> None:
    for entry in entries:
        try:
            entry()
        except Exception:
            logger.exception("a listener for the end of tasks failed")
