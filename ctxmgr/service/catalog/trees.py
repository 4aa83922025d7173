"""Whether what a context has is a tree: nothing lies in a file or a link."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, LargeBinary, cast, literal, select
from sqlalchemy.sql.elements import ColumnElement

from ctxmgr.engine.manifest.entries import DIRECTORY

from .schema import files

__all__ = ["holder_among", "leaf_among"]

_BELOW = files.alias("below")


def leaf_among(connection: Connection, context_id: str, paths: Collection[bytes]) -> bytes | None:
    """Return one of some absolute paths at which a context has a file or a link now."""
    current = (files.c.context_id == context_id) & files.c.rev_to.is_(None)
    rows = select(files.c.path).where(current, files.c.path.in_(paths), files.c.kind != DIRECTORY).limit(1)
    return connection.execute(rows).scalar_one_or_none()


def holder_among(connection: Connection, context_id: str, paths: Collection[bytes]) -> bytes | None:
    """Return one of some absolute paths below which a context has something now, among those that it has."""
    current = (files.c.context_id == context_id) & files.c.rev_to.is_(None)
    # The first one alone: where PostgreSQL knows nothing of what a transaction has brought, it compares for an EXISTS
    # each path with each.
    behind = (_BELOW.c.context_id == context_id) & _BELOW.c.rev_to.is_(None) & (_BELOW.c.path > _followed_by(b"/"))
    first = select(_BELOW.c.path).where(behind).order_by(_BELOW.c.path).limit(1).correlate(files).scalar_subquery()
    rows = select(files.c.path).where(current, files.c.path.in_(paths), first < _followed_by(b"0")).limit(1)
    return connection.execute(rows).scalar_one_or_none()


def _followed_by(byte: bytes) -> ColumnElement[bytes]:
    """Return the path and a byte behind it; SQLite makes a text of that, which is less than all bytes."""
    return cast(files.c.path.op("||")(literal(byte, LargeBinary)), LargeBinary)
