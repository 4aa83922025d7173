"""The other processes that share a catalog: what happens in one is noticed by who waits in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxmgr.service.catalog import tasks
from ctxmgr.service.catalog.database import Catalog

from .watch import Listeners

if TYPE_CHECKING:
    from ctxmgr.service.catalog.channel import Channel

__all__ = ["Peers"]


class Peers:
    """Passes on what listeners are notified of, where the database can; where it can't, there is nothing to do."""

    def __init__(self, catalog: Catalog, listeners: Listeners) -> None:
        self._catalog = catalog
        self._listeners = listeners
        self._channel: Channel | None = None
        self._unfinished: dict[str, str] = {}
        self._newest: dict[str, object] = {}

    def begin(self) -> None:
        """Send to the other processes, and receive from them, from now on."""
        self._channel = self._catalog.channel(self._listeners.notify_here, self._listeners.notify_all, self.look)
        if self._channel is not None:
            self._listeners.tell = self._channel.send

    def look(self) -> None:
        """Notify those who listen to a session of which a task has ended since the last look, or listen since then."""
        newest = self._listeners.newest()
        with self._catalog.read() as connection:
            unfinished = tasks.sessions_of_unfinished(connection)
        ended = {session_id for task_id, session_id in self._unfinished.items() if task_id not in unfinished}
        for session_id, entry in newest.items():
            if session_id in ended or self._newest.get(session_id) is not entry:
                self._listeners.notify_here(session_id)
        self._unfinished, self._newest = unfinished, newest

    def close(self) -> None:
        """Send what is still to be sent, and no more."""
        if self._channel is not None:
            self._channel.close()
