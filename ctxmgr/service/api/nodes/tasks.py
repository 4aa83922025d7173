"""Calls about tasks: begin one, tell how far it is, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from itertools import groupby
from typing import IO, Any, Final

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from ctxmgr import nodewire
from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.engine.policy.values import plain_text
from ctxmgr.engine.sync.conflicts import Conflicts
from ctxmgr.engine.sync.task import Progress, TaskInterrupted
from ctxmgr.errors import ServiceError
from ctxmgr.nodewire.objects import outcome_of
from ctxmgr.service.catalog import revisions, sessions, tasks
from ctxmgr.service.catalog.chunkindex import check_stored
from ctxmgr.service.storage.staging import is_name
from ctxmgr.service.tasks.runtime import Runtime

from .rowblocks import Blocks, check_tree

__all__ = ["commit", "fail", "policy", "progress", "start"]

MAX_ERROR: Final = 10_000
MAX_COUNT: Final = (1 << 63) - 1
_COUNTS: Final = ("revision", "files", "deleted", "bytes", "unchanged", "kept_local")
_PROGRESS: Final = ("files_total", "files_done", "bytes_total", "bytes_done")


def start(runtime: Runtime, account: str, message: nodewire.Start) -> nodewire.Done:
    """Begin a task that is waiting; again, also one that was begun so.

    Raises:
        TaskInterrupted: it has ended, was begun already, or is another node's.
    """
    runtime.leases.check(account, message.node)
    with runtime.catalog.write() as connection:
        row = _own(connection, account, message.node, message.task)
        if not (message.again and row.status == tasks.RUNNING):
            tasks.start(connection, tasks.task_of(row))
    return nodewire.Done()


def progress(runtime: Runtime, account: str, message: nodewire.Report) -> nodewire.Done:
    """Show others how far a running task is.

    Raises:
        TaskInterrupted: it has ended, or is another node's.
    """
    runtime.leases.check(account, message.node)
    _check_counts(message, _PROGRESS)
    told = Progress(message.files_total, message.files_done, message.bytes_total, message.bytes_done)
    with runtime.catalog.write() as connection:
        tasks.record_progress(connection, tasks.task_of(_own(connection, account, message.node, message.task)), told)
    return nodewire.Done()


def fail(runtime: Runtime, account: str, message: nodewire.Fail) -> nodewire.Done:
    """End a task with the reason it failed for; one that has ended, or is another node's, stays as it is."""
    runtime.leases.check(account, message.node)
    error = " ".join(plain_text("error", message.error)[:MAX_ERROR].split()) or "it failed, and did not say why"
    try:
        with runtime.catalog.write() as connection:
            row = _own(connection, account, message.node, message.task)
            tasks.fail(connection, row.id, row.node_id, error)
    except TaskInterrupted:
        return nodewire.Done()
    runtime.ended(row.id, row.session_id)
    return nodewire.Done()


def policy(runtime: Runtime, account: str, message: nodewire.PolicyOf) -> nodewire.PolicyText:
    """Answer the policy of the binding that a task syncs.

    Raises:
        ServiceError: ``InvalidContext.NotFound`` or ``InvalidBinding.NotFound``.
    """
    runtime.leases.check(account, message.node)
    with runtime.catalog.read() as connection:
        row = _own(connection, account, message.node, message.task)
        revisions.head_of(connection, row.context_id)
        text = sessions.policy_text_of(connection, row.session_id, row.context_id, row.mount)
    return nodewire.PolicyText(text)


def commit(runtime: Runtime, account: str, message: nodewire.Commit) -> nodewire.Done:
    """Make revisions of what a node's task changes, and record what it came to: all of it or nothing.

    Raises:
        HeadMoved: the context has another head.
        TaskInterrupted: the task has ended, or is another node's.
        ServiceError: what it brings is nothing that a context could hold, or refers to content that the account has
            not.
    """
    runtime.leases.check(account, message.node)
    conflicts = _conflicts(message)
    if message.outcome is not None:
        _check_outcome(message.outcome)
    with runtime.catalog.read() as connection:
        row = _own(connection, account, message.node, message.task)
        if _is_done(connection, row, message):
            return nodewire.Done()
        if row.status != tasks.RUNNING:
            raise TaskInterrupted(row.id)
        if (message.changes or message.staged) and revisions.head_of(connection, row.context_id) != message.head:
            raise HeadMoved(row.context_id)
    with _changes(runtime, account, message) as opened:
        blocks = None if opened is None else Blocks(opened)
        if blocks is not None:
            blocks.check(runtime.store(account).content)
        with runtime.catalog.write() as connection:
            sessions.hold(connection, [row.session_id])
            if message.again and _is_done(connection, _own(connection, account, message.node, message.task), message):
                # Another process was about to make it when this one looked.
                return nodewire.Done()
            if blocks is not None:
                _write(connection, row, blocks, message.head)
            task = replace(tasks.task_of(row), conflicts=conflicts)
            if message.outcome is None:
                tasks.record_conflicts(connection, task)
            else:
                tasks.succeed(connection, task, outcome_of(message.outcome, conflicts))
    if message.outcome is not None:
        runtime.ended(row.id, row.session_id)
    return nodewire.Done()


def _own(connection: Connection, account: str, node_id: str, task_id: str) -> Row[Any]:
    """Return the row of a node's task.

    Raises:
        TaskInterrupted: there is none, or it is another node's.
    """
    row = tasks.row_of(connection, task_id)
    if row is None or row.account != account or row.node_id != node_id:
        raise TaskInterrupted(task_id)
    return row


def _is_done(connection: Connection, row: Row[Any], message: nodewire.Commit) -> bool:
    """Whether this very commit was made already, and only its answer was lost."""
    if message.outcome is not None:
        return bool(row.status == tasks.SUCCESS and row.revision == message.outcome.revision)
    return message.again and message.head + 1 in revisions.made_by(connection, row.context_id, row.id)


@contextmanager
def _changes(runtime: Runtime, account: str, message: nodewire.Commit) -> Iterator[IO[bytes] | None]:
    if message.staged:
        if not is_name(message.staged):
            raise ServiceError("InvalidStage.NotFound", f"{message.staged[:80]!r} is no name of something staged")
        with runtime.staging.taken(account, message.staged) as file:
            yield file
    else:
        yield BytesIO(message.changes) if message.changes else None


def _write(connection: Connection, row: Row[Any], blocks: Blocks, head: int) -> None:
    number = head
    for at, change in groupby(blocks, key=lambda block: block.change):
        number = revisions.begin(connection, row.context_id, number)
        for block in change:
            put = dict(block.put)
            check_stored(connection, row.account, block.put)
            try:
                revisions.write(
                    connection,
                    row.context_id,
                    block.mount,
                    number,
                    current=set(block.current),
                    put=put,
                    drop=[path for path in block.drop if path not in put],
                )
            except IntegrityError as error:
                raise ServiceError(
                    "InvalidFile.Conflict", "a path of the changes is there already, or came twice: name it as current"
                ) from error
        revisions.record(connection, row.context_id, number, task_id=row.id, note=block.note, workspace=block.workspace)
        check_tree(connection, row.context_id, number, (block for block in blocks if block.change == at))


def _conflicts(message: nodewire.Commit) -> Conflicts:
    try:
        return Conflicts(message.conflicts, max(0, min(message.conflicts_total, MAX_COUNT)))
    except (ValueError, TypeError, RecursionError) as error:
        raise ServiceError("InvalidParameter.Malformed", f"the conflicts can't be read: {error}") from error


def _check_outcome(outcome: nodewire.OutcomeMessage) -> None:
    _check_counts(outcome, _COUNTS)
    _check_counts(outcome, _PROGRESS)
    try:
        skipped = json.loads(plain_text("skipped", outcome.skipped))
        is_list = isinstance(skipped, list) and all(
            isinstance(item, list) and [type(part) for part in item] == [str, str] for item in skipped
        )
    except (ValueError, RecursionError):
        is_list = False
    if not is_list:
        raise ServiceError("InvalidParameter.Malformed", "what was skipped is no JSON list of [path, reason]")


def _check_counts(message: nodewire.Message, names: Sequence[str]) -> None:
    for name in names:
        if not 0 <= getattr(message, name) <= MAX_COUNT:
            raise ServiceError(
                "InvalidParameter.Malformed", f"{name} is {getattr(message, name)}, and must be from 0 to {MAX_COUNT}"
            )
