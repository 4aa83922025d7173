"""The retention of a context, as it is kept with it, and the end of the revisions that one does not keep."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, exists, or_, select, update

from ctxmgr.retention import Retention

from .clock import now_ms
from .insertion import batches
from .revisions import held_head
from .schema import contexts, files, revisions

__all__ = ["expire", "retention_of", "set_retention"]


def retention_of(text: str) -> Retention:
    """Return the retention that a context's row holds."""
    return Retention.from_wire(json.loads(text)) if text else Retention()


def set_retention(connection: Connection, context_id: str, retention: Retention) -> None:
    """Have a context's history pruned by a retention from now on; one without a rule keeps everything."""
    text = "" if retention.keeps_everything else json.dumps(retention.wire())
    connection.execute(update(contexts).where(contexts.c.id == context_id).values(retention=text))


def expire(connection: Connection, context_id: str, numbers: Iterable[int]) -> None:
    """End revisions for good, with all that no other revision holds. The head stays whatever is asked.

    The row of a revision that brought what a kept one still holds stays, as pruned: it says when that came.

    Args:
        connection: a write transaction.
        context_id: the context.
        numbers: of the revisions.
    """
    head = held_head(connection, context_id)
    own = (revisions.c.context_id == context_id) & revisions.c.pruned_ms.is_(None)
    for batch in batches(number for number in numbers if number != head):
        connection.execute(update(revisions).where(own, revisions.c.number.in_(batch)).values(pruned_ms=now_ms()))
    of_files = files.c.context_id == context_id
    connection.execute(delete(files).where(of_files, files.c.rev_to.is_not(None), ~_held(context_id)))
    pruned = (revisions.c.context_id == context_id) & revisions.c.pruned_ms.is_not(None)
    about = or_(files.c.rev_from == revisions.c.number, files.c.rev_to == revisions.c.number)
    named = exists().where(of_files, about).correlate(revisions)
    connection.execute(delete(revisions).where(pruned, ~named))


def _held(context_id: str) -> ColumnElement[bool]:
    """Whether a revision that is kept holds a row of the files."""
    sees = (revisions.c.number >= files.c.rev_from) & (revisions.c.number < files.c.rev_to)
    kept = (revisions.c.context_id == context_id) & revisions.c.pruned_ms.is_(None)
    return exists(select(revisions.c.number).where(kept, sees)).correlate(files)
