"""The session that is kept for a directory and a context from one run to the next.

A server keeps those of many machines, so theirs are labelled with the machine too. Its sessions have this process as
their node for the time of one run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ctxmgr._embedded import machine_id
from ctxmgr.errors import ConflictError, CtxmgrError, NotFoundError
from ctxmgr.policies import Binding, DownloadPolicy, SyncPolicy, UploadPolicy

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context
    from ctxmgr.sessions import Session

__all__ = ["MOUNT", "forget_sessions", "is_elsewhere", "kept_session", "session_of", "sessions_of", "temporary_session"]

MOUNT = "/"
_ROOT = "ctxmgr.root"
_CONTEXT = "ctxmgr.context"
_MACHINE = "ctxmgr.machine"
_KEPT_SECONDS = 90 * 24 * 3600
"""How long a server remembers what the last syncs of a directory came to."""
_ON_DEMAND = SyncPolicy(upload=UploadPolicy(auto_upload=False), download=DownloadPolicy(auto_download=False))


def session_of(client: Client, directory: str, context: Context) -> Session | None:
    """Return the session that is kept for a directory and a context; ``None`` if there is none yet."""
    kept = _running(client, _labels(client, directory, context))
    return kept[-1] if kept else None  # the oldest: whoever looks at the same time takes the same


def kept_session(client: Client, directory: str, context: Context) -> Session:
    """Return the session that is kept for a directory and a context, made if there is none."""
    kept = session_of(client, directory, context)
    labels = _labels(client, directory, context)
    if is_elsewhere(client):
        if kept is None:
            return _create(client, directory, context, labels)
        # Another run that has it at this moment leaves when it ends: this one goes by itself.
        return kept if _is_ours(client, kept, directory) else _create(client, directory, context, {})
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


def is_elsewhere(client: Client) -> bool:
    """Whether the sessions of a client are kept by a server."""
    return client._core.node is not None


def _is_ours(client: Client, session: Session, directory: str) -> bool:
    """Become the node of a session, unless another process is; return whether that is so."""
    attached = client.sessions.attach(session.session_id, directory, wait=False)
    with suppress(ConflictError, NotFoundError):
        attached.raise_for_error()
    return attached.success


def _labels(client: Client, directory: str, context: Context) -> dict[str, str]:
    return {**_place(client, directory), _CONTEXT: context.id}


def _place(client: Client, directory: str) -> dict[str, str]:
    machine = {_MACHINE: machine_id()} if is_elsewhere(client) else {}
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
    bind = {MOUNT: Binding(context, _ON_DEMAND)}
    linger = _KEPT_SECONDS if labels else None
    return client.sessions.create(directory, bind, labels=labels, wait=False, linger=linger).session
