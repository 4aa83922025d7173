"""What a context holds below the paths that a binding shows."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sqlalchemy import Connection, select

from ctxmgr.engine.manifest.entries import DIRECTORY
from ctxmgr.engine.policy.mounts import ancestors
from ctxmgr.engine.sync.projection import Origins

from . import revisions
from .schema import files as file_rows

__all__ = ["in_the_way", "read_origins"]


def read_origins(connection: Connection, context_id: str, paths: Sequence[str]) -> Origins:
    """Read what a context holds below paths of it, none of which lies in another.

    Raises:
        ServiceError: ``InvalidContext.NotFound``.
    """
    head = revisions.head_of(connection, context_id)
    rows = tuple(revisions.manifest(connection, context_id, path) for path in paths)
    return Origins(head, tuple(paths), rows, tuple(in_the_way(connection, context_id, paths, head)))


def in_the_way(connection: Connection, context_id: str, paths: Sequence[str], revision: int) -> Sequence[bytes]:
    """Return the files and links that a context has where a path above one of several has to be a directory."""
    if len(paths) == 1:
        return ()
    above = {name for path in paths for name in ancestors(os.fsencode(path))}
    there = (file_rows.c.rev_from <= revision) & (file_rows.c.rev_to.is_(None) | (file_rows.c.rev_to > revision))
    blocking = select(file_rows.c.path).where(
        file_rows.c.context_id == context_id, there, file_rows.c.path.in_(above), file_rows.c.kind != DIRECTORY
    )
    return connection.execute(blocking).scalars().all()
