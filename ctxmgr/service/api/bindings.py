"""The bindings that a request asks for: read, checked, and made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update

from ctxmgr.engine.policy.mounts import is_within, joined, normalised, workspace_directory
from ctxmgr.engine.policy.policy import BindingPolicy, read_policy
from ctxmgr.engine.policy.values import malformed, plain_text
from ctxmgr.engine.sync.task import DOWNLOAD
from ctxmgr.errors import ServiceError
from ctxmgr.oserrors import described
from ctxmgr.service.catalog import contexts, lifecycle, sessions
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.schema import contexts as context_rows
from ctxmgr.service.catalog.sessions import BindingRow, SessionRow
from ctxmgr.service.tasks.processes import check_reached
from ctxmgr.service.tasks.runtime import Runtime
from ctxmgr.service.tasks.taskqueue import Queue

from .parameters import Parameters

__all__ = ["Wanted", "bind", "wanted_binding", "wanted_bindings"]

MAX_BINDINGS = 100


@dataclass(frozen=True)
class Wanted:
    """A binding that a request asks for."""

    context_id: str
    path: str
    mount: str
    policy: BindingPolicy
    policy_text: str


def wanted_bindings(parameters: Parameters) -> list[Wanted]:
    """Read ``PersistenceDataList``.

    Raises:
        ServiceError: it is not a list of bindings, has too many, or asks for what isn't implemented.
    """
    items = parameters.json_list("PersistenceDataList") or []
    if len(items) > MAX_BINDINGS:
        raise malformed("PersistenceDataList", f"a list of {len(items)}", f"a list of at most {MAX_BINDINGS} bindings")
    return [wanted_binding(item) for item in items]


def bind(runtime: Runtime, queue: Queue, session: SessionRow, wanted: Sequence[Wanted]) -> list[str]:
    """Bind contexts in a session, in the queue's transaction, and queue the downloads that their policies ask for.

    The caller holds the session.

    Returns:
        the downloads' task ids.

    Raises:
        ServiceError: a context does not exist or is bound there already, a directory can't be used, or two overlap.
    """
    check_reached(queue.connection, session, runtime.home, here=True)
    existing = sessions.bindings_of(queue.connection, session.id)
    placed = [(binding.context_id, binding.mount, _directory(session, binding.mount)) for binding in existing]
    contexts.hold(queue.connection, [item.context_id for item in wanted])
    queued = []
    for at, item in enumerate(wanted):
        contexts.find(queue.connection, session.account, item.context_id)
        directory = _directory(session, item.mount)
        if not session.node_id:
            _check_apart(runtime, session, directory)
        for context_id, mount, other in placed:
            if (context_id, mount) == (item.context_id, item.mount):
                raise ServiceError(
                    "InvalidBinding.PathAlreadyBound",
                    f"the context {context_id!r} is bound at {mount!r} already: unbind it first to bind it anew",
                )
            _check_overlap(item, directory, mount, other)
        placed.append((item.context_id, item.mount, directory))
        now = now_ms()
        # The position goes into the time, so that bindings are told in the order in which they were asked for.
        binding = BindingRow(
            session.id, item.context_id, item.mount, item.path, item.policy, item.policy_text, now + at
        )
        if not session.node_id:
            _forget_if_empty(runtime, directory, item)
        sessions.bind(queue.connection, binding)
        used = update(context_rows).where(context_rows.c.id == item.context_id).values(used_ms=now)
        queue.connection.execute(used)
        if item.policy.recycle is not None:
            lifecycle.remember(queue.connection, item.context_id, item.policy.recycle)
            if item.policy.recycle.days is not None:
                runtime.upkeep.sweeper.begin()
        if item.policy.auto_download:
            queued.append(queue.add(session, binding, DOWNLOAD))
    return queued


def wanted_binding(item: Any) -> Wanted:
    """Read one binding of ``PersistenceDataList``.

    Raises:
        ServiceError: as ``wanted_bindings``.
    """
    if not isinstance(item, dict):
        raise malformed("PersistenceDataList", item, "a list of objects with ContextId, Path and Policy")
    kind = item.get("type", item.get("Type"))
    if kind == "mount" or item.get("mountConfig"):
        raise ServiceError(
            "UnsupportedBinding",
            "a binding of type 'mount' is not supported here: bind the context to be synced instead",
        )
    context_id = plain_text("PersistenceDataList.ContextId", item.get("ContextId") or "")
    path = plain_text("PersistenceDataList.Path", item.get("Path") or "")
    for name, value in (("ContextId", context_id), ("Path", path)):
        if not value:
            raise ServiceError(
                "InvalidParameter.Missing", f"the parameter PersistenceDataList has a binding without {name}: send it"
            )
    mount = normalised(path, name="PersistenceDataList.Path")
    policy, text = read_policy(item.get("Policy"), mount)
    return Wanted(context_id, path, mount, policy, text)


def _directory(session: SessionRow, mount: str) -> str:
    """Return the directory of a mount path: at a node only as it is spelled, since nothing there can be looked at."""
    return joined("/", mount) if session.node_id else workspace_directory(session.root, mount, make=True)


def _check_apart(runtime: Runtime, session: SessionRow, directory: str) -> None:
    data = str(runtime.folder.root)
    inside = is_within(directory, data) and not session.owns_root
    if inside or is_within(data, directory):
        raise ServiceError(
            "InvalidBinding.Directory",
            f"the directory {directory!r} and the data folder {data!r} lie one in the other: "
            "syncing would change what is being synced; use another root or another data folder",
        )


def _check_overlap(item: Wanted, directory: str, mount: str, other: str) -> None:
    if is_within(directory, other) or is_within(other, directory):
        raise ServiceError(
            "InvalidBinding.Overlap",
            f"{item.path!r} can't be bound beside {mount!r}: one directory lies in the other "
            f"({directory!r}, {other!r}); bind at paths that don't",
        )


def _forget_if_empty(runtime: Runtime, directory: str, item: Wanted) -> None:
    """Take an empty directory for a fresh one, not for one whose files were deleted since its last session.

    Otherwise the first upload from a directory that was only made anew would delete everything from the context.
    """
    try:
        with os.scandir(directory) as names:
            is_empty = next(names, None) is None
    except OSError as error:
        problem = f"the directory {directory!r} can't be read: {described(error)}"
        raise ServiceError("InvalidBinding.Directory", problem) from error
    if is_empty:
        for state in runtime.folder.workspace_states(directory, item.context_id, item.mount):
            state.unlink(missing_ok=True)
