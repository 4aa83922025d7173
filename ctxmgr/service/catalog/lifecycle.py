"""Lifecycles: how long the files of a context stay after their upload, and the revision that ends them then.

The rules belong to the context, not to the session that brought them: they go on when it has ended. For each path the
latest one counts, and for a file that of the longest path that it has or lies below. What is swept is in the history,
as everything that a revision ends.
"""

from __future__ import annotations

import os
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from ctxmgr.engine.manifest.entries import DIRECTORY, parent, tree_order
from ctxmgr.engine.policy.policy import Recycle

from . import revisions
from .clock import now_ms
from .database import Catalog
from .retries import Retries
from .schema import files, lifecycles
from .schema import revisions as revision_rows

__all__ = ["DAY_MS", "has_rules", "remember", "sweep"]

DAY_MS: Final = 24 * 3600 * 1000
NOTE: Final = "recycle"


def remember(connection: Connection, context_id: str, recycle: Recycle) -> None:
    """Have a context's files recycled as a binding's policy says from now on."""
    for path in recycle.paths:
        name = os.fsencode(path)
        same = (lifecycles.c.context_id == context_id) & (lifecycles.c.path == name)
        connection.execute(delete(lifecycles).where(same))
        row = {"context_id": context_id, "path": name, "days": recycle.days, "set_ms": now_ms()}
        connection.execute(insert(lifecycles).values(row))


def has_rules(connection: Connection) -> bool:
    """Whether anything may ever have to be swept."""
    return (
        connection.execute(select(lifecycles.c.context_id).where(lifecycles.c.days.is_not(None)).limit(1)).first()
        is not None
    )


def sweep(catalog: Catalog, now: int, retries: Retries) -> int:
    """End, in every context, the files whose time is over.

    Args:
        catalog: what to sweep.
        now: milliseconds since the epoch.
        retries: notes the contexts in which that fails.

    Returns:
        how many files were ended.
    """
    with catalog.read() as connection:
        ruled = select(lifecycles.c.context_id).where(lifecycles.c.days.is_not(None)).distinct()
        found = connection.execute(ruled).scalars().all()
    ended: list[int] = []
    retries.each(found, lambda context_id: ended.append(_sweep(catalog, context_id, now)))
    return sum(ended)


def _sweep(catalog: Catalog, context_id: str, now: int) -> int:
    with catalog.read() as connection:
        if not _due(connection, context_id, now):
            return 0
    with catalog.write() as connection:
        head = revisions.held_head(connection, context_id)
        due = [path[1:] for path in _due(connection, context_id, now)]
        if due:
            revisions.commit(
                connection,
                context_id,
                "/",
                head=head,
                current=due,
                put={},
                drop=due,
                task_id="",
                note=NOTE,
            )
        return len(due)


def _due(connection: Connection, context_id: str, now: int) -> list[bytes]:
    """Return the absolute paths of the files whose time is over."""
    ruled = select(lifecycles.c.path, lifecycles.c.days).where(lifecycles.c.context_id == context_id)
    rules: dict[bytes, int | None] = {row.path: row.days for row in connection.execute(ruled)}
    shortest = min((days for days in rules.values() if days is not None), default=None)
    if shortest is None:
        return []
    came = (revision_rows.c.context_id == files.c.context_id) & (revision_rows.c.number == files.c.rev_from)
    old = (
        (files.c.context_id == context_id)
        & files.c.rev_to.is_(None)
        & (files.c.kind != DIRECTORY)
        & (revision_rows.c.created_ms <= now - shortest * DAY_MS)
    )
    rows = select(files.c.path, revision_rows.c.created_ms).join(revision_rows, came).where(old)
    found = []
    for path, created_ms in connection.execute(rows):
        days = _days(rules, path)
        if days is not None and created_ms <= now - days * DAY_MS:
            found.append(path)
    return sorted(found, key=tree_order)


def _days(rules: dict[bytes, int | None], path: bytes) -> int | None:
    while path:
        if path in rules:
            return rules[path]
        path = parent(path)
    return rules.get(b"/")
