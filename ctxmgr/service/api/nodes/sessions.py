"""Calls about nodes and their sessions: begin, take over, ask for work, answer, leave."""

from __future__ import annotations

from msgspec import structs
from sqlalchemy import Connection

from ctxmgr import nodewire
from ctxmgr.engine.policy.values import plain_text
from ctxmgr.engine.sync.task import DOWNLOAD
from ctxmgr.errors import ServiceError
from ctxmgr.nodewire.objects import task_message
from ctxmgr.service.api.sessionplaces import checked_node, checked_root
from ctxmgr.service.catalog import leases, sessions, tasks
from ctxmgr.service.tasks.leases import GIVEN_UP
from ctxmgr.service.tasks.runtime import Runtime
from ctxmgr.service.tasks.watch import Watch

__all__ = ["answer", "attach", "hello", "leave", "take", "watch_take"]

LONGEST_WAIT_SECONDS = 20.0
MAX_NAMED = 10_000
MAX_MESSAGE = 10_000


def hello(runtime: Runtime, account: str, message: nodewire.Hello) -> nodewire.Welcome:
    """Answer what holds between this service and its nodes."""
    wait_ms = int(min(LONGEST_WAIT_SECONDS, runtime.leases.seconds / 3) * 1000)
    lease_ms = runtime.leases.lease_ms
    return nodewire.Welcome(
        nodewire.VERSION,
        lease_ms,
        wait_ms,
        nodewire.PIECE_BYTES,
        nodewire.READ_BYTES,
        direct=runtime.direct is not None,
    )


def attach(runtime: Runtime, account: str, message: nodewire.Attach) -> nodewire.Attached:
    """Make a node the one of a session: where it has none, or its node is gone, or it is the same.

    Raises:
        ServiceError: ``Node.Conflict``: another node has it; or ``Forbidden.Root``: its directory is the service's.
    """
    checked_node("Node", message.node, message.host, message.pid)
    root = checked_root(message.root)
    runtime.leases.hear(account, message.node, message.host, message.pid)
    ended: list[str] = []
    with runtime.queueing() as queue:
        session = sessions.hold_live(queue.connection, account, message.session)
        runtime.leases.record(queue.connection, account, message.node, message.host, message.pid)
        if session.node_id != message.node:
            if session.status == sessions.DELETING:
                raise ServiceError(
                    "InvalidMcpSession.Deleting", f"the session {session.id!r} is being deleted: use another"
                )
            _check_free(runtime, queue.connection, session)
            if session.node_id:
                ended = runtime.leases.end(queue.connection, session.node_id)
            leases.attach(queue.connection, session.id, message.node, root)
            session = sessions.find_live(queue.connection, account, message.session)
            for binding in sessions.bindings_of(queue.connection, session.id):
                if binding.policy.auto_download:
                    queue.add(session, binding, DOWNLOAD)
        unfinished = tasks.unfinished_rows(queue.connection, message.node)
    for session_id in ended:
        runtime.listeners.notify(session_id)
    return nodewire.Attached([row.id for row in unfinished if row.session_id == session.id and row.mode == DOWNLOAD])


def take(runtime: Runtime, account: str, message: nodewire.Take) -> nodewire.Taken:
    """Answer what there is to do for a node."""
    with runtime.catalog.read() as connection:
        return _to_do(runtime, connection, account, message)


def watch_take(runtime: Runtime, account: str, message: nodewire.Take) -> Watch | None:
    """Hear a node that asks for work, and return what its request waits for; None where it waits for nothing."""
    checked_node("Node", message.node, message.host, message.pid)
    if len(message.running) > MAX_NAMED or len(message.sessions) > MAX_NAMED:
        raise ServiceError(
            "InvalidParameter.Malformed", f"more than {MAX_NAMED} tasks or sessions are named: send those of the node"
        )
    runtime.leases.hear(account, message.node, message.host, message.pid)
    _end_given_up(runtime, message)
    seconds = min(message.wait_ms / 1000, LONGEST_WAIT_SECONDS, runtime.leases.seconds / 3)
    if seconds <= 0:
        return None

    def ready() -> bool:
        try:
            runtime.check_open()
            told = take(runtime, account, message)
        except Exception:
            # The answer itself will say what is wrong.
            return True
        return bool(told.tasks or told.stop or told.questions or told.gone)

    return Watch(
        timeout=seconds,
        poll=None,
        ready=ready,
        subscribe=lambda notify: runtime.listeners.add(message.node, notify),
    )


def leave(runtime: Runtime, account: str, message: nodewire.Leave) -> nodewire.Done:
    """End a node; one that has ended is fine."""
    with runtime.catalog.write() as connection:
        ended = runtime.leases.leave(connection, account, message.node)
    for session_id in ended:
        runtime.listeners.notify(session_id)
    return nodewire.Done()


def answer(runtime: Runtime, account: str, message: nodewire.QuestionAnswer) -> nodewire.Done:
    """Pass on what a node answers to a question."""
    runtime.leases.check(account, message.node)
    if message.code:
        text = plain_text("message", message.message)[:MAX_MESSAGE]
        message = structs.replace(message, code=message.code[:100], message=text, data=b"")
    else:
        nodewire.unpack(message.data, nodewire.PlannedParts, most=nodewire.MAX_PLAN)
    runtime.questions.answer(message)
    return nodewire.Done()


def _to_do(runtime: Runtime, connection: Connection, account: str, message: nodewire.Take) -> nodewire.Taken:
    unfinished = {row.id: row for row in tasks.unfinished_rows(connection, message.node)}
    running = set(message.running)
    waiting = [row for row in unfinished.values() if row.status == tasks.WAITING and row.id not in running]
    gone = {}
    if message.sessions:
        own = leases.sessions_of(connection, message.node)
        lost = [session_id for session_id in message.sessions if session_id not in own]
        gone = {session_id: _why_gone(connection, account, session_id) for session_id in lost}
    return nodewire.Taken(
        runtime.leases.lease_ms,
        [task_message(tasks.task_of(row)) for row in waiting],
        [task_id for task_id in message.running if task_id not in unfinished],
        runtime.questions.of(message.node),
        gone,
    )


def _why_gone(connection: Connection, account: str, session_id: str) -> str:
    try:
        session = sessions.find(connection, account, session_id)
    except ServiceError as error:
        return error.message
    if session.status == sessions.FINISH:
        return f"the session has ended: {session.end_reason}"
    return "another process has the directory of the session"


def _end_given_up(runtime: Runtime, message: nodewire.Take) -> None:
    """Fail what is said to run at a node, and what the node knows nothing of: its start was answered to nobody."""
    with runtime.catalog.read() as connection:
        rows = tasks.unfinished_rows(connection, message.node)
    unnamed = {row.id for row in rows if row.status == tasks.RUNNING}.difference(message.running)
    given_up = runtime.leases.given_up(message.node, unnamed)
    if not given_up:
        return
    with runtime.catalog.write() as connection:
        ended = tasks.fail_running_of(connection, message.node, GIVEN_UP, only=given_up)
    for session_id in ended:
        runtime.listeners.notify(session_id)


def _check_free(runtime: Runtime, connection: Connection, session: sessions.SessionRow) -> None:
    if not session.node_id:
        if session.owns_root:
            return
        raise ServiceError(
            "Forbidden.Root",
            f"the directory of the session {session.id!r} is {session.root!r} on the service's own disk, and the "
            "service syncs it: create a session of this process's own",
        )
    holder = runtime.leases.holder(connection, session.node_id)
    if holder is not None:
        raise ServiceError(
            nodewire.NODE_CONFLICT,
            f"the process {holder.pid} on {holder.host} has the directory of the session {session.id!r}: end it, or "
            f"wait; if it is gone, the session is free in {holder.seconds_left:.0f} s",
        )
