"""The session that is kept for a directory and a context from one run to the next.

A server keeps those of many machines, so theirs are labelled with the machine too. Its sessions have this process as
their node for the time of one run, unless another process has them at that moment: that one is asked.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ctxmgr._embedded import machine_id, node_folder
from ctxmgr.errors import ConflictError, CtxmgrError

from .output import note

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context
    from ctxmgr.sessions import Session

__all__ = [
    "MOUNT",
    "attached_session",
    "embedded_labels",
    "forget_sessions",
    "kept_session",
    "own_session",
    "session_of",
    "sessions_of",
    "temporary_session",
    "turn_of",
]

MOUNT = "/"
_ROOT = "ctxmgr.root"
_CONTEXT = "ctxmgr.context"
_MACHINE = "ctxmgr.machine"
_KEPT_SECONDS = 90 * 24 * 3600
"""How long a server remembers what the last syncs of a directory came to."""


def session_of(client: Client, directory: str, context: Context) -> Session | None:
    """Return the session that is kept for a directory and a context; ``None`` if there is none yet."""
    kept = _running(client, _labels(client, directory, context))
    return kept[-1] if kept else None  # the oldest: whoever looks at the same time takes the same


def kept_session(client: Client, directory: str, context: Context) -> Session:
    """Return the session that is kept for a directory and a context, made if there is none.

    If another process has it, that one is asked for its syncs, and this one has it as soon as that one leaves.
    """
    kept = session_of(client, directory, context)
    labels = _labels(client, directory, context)
    if _is_elsewhere(client):
        if kept is None:
            return _create(client, directory, context, labels)
        other = _other_node(client, kept.session_id, directory)
        if other:
            note(f"it is asked of the process that has the directory: {other}")
            standing_by = (client, kept.session_id, directory)
            threading.Thread(target=_stand_by, args=standing_by, name="ctxmgr-standby", daemon=True).start()
        return kept
    if kept is not None:
        return kept
    made = _create(client, directory, context, labels)
    # Another run may have made one at the same moment. Both see both now, and keep the older.
    kept = session_of(client, directory, context) or made
    if kept.session_id != made.session_id:
        _end(made)
    return kept


@contextmanager
def temporary_session(client: Client, directory: str, context: Context) -> Iterator[Session]:
    """Return a session that nothing remembers."""
    session = _create(client, directory, context, {})
    try:
        yield session
    finally:
        _end(session)


def sessions_of(client: Client, directory: str) -> list[Session]:
    """Return all sessions that are kept for a directory, newest first."""
    return _running(client, _place(client, directory))


def forget_sessions(client: Client, context: Context) -> None:
    """End the sessions that are kept for a context."""
    for session in _running(client, {_CONTEXT: context.id}):
        _end(session)


def own_session(client: Client, directory: str, context: Context) -> Session:
    """Return the session that is kept for a directory and a context, which no other process has from now on."""
    with turn_of(client, directory, context):
        kept = session_of(client, directory, context)
        if kept is None or not _is_elsewhere(client):
            return kept_session(client, directory, context)
    return attached_session(client, kept.session_id, directory)


def attached_session(client: Client, session_id: str, directory: str) -> Session:
    """Return a session of a server once this process is its node, and what its bindings download has come.

    Raises:
        CtxmgrError: it can't be, or a download failed.
    """
    other = _other_node(client, session_id, directory)
    if other:
        note(f"stands by until the other process leaves: {other}")
    return client.sessions.attach(session_id, directory).session


@contextmanager
def turn_of(client: Client, directory: str, context: Context) -> Iterator[None]:
    """Wait until no other command of this machine has its turn with a directory and a context of a server."""
    if not _is_elsewhere(client):
        yield
        return
    from filelock import FileLock, Timeout

    name = hashlib.sha256(repr(sorted(_labels(client, directory, context).items())).encode()).hexdigest()
    lock = FileLock(os.path.join(node_folder(), "locks", f"turn-{name[:32]}"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note("waits for another sync of the directory to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_elsewhere(client: Client) -> bool:
    """Whether the sessions of a client are kept by a server."""
    return client._core.node is not None


def _other_node(client: Client, session_id: str, directory: str) -> str:
    """Become the node of a session, unless another process is; return which, empty for none."""
    attached = client.sessions.attach(session_id, directory, wait=False)
    try:
        attached.raise_for_error()
    except ConflictError as error:
        return error.message
    return ""


def _stand_by(client: Client, session_id: str, directory: str) -> None:
    with suppress(CtxmgrError):  # the task that waits for it fails with a reason of its own
        client.sessions.attach(session_id, directory)


def embedded_labels(directory: str, context_id: str) -> dict[str, str]:
    """Return the labels of the session that a data folder keeps for a directory and a context."""
    return {_ROOT: _label(directory), _CONTEXT: context_id}


def _labels(client: Client, directory: str, context: Context) -> dict[str, str]:
    return {**_place(client, directory), _CONTEXT: context.id}


def _place(client: Client, directory: str) -> dict[str, str]:
    machine = {_MACHINE: machine_id()} if _is_elsewhere(client) else {}
    return {_ROOT: _label(directory), **machine}


def _label(directory: str) -> str:
    """Return a path as a label, which must be Unicode: no two paths have the same."""
    return os.fsencode(directory.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def _running(client: Client, labels: dict[str, str]) -> list[Session]:
    found = client.sessions.iter(labels=labels)
    return [client.session(each.session_id) for each in found if each.status in ("RUNNING", "")]


def _end(session: Session) -> None:
    """End a session nobody needs any more. One that stays does no harm: nothing in it happens by itself."""
    with suppress(CtxmgrError):
        session.delete()


def _create(client: Client, directory: str, context: Context, labels: dict[str, str]) -> Session:
    from ctxmgr.policies import Binding, DownloadPolicy, SyncPolicy, UploadPolicy

    on_demand = SyncPolicy(upload=UploadPolicy(auto_upload=False), download=DownloadPolicy(auto_download=False))
    bind = {MOUNT: Binding(context, on_demand)}
    linger = _KEPT_SECONDS if labels else None
    return client.sessions.create(directory, bind, labels=labels, wait=False, linger=linger).session
