"""Actions on a context's history: list its revisions, compare them, go back to one, fork one, and clear the context."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import Connection, Row

from ctxmgr.engine.policy.mounts import joined
from ctxmgr.engine.policy.values import malformed
from ctxmgr.engine.workspace.uploadname import workspace_of
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import comparison, contextfork, contexts, history, revisions
from ctxmgr.service.catalog.clock import timestamp
from ctxmgr.service.catalog.comparison import Difference, Tally
from ctxmgr.service.catalog.paging import read_position, token_of
from ctxmgr.service.catalog.tasks import CLEAR, RESTORE
from ctxmgr.service.tasks.runtime import Runtime

from .files import TYPES
from .parameters import Parameters

__all__ = ["clear_context", "diff_revisions", "fork_context", "list_revisions", "restore_context", "revision_named"]

PAGE = 50
MAX_PAGE = 1000
MAX_REVISION = 2**62


def clear_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ClearContext: have a context emptied. (ext) ``Data.TaskIds`` tells of the task that does it."""
    context_id = parameters.required("Id")
    with runtime.queueing() as queue:
        contexts.find(queue.connection, account, context_id)
        task_id = queue.add_change(account, context_id, CLEAR)
    return {"Data": {"TaskIds": [task_id]}}


def restore_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer RestoreContext (ext): have a context made again what it was at a revision; 0 is the empty one."""
    context_id = parameters.required("Id")
    if not parameters.text("Revision"):
        raise ServiceError(
            "InvalidParameter.Missing",
            "the parameter Revision is missing: send the number of one of the context's revisions",
        )
    with runtime.queueing() as queue:
        contexts.find(queue.connection, account, context_id)
        revision = revision_named(queue.connection, context_id, parameters, default=0)
        task_id = queue.add_change(account, context_id, RESTORE, revision=revision)
    return {"Data": {"TaskIds": [task_id]}}


def fork_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ForkContext (ext): make another context that begins as this one is, or was at a revision."""
    context_id, name = parameters.required("Id"), parameters.required("Name")
    with runtime.catalog.write(contexts.names_of(account)) as connection:
        revisions.held_head(connection, context_id)
        source = contexts.find(connection, account, context_id)
        revision = revision_named(connection, context_id, parameters, default=source.head)
        made = contextfork.fork(connection, account, source, name, revision)
    return {"Data": {"Id": made.id, "Name": made.name, "State": made.state, "Revision": made.head}}


def list_revisions(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ListRevisions (ext): a context's revisions, latest first; with Counts also what each changed."""
    context_id = parameters.required("ContextId")
    size = parameters.number("MaxResults", PAGE, least=1, most=MAX_PAGE)
    token = parameters.text("NextToken")
    before = read_position(token)[0] if token else None
    with runtime.catalog.read() as connection:
        context = contexts.find(connection, account, context_id)
        rows = history.listed(connection, context_id, before=before, size=size + 1)
        shown = rows[:size]
        counts: dict[int, Tally] = {}
        if shown and parameters.flag("Counts"):
            numbers = [row.number for row in reversed(shown)]
            earlier = history.previous(connection, context_id, numbers[0])
            counts = comparison.tallies(connection, context_id, earlier, numbers)
    following = token_of((shown[-1].number, "")) if len(rows) > size else ""
    described = [_described(row, context.head) for row in shown]
    if parameters.flag("Counts"):
        described = [each | _counted(counts.get(each["Revision"], Tally())) for each in described]
    return {"Data": described, "NextToken": following, "MaxResults": size}


def diff_revisions(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DiffRevisions (ext): what differs between two revisions, the last two of the context if none is named.

    ``NextToken`` names the revision that the first page compared with, so that all pages compare the same.
    """
    context_id = parameters.required("ContextId")
    size = parameters.number("MaxResults", PAGE, least=1, most=MAX_PAGE)
    token = parameters.text("NextToken")
    pinned, after = read_position(token) if token else (None, "")
    with runtime.catalog.read() as connection:
        context = contexts.find(connection, account, context_id)
        other = pinned
        if other is None:
            other = revision_named(connection, context_id, parameters, "To", default=context.head)
        history.check_revision(connection, context_id, other)
        before = history.previous(connection, context_id, other)
        one = revision_named(connection, context_id, parameters, "From", default=before)
        position = parameters.encoded("NextToken", after)
        found, following = comparison.differences(connection, context_id, one, other, after=position, size=size)
    return {
        "Data": [_difference(each) for each in found],
        "From": one,
        "To": other,
        "NextToken": token_of((other, os.fsdecode(following))) if following else "",
        "MaxResults": size,
    }


def revision_named(
    connection: Connection, context_id: str, parameters: Parameters, name: str = "Revision", *, default: int
) -> int:
    """Return the number of the revision that a parameter names: a number, or ``@`` and epoch milliseconds.

    Raises:
        ServiceError: it names none of the context's, or nothing at all.
    """
    value = parameters.text(name)
    if value.startswith("@"):
        digits = value[1:]
        if not digits.isascii() or not digits.isdecimal() or len(digits) > 16:
            raise malformed(name, value, "the number of a revision, or @ and milliseconds since the epoch")
        return history.revision_at(connection, context_id, int(digits))
    number = parameters.number(name, default, least=0, most=MAX_REVISION)
    history.check_revision(connection, context_id, number)
    return number


def _described(row: Row[Any], head: int) -> dict[str, Any]:
    root = row.node_root or os.fsdecode(row.root or b"")
    return {
        "Revision": row.number,
        "CreateTime": timestamp(row.created_ms),
        "Note": row.note,
        "TaskId": row.task_id,
        "Current": row.number == head,
        "Workspace": workspace_of(row.workspace),
        "Directory": joined(root, row.mount) if root else "",
        "Host": row.host,
    }


def _counted(tally: Tally) -> dict[str, Any]:
    return {"Added": tally.added, "Changed": tally.changed, "Deleted": tally.deleted, "Bytes": tally.bytes}


def _difference(found: Difference) -> dict[str, Any]:
    described: dict[str, Any] = {"Path": os.fsdecode(found.path), "Change": found.change}
    for side, row in (("Before", found.before), ("After", found.after)):
        if row is not None:
            told = {"Type": TYPES[row.kind], "Mode": f"{row.mode:04o}", "Size": row.size, "MtimeNs": row.mtime_ns}
            described[side] = {**told, "Digest": row.digest.hex(), "Target": os.fsdecode(row.target)}
    return described
