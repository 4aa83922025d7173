"""Labels of sessions: short texts by name, which sessions are found by."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete

from .insertion import bulk_insert
from .schema import labels as label_rows

__all__ = ["replace"]


def replace(connection: Connection, session_id: str, labels: Mapping[str, str]) -> None:
    """Make these a session's labels, in place of those it had."""
    connection.execute(delete(label_rows).where(label_rows.c.session_id == session_id))
    bulk_insert(connection, label_rows, [(session_id, name, value) for name, value in labels.items()])
