"""Actions on syncs: trigger one, ask how they go, wait for their end, and preview one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from ctxmgr.bounds import MAX_RATE
from ctxmgr.engine.policy.ignore import check_patterns
from ctxmgr.engine.policy.mounts import MAX_PATH, is_within, normalised
from ctxmgr.engine.policy.policy import read_choice
from ctxmgr.engine.policy.values import malformed
from ctxmgr.engine.sync.conflicts import MergeConflict, read
from ctxmgr.engine.sync.options import SyncOptions
from ctxmgr.engine.sync.task import DOWNLOAD, UPLOAD
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contexts, sessions, tasks
from ctxmgr.service.catalog.clock import epoch_seconds
from ctxmgr.service.catalog.identifiers import unlike_an_id
from ctxmgr.service.catalog.sessions import BindingRow
from ctxmgr.service.tasks.processes import check_reached
from ctxmgr.service.tasks.runtime import Runtime
from ctxmgr.service.tasks.watch import Watch

from .parameters import Parameters
from .sessions import refuse_if_ending

__all__ = [
    "bindings_named",
    "described_conflict",
    "discard_of",
    "get_context_info",
    "mode_of",
    "options_of_request",
    "sync_context",
    "watch_context_info",
]

MAX_WAIT_MS = 60_000
MAX_TASKS = 10_000
MAX_PATTERNS = 200
SECONDS_BETWEEN_POLLS = 0.2
EXTENSIONS = ["DiscardLocal", "Exclude", "Conflict", "GuardDeletes", "LimitRate", "Policy.exclude", "Policy.conflict"]
"""The parameters of SyncContext and PlanSync, and parts of policies, that another service would ignore."""
MODES = (UPLOAD, DOWNLOAD)


def sync_context(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer SyncContext: queue a sync of what the request names, or of all bindings."""
    session_id, mode = parameters.required("SessionId"), mode_of(parameters)
    discard, options = discard_of(parameters, mode), options_of_request(parameters)
    runtime.end_lost_tasks(now=True)
    with runtime.queueing() as queue:
        session = sessions.hold_live(queue.connection, account, session_id)
        refuse_if_ending(session)
        check_reached(queue.connection, session, runtime.home)
        chosen = bindings_named(queue.connection, session_id, mode, parameters)
        queued = [queue.add(session, *each, discard=discard, options=options) for each in chosen]
    return {"Data": {"TaskIds": queued}}


def get_context_info(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetContextInfo: the tasks that the request names, or the latest and the unfinished ones.

    (ext) With ``Extensions=true`` also which parameters this service understands beyond AgentBay's.
    """
    _wait_ms(parameters)
    rows = _rows(runtime, account, parameters)
    status = ""
    if rows:
        entries = json.dumps([_described(runtime, row) for row in rows])
        status = json.dumps([{"type": "data", "data": entries}])
    told = {"Extensions": EXTENSIONS} if parameters.flag("Extensions") else {}
    return {"Data": {"ContextStatus": status, **told}}


def watch_context_info(runtime: Runtime, account: str, parameters: Parameters) -> Watch | None:
    """Return what a GetContextInfo with ``WaitMs`` waits for; None where it waits for nothing.

    With ``TaskIds``, it is one of exactly those; otherwise one of those that are unfinished now.
    """
    wait_ms = _wait_ms(parameters)
    if not wait_ms:
        return None
    session_id, named = _owner(parameters), _task_ids(parameters)
    rows = _rows(runtime, account, parameters)
    awaited = [row.id for row in rows if row.finished_ms is None] if named is None else named
    elsewhere = any(row.finished_ms is None and not runtime.notices(row.node_id) for row in rows)

    def subscribe(notify: Callable[[], None]) -> Callable[[], None]:
        return runtime.listeners.add(session_id, notify)

    return Watch(
        timeout=wait_ms / 1000,
        poll=SECONDS_BETWEEN_POLLS if elsewhere else None,
        ready=lambda: _any_ended(runtime, session_id, awaited),
        subscribe=subscribe,
    )


def _any_ended(runtime: Runtime, session_id: str, ids: Sequence[str]) -> bool:
    try:
        unknown = [task_id for task_id in ids if runtime.progress(task_id) is None]
        if not unknown and ids:
            return False
        runtime.check_open()
        rows = _without_lost(runtime, lambda connection: tasks.named(connection, session_id, unknown))
    except Exception:
        # The answer itself will say what is wrong.
        return True
    ended = any(row.finished_ms is not None or runtime.unrecorded_failure(row.id) for row in rows)
    return ended or len(rows) < len(set(unknown)) or not ids


def _rows(runtime: Runtime, account: str, parameters: Parameters) -> list[Row[Any]]:
    """Return the rows of the tasks that a request asks for."""
    return _without_lost(runtime, lambda connection: _read_rows(connection, account, parameters))


def _without_lost(runtime: Runtime, read_rows: Callable[[Connection], list[Row[Any]]]) -> list[Row[Any]]:
    """Return rows of tasks, of which none is unfinished that nobody runs any more."""
    with runtime.catalog.read() as connection:
        rows = read_rows(connection)
    if all(row.finished_ms is not None for row in rows) or not runtime.end_lost_tasks():
        return rows
    with runtime.catalog.read() as connection:
        return read_rows(connection)


def _read_rows(connection: Connection, account: str, parameters: Parameters) -> list[Row[Any]]:
    session_id, named = _owner(parameters), _task_ids(parameters)
    if named is not None and len(named) == 1:
        # What a poll asks: one statement tells it all.
        found = tasks.named_if_live(connection, account, session_id, named[0])
        if found is not None:
            return [found]
    if parameters.text("SessionId"):
        sessions.check_live(connection, account, session_id)
    else:
        contexts.find(connection, account, session_id)
    if named is not None:
        return tasks.named(connection, session_id, named)
    mode = parameters.text("TaskType")
    return tasks.listed(
        connection, session_id, context_id=parameters.text("ContextId"), path=parameters.text("Path"), mode=mode
    )


def _owner(parameters: Parameters) -> str:
    """Return the id of what the tasks are asked of: a session or (ext), without one, a context that is cleared."""
    if parameters.text("SessionId") or not parameters.text("ContextId"):
        return parameters.required("SessionId")
    return parameters.text("ContextId")


def _wait_ms(parameters: Parameters) -> int:
    return parameters.number("WaitMs", 0, least=0, most=MAX_WAIT_MS)


def _task_ids(parameters: Parameters) -> list[str] | None:
    ids = parameters.json_list("TaskIds")
    if ids is not None and len(ids) > MAX_TASKS:
        raise malformed("TaskIds", f"a list of {len(ids)}", f"a list of at most {MAX_TASKS} task ids")
    if ids is not None and not all(isinstance(task_id, str) and task_id.isascii() for task_id in ids):
        raise malformed("TaskIds", parameters.text("TaskIds"), "a JSON list of task ids")
    return ids


def mode_of(parameters: Parameters) -> str:
    """Return the direction that a request asks for."""
    mode = parameters.text("Mode", UPLOAD)
    if mode not in MODES:
        raise malformed("Mode", mode, "upload or download")
    return mode


def discard_of(parameters: Parameters, mode: str) -> bool:
    """Return whether a request asks a download to give up what only the workspace changed."""
    discard = parameters.flag("DiscardLocal")
    if discard and mode != DOWNLOAD:
        raise malformed("DiscardLocal", parameters.text("DiscardLocal"), "left out unless Mode is download")
    return discard


def options_of_request(parameters: Parameters) -> SyncOptions:
    """Read the choices of one sync (ext)."""
    exclude = parameters.texts("Exclude")
    if len(exclude) > MAX_PATTERNS:
        raise malformed("Exclude", f"a list of {len(exclude)}", f"a list of at most {MAX_PATTERNS} patterns")
    check_patterns("Exclude", exclude)
    return SyncOptions(
        exclude=tuple(exclude),
        conflict=read_choice("Conflict", parameters.text("Conflict")),
        guard=parameters.flag("GuardDeletes"),
        limit=parameters.number("LimitRate", 0, least=1, most=MAX_RATE),
    )


def bindings_named(
    connection: Connection, session_id: str, mode: str, parameters: Parameters
) -> list[tuple[BindingRow, str, str]]:
    """Return what a request names, as binding, mode and path: a part of one binding, or bindings as a whole.

    A request that names nothing means all of them, but not the service's own for the transfer of files.
    """
    context_id, path = parameters.text("ContextId"), parameters.text("Path")
    mount = normalised(path, most=MAX_PATH) if path else ""
    bound = sessions.bindings_of(connection, session_id)
    if not context_id and not mount:
        return [(item, mode, item.path) for item in bound if not contexts.is_transfer(item.context_id)]
    of_context = [item for item in bound if context_id in ("", item.context_id)]
    chosen = [(item, mode, item.path) for item in of_context if mount in ("", item.mount)]
    # No binding lies in another, so there is one that holds a path at most.
    chosen = chosen or [(item, mode, path) for item in of_context if is_within(mount, item.mount)]
    if not chosen:
        asked = " at ".join(filter(None, (context_id and f"context {context_id!r}", mount and repr(mount))))
        there = ", ".join(f"{item.context_id!r} at {item.path!r}" for item in bound) or "nothing"
        raise ServiceError(
            "InvalidBinding.NotFound",
            f"the session {session_id!r} does not bind {asked}: it binds {there}{unlike_an_id(context_id)}",
        )
    return chosen


def _described(runtime: Runtime, row: Row[Any]) -> dict[str, Any]:
    described = {
        "contextId": row.context_id,
        "path": row.path,
        "status": row.status,
        "errorMessage": row.error,
        "startTime": epoch_seconds(row.started_ms),
        "finishTime": epoch_seconds(row.finished_ms),
        "taskType": row.mode,
        "taskId": row.id,
        # Until it has succeeded, a restore's row has there what it goes back to.
        "revision": row.revision if row.status == tasks.SUCCESS else 0,
        "files": row.files,
        "deleted": row.deleted,
        "bytes": row.bytes,
        "unchanged": row.unchanged,
        "filesTotal": row.files_total,
        "filesDone": row.files_done,
        "bytesTotal": row.bytes_total,
        "bytesDone": row.bytes_done,
        "skipped": json.loads(row.skipped),
        "nothingToSync": row.nothing_to_sync,
        "keptLocal": row.kept_local,
        "conflicts": [],
        "conflictsTotal": row.conflicts_total,
    }
    if row.finished_ms is not None:
        conflicts = [described_conflict(each, row.context_id, row.path) for each in read(row.conflicts)]
        return {**described, "conflicts": conflicts}
    if error := runtime.unrecorded_failure(row.id):
        return {**described, "status": tasks.FAILED, "errorMessage": error}
    if progress := runtime.progress(row.id):
        described |= {"filesTotal": progress.files_total, "filesDone": progress.files_done}
        described |= {"bytesTotal": progress.bytes_total, "bytesDone": progress.bytes_done}
    return described


def described_conflict(conflict: MergeConflict, context_id: str, mount: str) -> dict[str, Any]:
    """Return a conflict as answers tell it."""
    return {
        "path": conflict.path,
        "winner": conflict.winner,
        "kind": conflict.kind,
        "revision": conflict.revision,
        "contextPath": conflict.context_path,
        "copy": conflict.copy,
        "contextId": context_id,
        "mount": mount,
    }
