"""What ended sessions leave behind, and its removal: directories of the service's own, and old rows."""

from __future__ import annotations

from sqlalchemy import select

from ctxmgr.engine.policy.mounts import joined
from ctxmgr.service.catalog import endedsessions
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.retries import Retries
from ctxmgr.service.catalog.schema import tasks
from ctxmgr.service.catalog.sessions import SessionRow
from ctxmgr.service.storage.datafolder import DataFolder

from .removal import remove_tree

__all__ = ["Cleanup"]

KEPT_MS = 7 * 24 * 3600 * 1000


class Cleanup:
    """Removes the directories of ended sessions that the service made, and forgets sessions that ended long ago."""

    def __init__(self, catalog: Catalog, folder: DataFolder, home: str) -> None:
        self._home = home
        self._catalog = catalog
        self._folder = folder
        self._retries = Retries("remove what the ended session {} left behind")

    def run(self) -> None:
        """Do so now. A session whose directory can't be removed is logged, and tried again another time."""
        with self._catalog.read() as connection:
            ended = {session.id: session for session in endedsessions.ended_roots(connection, self._home)}
        self._retries.each(ended, lambda session_id: self._remove(ended[session_id]))
        with self._catalog.read() as connection:
            long_ago = endedsessions.ended_before(connection, now_ms() - KEPT_MS)
        if long_ago:
            with self._catalog.write() as connection:
                endedsessions.forget(connection, long_ago)

    def _remove(self, session: SessionRow) -> None:
        remove_tree(session.root)
        self._remove_states(session)
        with self._catalog.write() as connection:
            endedsessions.forget_root(connection, session.id)

    def _remove_states(self, session: SessionRow) -> None:
        rows = select(tasks.c.context_id, tasks.c.mount).where(tasks.c.session_id == session.id).distinct()
        with self._catalog.read() as connection:
            synced = connection.execute(rows).all()
        for context_id, mount in synced:
            directory = joined(session.root, mount)
            for state in self._folder.workspace_states(directory, context_id, mount):
                state.unlink(missing_ok=True)
            self._folder.workspace_lock(directory).unlink(missing_ok=True)
