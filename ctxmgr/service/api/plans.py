"""The preview of a sync, made here or at the node that has the session's directory."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.engine.sync.conflicts import read
from ctxmgr.engine.sync.options import SyncOptions
from ctxmgr.errors import ServiceError
from ctxmgr.nodewire import PlannedPart, PlanPart
from ctxmgr.nodewire.objects import planned_part
from ctxmgr.service.catalog import sessions
from ctxmgr.service.catalog.sessions import BindingRow, SessionRow
from ctxmgr.service.tasks.leases import NOBODY
from ctxmgr.service.tasks.processes import check_reached
from ctxmgr.service.tasks.runtime import Runtime
from ctxmgr.service.tasks.watch import Watch

from .parameters import Parameters
from .sync import bindings_named, described_conflict, discard_of, mode_of, options_of_request

__all__ = ["plan_sync", "watch_plan_sync"]

SECONDS_FOR_A_NODE = 60.0
"""That a node has to answer what a sync there would do."""
SECONDS_BETWEEN_POLLS = 1.0
MAX_EXCLUDED = 10_000


def plan_sync(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer PlanSync (ext): what a sync would do."""
    mode = mode_of(parameters)
    discard, options = discard_of(parameters, mode), options_of_request(parameters)
    session, bindings = _named(runtime, account, parameters)
    if not session.node_id:
        return _described(bindings, _planned_here(runtime, session, bindings, mode, discard, options))
    if not parameters.asked:
        _check_there(runtime, session)
    parts = runtime.questions.result(parameters.asked)
    if len(parts) != len(bindings):
        raise ServiceError("Node.Malformed", "the process that has the directory answered something else: try again")
    return _described(bindings, parts)


def watch_plan_sync(runtime: Runtime, account: str, parameters: Parameters) -> Watch | None:
    """Ask a node what a sync would do, and return the wait for its answer; None where that is seen here.

    Raises:
        ServiceError: the request is refused, or there is no process to be asked.
    """
    mode = mode_of(parameters)
    discard, options = discard_of(parameters, mode), options_of_request(parameters)
    session, bindings = _named(runtime, account, parameters)
    if not session.node_id:
        return None
    _check_there(runtime, session)
    parts = [PlanPart(item.context_id, item.mount, path, item.policy_text) for item, path in bindings]
    asked = runtime.questions.ask(session.node_id, session.id, mode, discard, parts, options.text())

    def ready() -> bool:
        try:
            runtime.check_open()
            return runtime.questions.is_answered(asked)
        except ServiceError:
            # The answer itself will say what is wrong.
            return True

    return Watch(
        timeout=SECONDS_FOR_A_NODE,
        poll=SECONDS_BETWEEN_POLLS,
        ready=ready,
        subscribe=lambda notify: runtime.listeners.add(asked, notify),
        asked=asked,
    )


def _named(runtime: Runtime, account: str, parameters: Parameters) -> tuple[SessionRow, list[tuple[BindingRow, str]]]:
    session_id = parameters.required("SessionId")
    mode = mode_of(parameters)
    with runtime.catalog.read() as connection:
        session = sessions.find_live(connection, account, session_id)
        check_reached(connection, session, runtime.home, here=True)
        named = bindings_named(connection, session_id, mode, parameters)
    return session, [(binding, path) for binding, _, path in named]


def _check_there(runtime: Runtime, session: SessionRow) -> None:
    with runtime.catalog.read() as connection:
        if runtime.leases.holder(connection, session.node_id) is None:
            raise ServiceError("Node.NotFound", NOBODY)


def _planned_here(
    runtime: Runtime,
    session: SessionRow,
    bindings: Sequence[tuple[BindingRow, str]],
    mode: str,
    discard: bool,
    options: SyncOptions,
) -> list[PlannedPart]:
    syncs = runtime.syncs(session.account)
    try:
        return [
            planned_part(syncs.preview(session.root, binding, mode, path, options=options, discard=discard))
            for binding, path in bindings
        ]
    except WorkspaceError as error:
        raise ServiceError("InvalidBinding.Directory", str(error)) from error


def _described(bindings: Sequence[tuple[BindingRow, str]], parts: Sequence[PlannedPart]) -> dict[str, Any]:
    told = list(zip((binding for binding, _ in bindings), parts, strict=True))
    excluded = [item | {"mount": binding.path} for binding, part in told for item in json.loads(part.excluded)]
    return {
        "Data": {
            "Changes": [change for binding, part in told for change in _changes(binding, part)],
            "Unchanged": sum(part.unchanged for part in parts),
            "Skipped": [item for part in parts for item in json.loads(part.skipped)],
            "KeptLocal": sum(part.kept_local for part in parts),
            "Conflicts": [
                described_conflict(each, binding.context_id, binding.path)
                for binding, part in told
                for each in read(part.conflicts)
            ],
            "Excluded": excluded[:MAX_EXCLUDED],
            "ExcludedTotal": len(excluded),
            "Refusal": "; ".join(part.refusal for part in parts if part.refusal),
        }
    }


def _changes(binding: BindingRow, part: PlannedPart) -> list[dict[str, Any]]:
    return [
        {
            "path": os.fsdecode(change.path),
            "action": change.action,
            "size": change.size,
            "kind": change.kind,
            "contextId": binding.context_id,
            "mount": binding.path,
        }
        for change in part.changes
    ]
