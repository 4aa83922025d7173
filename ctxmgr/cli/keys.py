"""``ctxmgr key``: the keys of the accounts in a data folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from ctxmgr._embedded import data_folder
from ctxmgr.service.catalog.keys import Key, Keys

from .invocation import Invocation, note
from .wording import moment, quoted, shown

__all__ = ["create", "list_keys", "revoke"]


def create(invocation: Invocation, name: str, account: str) -> None:
    """Make a key, and answer with it: on the standard output stands nothing else, so that it can be piped."""
    with _keys(invocation) as keys:
        key, text = keys.create(name, account)
    if not invocation.json:
        told = f"the key {quoted(key.name)} opens the account {quoted(key.account)}; nobody can show it again"
        note(f"ctxmgr: {told}")
    invocation.answer([text], key=text, **_facts(key))


def list_keys(invocation: Invocation) -> None:
    """Answer with all keys."""
    with _keys(invocation) as keys:
        found = keys.all()
    if not found and not invocation.json:
        note("no keys yet: 'ctxmgr key create NAME' makes one")
    width = max((len(key.account) for key in found), default=0)
    lines = [
        f"{key.id}  {key.account:<{width}}  {_moment(key.created_ms):<20}  {_moment(key.used_ms) or '-':<20}  "
        f"{'revoked' if key.revoked_ms else 'good':<7}  {shown(key.name)}"
        for key in found
    ]
    if found and sys.stdout.isatty():
        header = f"{'ID':<10}  {'ACCOUNT':<{width}}  {'CREATED':<20}  {'LAST USED':<20}  {'STATE':<7}  NAME"
        lines.insert(0, header)
    invocation.answer(lines, keys=[_facts(key) for key in found])


def revoke(invocation: Invocation, which: str) -> None:
    """Revoke a key."""
    with _keys(invocation) as keys:
        key = keys.revoke(which)
    invocation.answer([f"revoked {shown(key.name)} ({key.id})"], **_facts(key))


@contextmanager
def _keys(invocation: Invocation) -> Iterator[Keys]:
    if invocation.endpoint is not None:
        raise click.UsageError("keys are made where the data folder is: give --data instead of --endpoint")
    from ctxmgr.service import ContextService

    with closing(ContextService.open(data_folder(invocation.data), workers=1)) as service:
        yield service.keys


def _facts(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account,
        "created": _moment(key.created_ms),
        "last_used": _moment(key.used_ms),
        "revoked": _moment(key.revoked_ms),
    }


def _moment(ms: int | None) -> str | None:
    return moment(0 if ms is None else ms // 1000)
