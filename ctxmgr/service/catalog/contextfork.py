"""Forks: a context of its own that begins as another one was at a revision. No content is copied."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, literal, null, or_, select, update

from . import contexts
from .contentlock import share
from .revisions import record
from .schema import contexts as context_rows
from .schema import files

__all__ = ["fork"]


def fork(connection: Connection, account: str, source: Row[Any], name: str, revision: int) -> Row[Any]:
    """Make a context that holds what another one held at a revision, as its revision 1.

    All of it happens in the database: the rows are copied there, and the chunks that they name stay where they are.

    Args:
        connection: a write transaction, which the caller rolls back when this raises.
        account: whose contexts they are.
        source: the other context's row.
        name: the new context's.
        revision: one of the other context's, checked already; 0 is the empty one it began with.

    Raises:
        ServiceError: ``InvalidContext.Duplicate``, or the name is not allowed.
    """
    share(connection)
    made = contexts.create(connection, account, name)
    fixed: dict[str, Any] = {"context_id": literal(made.id), "rev_from": literal(1), "rev_to": null()}
    copies = select(*(fixed.get(column.name, column) for column in files.columns)).where(
        files.c.context_id == source.id,
        files.c.rev_from <= revision,
        or_(files.c.rev_to.is_(None), files.c.rev_to > revision),
    )
    connection.execute(insert(files).from_select([column.name for column in files.columns], copies))
    connection.execute(update(context_rows).where(context_rows.c.id == made.id).values(head=1))
    note = f"fork of revision {revision} of {source.name}"
    record(connection, made.id, 1, task_id="", note=note)
    return contexts.find(connection, account, made.id)
