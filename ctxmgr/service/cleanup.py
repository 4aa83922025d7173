"""What ended sessions leave behind, and its removal: directories of the service's own, and old rows."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress

from sqlalchemy import select

from . import sessions
from .catalog import Catalog, tasks
from .clock import now_ms
from .datafolder import DataFolder
from .mounts import joined

__all__ = ["remove_ended", "remove_tree"]

KEPT_MS = 7 * 24 * 3600 * 1000


def remove_ended(catalog: Catalog, folder: DataFolder) -> None:
    """Remove the directories of ended sessions that the service made, and forget sessions that ended long ago."""
    with catalog.read() as connection:
        ended = sessions.ended_roots(connection)
        long_ago = sessions.ended_before(connection, now_ms() - KEPT_MS)
    for session in ended:
        remove_tree(session.root)
        _remove_states(catalog, folder, session)
        with catalog.write() as connection:
            sessions.forget_root(connection, session.id)
    if long_ago:
        with catalog.write() as connection:
            sessions.forget(connection, long_ago)


def remove_tree(path: str) -> None:
    """Remove a directory with all that is in it, also what is read-only; one that is gone already is fine.

    Of what has taken a directory's place, only that is removed, and not what a link leads to.
    """
    if os.path.islink(path) or os.path.isfile(path):
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
    while os.path.lexists(path):
        # Another process may be removing the same directory; what is gone before its turn is no failure.
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def _remove_states(catalog: Catalog, folder: DataFolder, session: sessions.Session) -> None:
    rows = select(tasks.c.context_id, tasks.c.mount).where(tasks.c.session_id == session.id).distinct()
    with catalog.read() as connection:
        synced = connection.execute(rows).all()
    for context_id, mount in synced:
        directory = joined(session.root, mount)
        for state in folder.workspace_states(directory, context_id, mount):
            state.unlink(missing_ok=True)
        folder.workspace_lock(directory).unlink(missing_ok=True)
