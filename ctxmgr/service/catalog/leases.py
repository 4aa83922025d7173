"""Nodes that are elsewhere, in the catalog: what is known of them, and which sessions are theirs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, select, update

from . import tasks
from .clock import now_ms
from .insertion import insert_missing
from .schema import nodes, sessions
from .schema import tasks as task_rows
from .sessions import FINISH

__all__ = [
    "account_of",
    "attach",
    "elsewhere",
    "find",
    "forget",
    "orphans",
    "record",
    "renew",
    "sessions_of",
    "wait_for_nobody",
    "waited_for",
]


def record(connection: Connection, account: str, node_id: str, host: str, pid: int, until_ms: int) -> bool:
    """Note that a node is there.

    Returns:
        False where it is another account's.
    """
    # Another process may be about to do the same.
    insert_missing(connection, nodes, [(node_id, host, pid, now_ms(), account, until_ms, "")])
    values = {"host": host, "pid": pid, "lease_until_ms": until_ms}
    known = update(nodes).where(nodes.c.id == node_id, nodes.c.account == account)
    return connection.execute(known.values(**values)).rowcount == 1


def renew(connection: Connection, node_ids: Collection[str], until_ms: int) -> None:
    """Note that nodes are still there."""
    # In one order, since other processes may hear the same ones.
    held = select(nodes.c.id).where(nodes.c.id.in_(node_ids)).order_by(nodes.c.id).with_for_update(key_share=True)
    connection.execute(held).all()
    connection.execute(update(nodes).where(nodes.c.id.in_(node_ids)).values(lease_until_ms=until_ms))


def find(connection: Connection, node_id: str) -> Row[Any] | None:
    """Return the row of a node; None if there is none."""
    return connection.execute(select(nodes).where(nodes.c.id == node_id)).one_or_none()


def account_of(connection: Connection, node_id: str) -> str | None:
    """Return the account whose sessions a node has, or had last; None where there are none."""
    rows = select(sessions.c.account).where(sessions.c.node_id == node_id, sessions.c.status != FINISH).limit(1)
    account: str | None = connection.execute(rows).scalar_one_or_none()
    return account


def elsewhere(connection: Connection) -> Sequence[Row[Any]]:
    """Return the rows of all nodes that are elsewhere."""
    return connection.execute(select(nodes).where(nodes.c.account != "")).all()


def forget(connection: Connection, node_id: str, error: str) -> list[str]:
    """Forget a node that is gone; its running tasks have failed. Return the ids of the sessions that this concerns."""
    concerned = tasks.fail_running_of(connection, node_id, error)
    connection.execute(update(sessions).where(sessions.c.node_id == node_id).values(node_seen_ms=now_ms()))
    connection.execute(delete(nodes).where(nodes.c.id == node_id))
    return concerned


def attach(connection: Connection, session_id: str, node_id: str, root: str) -> None:
    """Make a node the one of a session; what waits to be run goes to it."""
    values = {"node_id": node_id, "node_root": root, "node_seen_ms": now_ms()}
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))
    tasks.hand_over(connection, session_id, node_id)


def sessions_of(connection: Connection, node_id: str) -> set[str]:
    """Return the ids of the sessions that are a node's and have not ended."""
    rows = select(sessions.c.id).where(sessions.c.node_id == node_id, sessions.c.status != FINISH)
    return set(connection.execute(rows).scalars())


def orphans(connection: Connection) -> Sequence[Row[Any]]:
    """Return the rows of the sessions whose node is gone."""
    there = exists().where(nodes.c.id == sessions.c.node_id)
    rows = select(sessions).where(sessions.c.node_id != "", sessions.c.status != FINISH, ~there)
    return connection.execute(rows).all()


def wait_for_nobody(connection: Connection) -> list[str]:
    """Return the ids of the waiting tasks whose node is gone, or never was."""
    there = exists().where(nodes.c.id == task_rows.c.node_id)
    waiting = (task_rows.c.finished_ms.is_(None)) & (task_rows.c.status == tasks.WAITING) & (task_rows.c.node_id != "")
    return list(connection.execute(select(task_rows.c.id).where(waiting, ~there)).scalars())


def waited_for(connection: Connection) -> set[str]:
    """Return the ids of the nodes for which tasks wait."""
    waiting = (task_rows.c.finished_ms.is_(None)) & (task_rows.c.status == tasks.WAITING)
    return set(connection.execute(select(task_rows.c.node_id).where(waiting).distinct()).scalars())
