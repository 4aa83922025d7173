"""Contexts in the catalog: create, find, list, rename, delete."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, delete, exists, insert, select, update

from ctxmgr.errors import ServiceError

from .clock import now_ms
from .identifiers import CONTEXT_PREFIX, new_id, unlike_an_id
from .paging import Page, page_of
from .schema import bindings, contexts, files, lifecycles, revisions, tasks

__all__ = [
    "checked_name",
    "create",
    "create_transfer",
    "find",
    "find_named",
    "hold",
    "is_transfer",
    "least_recently_uploaded",
    "listed",
    "missing",
    "names_of",
    "record_upload",
    "remove",
    "remove_transfer",
    "rename",
]

MAX_NAME = 255
TRANSFER = f"{CONTEXT_PREFIX}transfer-"
"""How the ids of contexts begin that are not their users' but the service's own, for the transfer of files."""


def checked_name(name: str) -> str:
    """Return the name if a context can have it.

    Raises:
        ServiceError: it breaks one of the rules; the message says which.
    """
    if not name.strip():
        raise _bad_name(name, "it is blank")
    if len(name) > MAX_NAME:
        raise _bad_name(f"{name[:40]}…", f"it has {len(name)} characters, and at most {MAX_NAME} are allowed")
    if "/" in name:
        raise _bad_name(name, 'it contains "/"')
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise _bad_name(name, "it contains a control character or half a surrogate pair")
    return name


def names_of(account: str) -> str:
    """Return what a transaction holds that gives a context of the account a name."""
    return f"names of contexts of {account}"


def create(connection: Connection, account: str, name: str) -> Row[Any]:
    """Make an empty context, in a transaction that holds ``names_of`` the account.

    Raises:
        ServiceError: ``InvalidContext.Duplicate`` where the account has a context of that name.
    """
    return _create(connection, account, new_id(CONTEXT_PREFIX), name)


def create_transfer(connection: Connection, account: str, session_id: str) -> str:
    """Make the context for the transfer of a session's files, and return its id, which is its name too."""
    identifier = TRANSFER + session_id
    _create(connection, account, identifier, identifier)
    return identifier


def is_transfer(context_id: str) -> bool:
    """Whether a context is the service's own for the transfer of files."""
    return context_id.startswith(TRANSFER)


def hold(connection: Connection, context_ids: Iterable[str], *, to_delete: bool = False) -> None:
    """Keep every other writer away from contexts until the write transaction ends.

    Args:
        to_delete: also those that only need the contexts to stay there.
    """
    for context_id in sorted(set(context_ids)):
        row = select(contexts.c.id).where(contexts.c.id == context_id)
        connection.execute(row.with_for_update(key_share=not to_delete))


def record_upload(connection: Connection, context_id: str, moment_ms: int) -> None:
    """Record when a directory was last uploaded to a context."""
    connection.execute(update(contexts).where(contexts.c.id == context_id).values(uploaded_ms=moment_ms))


def least_recently_uploaded(connection: Connection, *, since_ms: int, most: int) -> list[Row[Any]]:
    """Return the contexts of all accounts whose last upload is the longest ago, but not longer than a moment.

    Args:
        since_ms: that moment, in milliseconds since the epoch.
        most: how many there are at most.

    Returns:
        the ``account``, ``name`` and ``uploaded_ms`` of each.
    """
    rows = select(contexts.c.account, contexts.c.name, contexts.c.uploaded_ms)
    rows = rows.where(contexts.c.uploaded_ms >= since_ms).order_by(contexts.c.uploaded_ms).limit(most)
    return list(connection.execute(rows))


def _create(connection: Connection, account: str, identifier: str, name: str) -> Row[Any]:
    checked_name(name)
    if find_named(connection, account, name) is not None:
        raise _duplicate(name)
    now = now_ms()
    row = {"id": identifier, "account": account, "name": name, "head": 0, "created_ms": now, "used_ms": now}
    connection.execute(insert(contexts).values(row))
    return find(connection, account, identifier)


def find(connection: Connection, account: str, context_id: str) -> Row[Any]:
    """Return an account's context.

    Raises:
        ServiceError: ``InvalidContext.NotFound``.
    """
    row = connection.execute(_of(account).where(contexts.c.id == context_id)).one_or_none()
    if row is None:
        raise missing(context_id)
    return row


def find_named(connection: Connection, account: str, name: str) -> Row[Any] | None:
    """Return an account's context of a name, or None."""
    return connection.execute(_of(account).where(contexts.c.name == name)).one_or_none()


def listed(
    connection: Connection, account: str, *, session_id: str, token: str, size: int, transfer: bool = False
) -> Page:
    """Read one page of an account's contexts, of one session's where its id is given, newest first.

    Args:
        transfer: read those for the transfer of files, which are not among the others.
    """
    own = contexts.c.id.startswith(TRANSFER, autoescape=True)
    rows = _of(account).where(own if transfer else ~own)
    if session_id:
        bound = select(bindings.c.context_id).where(bindings.c.session_id == session_id)
        rows = rows.where(contexts.c.id.in_(bound))
    return page_of(connection, rows, contexts, token=token, size=size)


def rename(connection: Connection, account: str, context_id: str, name: str) -> None:
    """Rename a context, in a transaction that holds ``names_of`` the account.

    Raises:
        ServiceError: it does not exist, or the name is taken or not allowed.
    """
    checked_name(name)
    find(connection, account, context_id)
    other = find_named(connection, account, name)
    if other is not None and other.id != context_id:
        raise _duplicate(name)
    connection.execute(update(contexts).where(contexts.c.id == context_id).values(name=name))


def remove(connection: Connection, account: str, context_id: str) -> None:
    """Delete a context with all its revisions and bindings.

    Raises:
        ServiceError: ``InvalidContext.NotFound``.
    """
    find(connection, account, context_id)
    _remove(connection, context_id)


def remove_transfer(connection: Connection, session_id: str) -> None:
    """Delete the context for the transfer of a session's files, if there is one."""
    _remove(connection, TRANSFER + session_id)


def _remove(connection: Connection, context_id: str) -> None:
    hold(connection, [context_id], to_delete=True)
    for table in (files, revisions, bindings, lifecycles):
        connection.execute(delete(table).where(table.c.context_id == context_id))
    connection.execute(delete(tasks).where(tasks.c.session_id == context_id))
    connection.execute(delete(contexts).where(contexts.c.id == context_id))


def missing(context_id: str) -> ServiceError:
    """Return the error for a context that does not exist for this account."""
    advice = unlike_an_id(context_id) or ": list the contexts to see what there is"
    return ServiceError("InvalidContext.NotFound", f"there is no context {context_id!r}{advice}")


def _of(account: str) -> Select[Any]:
    return _WITH_STATE.where(contexts.c.account == account)


def _with_state() -> Select[Any]:
    state = case(
        (_has("clear"), "clearing"),
        (_has("restore"), "pre-available"),
        (_in_use() & ~_idle(), "in-use"),
        else_="available",
    )
    return select(contexts, state.label("state"))


def _has(mode: str) -> ColumnElement[bool]:
    """Whether a task that changes a context as a whole has not ended."""
    own = (tasks.c.session_id == contexts.c.id) & (tasks.c.mode == mode)
    return exists().where(own, tasks.c.finished_ms.is_(None))


def _in_use() -> ColumnElement[bool]:
    """Whether a session may change a context or is about to: a binding with nothing automatic only waits to be asked.

    A policy that is written otherwise than the library writes it counts as automatic.
    """
    by_itself = ~and_(*(bindings.c.policy.contains(f'"{key}": false') for key in ("autoUpload", "autoDownload")))
    asked = (tasks.c.session_id == bindings.c.session_id) & (tasks.c.context_id == bindings.c.context_id)
    under_way = exists().where(asked, tasks.c.finished_ms.is_(None))
    return exists().where(bindings.c.context_id == contexts.c.id, by_itself | under_way)


def _idle() -> ColumnElement[bool]:
    """Whether a context was cleared and not used since: who waits for the clear to end looks for ``available``."""
    own = (tasks.c.session_id == contexts.c.id) & (tasks.c.mode == "clear") & (tasks.c.status == "Success")
    return exists().where(own, tasks.c.finished_ms >= contexts.c.used_ms)


# Made once: to put this together costs more than to run it.
_WITH_STATE = _with_state()


def _bad_name(name: str, rule: str) -> ServiceError:
    return ServiceError(
        "InvalidParameter.Malformed",
        f"{name!r} can't be the name of a context: {rule}; a name has 1 to {MAX_NAME} characters, "
        'no "/" and no control characters, and is not blank',
    )


def _duplicate(name: str) -> ServiceError:
    return ServiceError("InvalidContext.Duplicate", f"there is a context named {name!r} already: choose another name")
