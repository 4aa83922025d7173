"""Calls about what a context has and had."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from ctxmgr import nodewire
from ctxmgr.engine.manifest.entries import absolute
from ctxmgr.engine.policy.mounts import MAX_PATH, normalised
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import changes, contexts, history, origins, revisions
from ctxmgr.service.tasks.runtime import Runtime

__all__ = ["changes_since", "held", "key_of", "lost", "unchanged", "uploaded"]

MAX_PATHS: Final = 1_000
MAX_WORKSPACE: Final = 64


def changes_since(runtime: Runtime, account: str, message: nodewire.Changes) -> nodewire.ChangesPage:
    """Answer one page of what changed below paths of a context."""
    paths = _checked(message.paths)
    if not 0 <= message.origin < len(paths):
        raise ServiceError("InvalidParameter.Malformed", f"origin is {message.origin}, of {len(paths)} paths")
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, message.context)
        head = message.at or revisions.head_of(connection, message.context)
        if message.at:
            history.check_revision(connection, message.context, message.at)
        known_key = changes.key_of(connection, message.context, message.known) if 0 < message.known <= head else ""
        full = not known_key or known_key != message.known_key
        page = changes.changed(
            connection,
            message.context,
            paths[message.origin],
            since=0 if full else message.known,
            at=head,
            after=message.after,
        )
        is_last = page.is_last and message.origin == len(paths) - 1
        return nodewire.ChangesPage(
            head,
            changes.key_of(connection, message.context, head),
            full,
            nodewire.pack(page.entries),
            message.origin,
            message.origin + page.is_last,
            page.after,
            list(origins.in_the_way(connection, message.context, paths, head)) if is_last else [],
            is_last,
        )


def uploaded(runtime: Runtime, account: str, message: nodewire.Uploaded) -> nodewire.EntriesPage:
    """Answer one page of what a workspace has uploaded below a path after a revision."""
    (path,) = _checked([message.path])
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, message.context)
        page = changes.uploaded(
            connection,
            message.context,
            path,
            workspace=message.workspace[: MAX_WORKSPACE + 1],
            revision=message.revision,
            after=message.after,
        )
    return nodewire.EntriesPage(nodewire.pack(page.entries), page.after, page.is_last)


def held(runtime: Runtime, account: str, message: nodewire.Held) -> nodewire.Truth:
    """Answer whether a context holds, or ever held, something at or below one of some paths."""
    if len(message.paths) > MAX_PATHS:
        raise _too_many(len(message.paths))
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, message.context)
        return nodewire.Truth(any(_ever_held(connection, message.context, path) for path in message.paths))


def key_of(runtime: Runtime, account: str, message: nodewire.KeyOf) -> nodewire.Key:
    """Answer the key of a revision."""
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, message.context)
    return nodewire.Key(runtime.store(account).key(message.context, message.revision))


def unchanged(runtime: Runtime, account: str, message: nodewire.Unchanged) -> nodewire.Truth:
    """Answer whether a revision is still the head of a context, and packs are whole."""
    if len(message.packs) > nodewire.MAX_PACKS:
        count = len(message.packs)
        raise ServiceError("InvalidParameter.Malformed", f"{count} packs were sent: send {nodewire.MAX_PACKS} at most")
    paths = _checked(message.paths)
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, message.context)
    store = runtime.store(account)
    same = store.is_unchanged(message.context, paths, revision=message.revision, key=message.key, packs=message.packs)
    return nodewire.Truth(same)


def lost(runtime: Runtime, account: str, message: nodewire.Lost) -> nodewire.Digests:
    """Answer which chunks the head of a context refers to and which are not stored, or not to be trusted."""
    paths = _checked(message.paths)
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, message.context)
    return nodewire.Digests(b"".join(sorted(runtime.store(account).lost(message.context, paths))))


def _ever_held(connection: Connection, context_id: str, path: bytes) -> bool:
    return revisions.ever_held(connection, context_id, absolute(path, b""))


def _checked(paths: list[str]) -> list[str]:
    if not 0 < len(paths) <= MAX_PATHS:
        raise _too_many(len(paths))
    return [normalised(path, name="path", most=MAX_PATH) for path in paths]


def _too_many(count: int) -> ServiceError:
    return ServiceError("InvalidParameter.Malformed", f"{count} paths were sent: send 1 to {MAX_PATHS}")
