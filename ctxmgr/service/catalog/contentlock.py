"""The lock between those who refer to content and those who remove what nothing refers to.

A transaction that adds references (a commit, a way back, a fork) or content (a pack that is indexed) shares it, and one
that takes content away holds it alone. So whoever removes sees every reference there is, and whoever commits sees what
was removed. SQLite has one writer anyway; other databases lock a row.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from .schema import meta

__all__ = ["exclude", "share"]

_ROW = select(meta.c.key).where(meta.c.key == "schema")


def share(connection: Connection) -> None:
    """Keep content from being removed until a write transaction ends."""
    connection.execute(_ROW.with_for_update(read=True))


def exclude(connection: Connection) -> None:
    """Wait for all that add references or content, and hold up others until a write transaction ends."""
    connection.execute(_ROW.with_for_update())
