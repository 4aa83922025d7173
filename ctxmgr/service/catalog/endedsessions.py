"""Sessions that have ended, and what is still known of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from .schema import labels, sessions, tasks
from .sessions import FINISH, SessionRow, session_of

__all__ = ["ended_before", "ended_roots", "forget", "forget_root"]

FORGOTTEN_AT_ONCE = 500


def ended_roots(connection: Connection, home: str) -> list[SessionRow]:
    """Return the sessions that have ended and whose directory is to be removed by the services of a data folder."""
    rows = select(sessions).where(sessions.c.status == FINISH, sessions.c.owns_root, sessions.c.home == home)
    return [session_of(connection, row) for row in connection.execute(rows).all()]


def ended_before(connection: Connection, moment_ms: int) -> list[str]:
    """Return ids, not too many at once, of sessions that ended before a moment and have nothing left to be removed."""
    old = (sessions.c.status == FINISH) & (sessions.c.changed_ms < moment_ms)
    rows = select(sessions.c.id).where(old, ~sessions.c.owns_root).limit(FORGOTTEN_AT_ONCE)
    return list(connection.execute(rows).scalars())


def forget(connection: Connection, ids: Sequence[str]) -> None:
    """Remove all that is known of sessions that ended."""
    for column in (tasks.c.session_id, labels.c.session_id, sessions.c.id):
        connection.execute(delete(column.table).where(column.in_(ids)))


def forget_root(connection: Connection, session_id: str) -> None:
    """Note that an ended session's directory is gone."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(owns_root=False))
