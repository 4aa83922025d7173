"""What a context held at a revision, as a restore asks for it: its entries page by page, and the files it wants."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.engine.policy.mounts import ancestors

from . import contextfiles
from .schema import files

__all__ = ["MAX_ROOTS", "check_held", "entries_at", "files_at"]

MAX_ROOTS = 200
"""Paths that a part of a context may be named by: a longer condition is more than SQLite parses."""

_AT_ONCE = 500


def check_held(connection: Connection, context_id: str, revision: int, paths: Sequence[bytes]) -> None:
    """Check that a context held something at or below each of some absolute paths.

    Raises:
        ServiceError: ``InvalidFile.NotFound``.
    """
    for path in paths:
        rows = select(files.c.path).where(_visible(context_id, revision), _at_or_below(path)).limit(1)
        if connection.execute(rows).first() is None:
            raise contextfiles.missing(context_id, path)


def entries_at(
    connection: Connection, context_id: str, revision: int, paths: Sequence[bytes], *, after: bytes, size: int
) -> list[Row[Any]]:
    """Return what a context held at a revision, in the order of the paths' bytes.

    Args:
        paths: what alone is wanted, with what lies below it and the folders above it; all, where there are none.
        after: the path after which to begin; empty for the first page.
        size: how many entries to return at most.
    """
    wanted = select(files).where(_visible(context_id, revision), files.c.path > after)
    if paths:
        above = {folder for path in paths for folder in ancestors(path)[1:]}
        wanted = wanted.where(or_(files.c.path.in_(sorted(above)), *map(_at_or_below, paths)))
    return list(connection.execute(wanted.order_by(files.c.path).limit(size)))


def files_at(connection: Connection, context_id: str, revision: int, paths: Collection[bytes]) -> dict[bytes, Entry]:
    """Return the entries of files that a context held at a revision.

    Raises:
        ServiceError: ``InvalidFile.NotFound``: it held no such file, or a folder or a link there.
    """
    found: dict[bytes, Entry] = {}
    waiting = iter(paths)
    while group := list(islice(waiting, _AT_ONCE)):
        named = and_(_visible(context_id, revision), files.c.path.in_(group), files.c.kind == FILE)
        found |= {row.path: contextfiles.entry_of(row) for row in connection.execute(select(files).where(named))}
    for path in paths:
        if path not in found:
            raise contextfiles.missing(context_id, path)
    return found


def _visible(context_id: str, revision: int) -> ColumnElement[bool]:
    ended_later = or_(files.c.rev_to.is_(None), files.c.rev_to > revision)
    return and_(files.c.context_id == context_id, files.c.rev_from <= revision, ended_later)


def _at_or_below(path: bytes) -> ColumnElement[bool]:
    # "0" is the byte after "/": the range is exactly what lies below the path, and an index can serve it.
    return or_(files.c.path == path, and_(files.c.path > path + b"/", files.c.path < path + b"0"))
