"""Whether what a context has is a tree: nothing lies in a file or a link."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, LargeBinary, cast, exists, literal, select
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
    inside = (_BELOW.c.path > _followed_by(b"/")) & (_BELOW.c.path < _followed_by(b"0"))
    anything = exists().where(_BELOW.c.context_id == context_id, _BELOW.c.rev_to.is_(None), inside)
    rows = select(files.c.path).where(current, files.c.path.in_(paths), anything).limit(1)
    return connection.execute(rows).scalar_one_or_none()


def _followed_by(byte: bytes) -> ColumnElement[bytes]:
    """Return the path and a byte behind it; SQLite makes a text of that, which is less than all bytes."""
    return cast(files.c.path.op("||")(literal(byte, LargeBinary)), LargeBinary)
