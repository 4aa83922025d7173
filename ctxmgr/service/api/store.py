"""Actions on what is stored as a whole (ext): how much it is, whether it is whole, and which revisions are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ctxmgr.errors import CtxmgrError, ServiceError
from ctxmgr.retention import Retention
from ctxmgr.service.care.prune import Room
from ctxmgr.service.care.stats import ContextVolume
from ctxmgr.service.catalog import contexts, retention
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["check_store", "get_store_stats", "prune_contexts", "set_context_retention"]

MAX_GRACE = 10**9


def get_store_stats(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetStoreStats: how much an account has stored, and how much room that saves."""
    volume = runtime.care.stats(account)
    return {
        "Data": {
            "Contexts": [_described(each) for each in volume.contexts],
            "UniqueBytes": volume.unique_bytes,
            "StoredBytes": volume.stored_bytes,
            "LooseBytes": volume.loose_bytes,
        }
    }


def check_store(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer CheckStore: whether all that is stored is whole, and which files are not. For the operator alone."""
    if not _is_operators(parameters):
        raise ServiceError(
            "Forbidden.Operator",
            "a check reads what all accounts have: run 'ctxmgr check --data FOLDER' where the service keeps its data",
        )
    report = runtime.care.check(read_data=parameters.flag("ReadData"), mend=parameters.flag("Repair"))
    return {
        "Data": {
            "Packs": report.packs,
            "Chunks": report.chunks,
            "Files": report.files,
            "Revisions": report.revisions,
            "UnusedPacks": report.unused_packs,
            "Damages": [{"Kind": each.kind, "Name": each.name, "Problem": each.problem} for each in report.damages],
            "DamagesTotal": report.damages_total,
            "Affected": [
                {
                    "ContextId": each.context_id,
                    "ContextName": each.context,
                    "Path": os.fsdecode(each.path),
                    "FirstRevision": each.first,
                    "LastRevision": each.last,
                }
                for each in report.affected
            ],
            "AffectedTotal": report.affected_total,
            "Repaired": report.repaired,
        }
    }


def prune_contexts(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer PruneContexts: end the revisions that no retention keeps.

    Without ``Retention`` it is each context's own, without ``ContextIds`` all contexts are meant. Room is given back at
    once, or after ``GraceSeconds``, where the operator asks; otherwise the service does it by itself.
    """
    context_ids = parameters.texts("ContextIds")
    dry_run = parameters.flag("DryRun")
    rules = _retention(parameters)
    grace = parameters.number("GraceSeconds", -1, least=0, most=MAX_GRACE)
    with runtime.catalog.read() as connection:
        for context_id in context_ids:
            contexts.find(connection, account, context_id)
    outcomes = runtime.care.end_revisions(account, context_ids, rules, dry_run=dry_run)
    if dry_run:
        room = Room(0, runtime.care.would_free(account, outcomes), 0, 0, ())
    elif _is_operators(parameters):
        room = runtime.care.free(grace_ms=None if grace < 0 else 1000 * grace)
    else:
        room = Room(0, runtime.care.would_free(account, []), 0, 0, ())
    return {
        "Data": {
            "Contexts": [
                {"ContextId": each.id, "Name": each.name, "Kept": list(each.kept), "Pruned": list(each.pruned)}
                for each in outcomes
                if not contexts.is_transfer(each.id)
            ],
            "FreedBytes": room.freed,
            "WaitingBytes": room.waiting,
            "PacksRemoved": room.packs_removed,
            "PacksRewritten": room.packs_rewritten,
            "DamagedPacks": list(room.damaged),
        }
    }


def set_context_retention(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer SetContextRetention: have the service prune a context's history by rules; none keep everything."""
    context_id = parameters.required("Id")
    rules = _retention(parameters) or Retention()
    with runtime.catalog.write() as connection:
        contexts.find(connection, account, context_id)
        retention.set_retention(connection, context_id, rules)
    return {}


def _is_operators(parameters: Parameters) -> bool:
    """Whether a request comes from the process that has the data folder, and not through a server's door."""
    return not parameters.base_url


def _retention(parameters: Parameters) -> Retention | None:
    document = parameters.json_object("Retention")
    if document is None:
        return None
    try:
        return Retention.from_wire(document)
    except CtxmgrError as error:
        raise ServiceError("InvalidParameter.Malformed", f"the parameter Retention can't be used: {error}") from error


def _described(volume: ContextVolume) -> Mapping[str, Any]:
    return {
        "ContextId": volume.id,
        "Name": volume.name,
        "Revisions": volume.revisions,
        "Files": volume.files,
        "Bytes": volume.bytes,
        "HistoryBytes": volume.history_bytes,
        "UniqueBytes": volume.unique_bytes,
        "StoredBytes": volume.stored_bytes,
        "Retention": volume.retention.wire(),
    }
