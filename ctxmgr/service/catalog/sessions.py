"""Sessions and their bindings in the catalog."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, update

from ctxmgr.engine.policy.policy import BindingPolicy, read_policy
from ctxmgr.errors import ServiceError

from .clock import now_ms
from .contexts import remove_transfer
from .identifiers import unlike_an_id
from .insertion import bulk_insert
from .paging import Page, page_of
from .schema import bindings, contexts, sessions, tasks
from .schema import labels as label_rows

__all__ = [
    "DELETING",
    "FINISH",
    "RUNNING",
    "BindingRow",
    "SessionRow",
    "bind",
    "bindings_of",
    "bound",
    "check_live",
    "create",
    "find",
    "find_live",
    "finish",
    "force_ending",
    "hold",
    "hold_live",
    "listed",
    "mark_ending",
    "missing",
    "policy_of",
    "policy_text_of",
    "session_of",
    "settle",
    "unbind",
]

RUNNING, DELETING, FINISH = "RUNNING", "DELETING", "FINISH"
FORCED = "by force"


_STATUS = select(sessions.c.status).where(sessions.c.id == bindparam("id"), sessions.c.account == bindparam("account"))


@dataclass(frozen=True)
class SessionRow:
    """A session as the catalog has it.

    Attributes:
        root: the directory here; "" if it has never had one.
        home: the data folder whose services reach the directory, where several share the catalog.
        node_id: the process elsewhere that has the directory; "" for this service.
        node_root: where that process has it, for people.
        linger_ms: how long the session outlives that process; 0 for as long as it is not deleted.
    """

    id: str
    account: str
    root: str
    owns_root: bool
    labels: dict[str, str]
    image_id: str
    status: str
    end_reason: str
    node_id: str = ""
    node_root: str = ""
    linger_ms: int = 0
    home: str = ""

    @property
    def shown_root(self) -> str:
        """The directory's path where it is, for people."""
        return self.node_root if self.node_id else self.root


@dataclass(frozen=True)
class BindingRow:
    """A context bound at a mount path. ``path`` is the mount path as the client spelled it."""

    session_id: str
    context_id: str
    mount: str
    path: str
    policy: BindingPolicy
    policy_text: str
    bound_ms: int


def create(connection: Connection, session: SessionRow) -> None:
    """Add a session."""
    now = now_ms()
    connection.execute(
        insert(sessions).values(
            id=session.id,
            account=session.account,
            root=os.fsencode(session.root),
            owns_root=session.owns_root,
            image_id=session.image_id,
            status=session.status,
            end_reason=session.end_reason,
            ending_tasks="[]",
            created_ms=now,
            changed_ms=now,
            home=session.home,
            node_id=session.node_id,
            node_root=session.node_root,
            node_seen_ms=now,
            linger_ms=session.linger_ms,
        )
    )
    bulk_insert(connection, label_rows, [(session.id, name, value) for name, value in session.labels.items()])


def find(connection: Connection, account: str, session_id: str) -> SessionRow:
    """Return an account's session, also one that was deleted lately.

    Raises:
        ServiceError: ``InvalidMcpSession.NotFound``.
    """
    rows = select(sessions).where(sessions.c.id == session_id, sessions.c.account == account)
    row = connection.execute(rows).one_or_none()
    if row is None:
        raise missing(session_id)
    return session_of(connection, row)


def find_live(connection: Connection, account: str, session_id: str) -> SessionRow:
    """Return an account's session that has not ended.

    Raises:
        ServiceError: ``InvalidMcpSession.NotFound``.
    """
    session = find(connection, account, session_id)
    if session.status == FINISH:
        raise missing(session_id)
    return session


def hold(connection: Connection, session_ids: Iterable[str]) -> None:
    """Keep every other writer away from sessions, their bindings and their queues until the write transaction ends."""
    for session_id in sorted(set(session_ids)):
        row = select(sessions.c.id).where(sessions.c.id == session_id)
        connection.execute(row.with_for_update(key_share=True))


def hold_live(connection: Connection, account: str, session_id: str) -> SessionRow:
    """Hold an account's session that has not ended, and return it.

    Raises:
        ServiceError: ``InvalidMcpSession.NotFound``.
    """
    hold(connection, [session_id])
    return find_live(connection, account, session_id)


def check_live(connection: Connection, account: str, session_id: str) -> None:
    """Check that an account has this session and it has not ended. Cheaper than to find it, for every poll.

    Raises:
        ServiceError: ``InvalidMcpSession.NotFound``.
    """
    status = connection.execute(_STATUS, {"id": session_id, "account": account}).scalar_one_or_none()
    if status is None or status == FINISH:
        raise missing(session_id)


def listed(
    connection: Connection,
    account: str,
    *,
    status: str,
    image_id: str,
    labels: Mapping[str, str],
    token: str,
    size: int,
) -> Page:
    """Read one page of an account's sessions, newest first: those that have all the labels, and what else is given."""
    rows = select(sessions).where(sessions.c.account == account)
    rows = rows.where(sessions.c.status == status) if status else rows.where(sessions.c.status != FINISH)
    if image_id:
        rows = rows.where(sessions.c.image_id == image_id)
    for name, value in labels.items():
        same = (label_rows.c.name == name) & (label_rows.c.value == value)
        rows = rows.where(exists().where(label_rows.c.session_id == sessions.c.id, same))
    return page_of(connection, rows, sessions, token=token, size=size)


def bind(connection: Connection, binding: BindingRow) -> None:
    """Add a binding."""
    connection.execute(
        insert(bindings).values(
            session_id=binding.session_id,
            context_id=binding.context_id,
            mount=binding.mount,
            path=binding.path,
            policy=binding.policy_text,
            bound_ms=binding.bound_ms,
        )
    )


def bindings_of(connection: Connection, session_id: str) -> list[BindingRow]:
    """Return a session's bindings in the order they were made."""
    return [binding for binding, _ in bound(connection, session_id)]


def bound(connection: Connection, session_id: str) -> list[tuple[BindingRow, str]]:
    """Return a session's bindings in the order they were made, each with its context's name."""
    rows = (
        select(bindings, contexts.c.name)
        .join(contexts, contexts.c.id == bindings.c.context_id)
        .where(bindings.c.session_id == session_id)
        .order_by(bindings.c.bound_ms, bindings.c.mount)
    )
    return [(_binding_of(row), row.name) for row in connection.execute(rows)]


def policy_of(connection: Connection, session_id: str, context_id: str, mount: str) -> BindingPolicy:
    """Return the policy of a session's binding.

    Raises:
        ServiceError: ``InvalidBinding.NotFound``.
    """
    return read_policy(policy_text_of(connection, session_id, context_id, mount), mount)[0]


def policy_text_of(connection: Connection, session_id: str, context_id: str, mount: str) -> str:
    """Return the policy of a session's binding, as it was sent.

    Raises:
        ServiceError: ``InvalidBinding.NotFound``.
    """
    same = (bindings.c.session_id == session_id) & (bindings.c.context_id == context_id) & (bindings.c.mount == mount)
    text: str | None = connection.execute(select(bindings.c.policy).where(same)).scalar_one_or_none()
    if text is None:
        raise ServiceError(
            "InvalidBinding.NotFound",
            f"the session {session_id!r} does not bind the context {context_id!r} at {mount!r} any more",
        )
    return text


def mark_ending(connection: Connection, session_id: str, ending_tasks: Sequence[str]) -> None:
    """Begin to delete a session: it ends when all its tasks have ended, and these have ended well."""
    values = {"status": DELETING, "end_reason": "", "ending_tasks": json.dumps(list(ending_tasks))}
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values, changed_ms=now_ms()))


def force_ending(connection: Connection, session_id: str) -> None:
    """Have a session that is being deleted end also if the uploads before its end fail."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(end_reason=FORCED))


def unbind(connection: Connection, session_id: str, context_id: str, mount: str) -> None:
    """End a session's bindings of a context: the one at a mount path, or with "" all of them.

    Raises:
        ServiceError: there is none, or a sync of it has not ended.
    """
    bound_at = (bindings.c.session_id == session_id) & (bindings.c.context_id == context_id)
    synced = (tasks.c.session_id == session_id) & (tasks.c.context_id == context_id)
    if mount:
        bound_at &= bindings.c.mount == mount
        synced &= tasks.c.mount == mount
    at = f" at {mount!r}" if mount else ""
    running = select(tasks.c.id).where(synced, tasks.c.finished_ms.is_(None)).limit(1)
    task_id = connection.execute(running).scalar_one_or_none()
    if task_id is not None:
        raise ServiceError(
            "InvalidBinding.Conflict", f"the context {context_id!r}{at} is being synced: wait for the task {task_id!r}"
        )
    if not connection.execute(delete(bindings).where(bound_at)).rowcount:
        raise ServiceError(
            "InvalidBinding.NotFound",
            f"the session {session_id!r} does not bind the context {context_id!r}{at}{unlike_an_id(context_id)}",
        )


def settle(connection: Connection, session_id: str) -> None:
    """End a session that is being deleted, or take it back, once the uploads before its end have ended.

    The caller holds the session: of two tasks that end at the same time, one sees the other's end.
    """
    row = connection.execute(select(sessions).where(sessions.c.id == session_id)).one_or_none()
    if row is None or row.status != DELETING:
        return
    unfinished = select(tasks.c.id).where(tasks.c.session_id == session_id, tasks.c.finished_ms.is_(None)).limit(1)
    if connection.execute(unfinished).first() is not None:
        return
    awaited = select(tasks.c.status, tasks.c.path, tasks.c.error).where(tasks.c.id.in_(json.loads(row.ending_tasks)))
    found = connection.execute(awaited).all()
    failed = [f"the upload of {task.path} failed: {task.error}" for task in found if task.status == "Failed"]
    forced = row.end_reason == FORCED
    if failed and not forced:
        values = {"status": RUNNING, "end_reason": f"not deleted: {'; '.join(failed)}", "changed_ms": now_ms()}
        connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))
    else:
        finish(connection, session_id, f"deleted by force: {'; '.join(failed)}" if failed else "deleted")


def finish(connection: Connection, session_id: str, reason: str) -> None:
    """End a session, whose tasks have ended."""
    connection.execute(delete(bindings).where(bindings.c.session_id == session_id))
    remove_transfer(connection, session_id)
    values = {"status": FINISH, "end_reason": reason, "changed_ms": now_ms()}
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))


def missing(session_id: str) -> ServiceError:
    """Return the error for a session that does not exist for this account, or has ended."""
    return ServiceError(
        "InvalidMcpSession.NotFound", f"there is no session {session_id!r}, or it has ended: create another one"
    )


def session_of(connection: Connection, row: Row[Any]) -> SessionRow:
    """Read a session from its row, and its labels."""
    named = select(label_rows.c.name, label_rows.c.value).where(label_rows.c.session_id == row.id)
    return SessionRow(
        id=row.id,
        account=row.account,
        root=os.fsdecode(row.root),
        owns_root=row.owns_root,
        labels={found.name: found.value for found in connection.execute(named)},
        image_id=row.image_id,
        status=row.status,
        end_reason=row.end_reason,
        home=row.home,
        node_id=row.node_id,
        node_root=row.node_root,
        linger_ms=row.linger_ms,
    )


def _binding_of(row: Row[Any]) -> BindingRow:
    policy, _ = read_policy(row.policy, row.mount)
    return BindingRow(
        session_id=row.session_id,
        context_id=row.context_id,
        mount=row.mount,
        path=row.path,
        policy=policy,
        policy_text=row.policy,
        bound_ms=row.bound_ms,
    )
