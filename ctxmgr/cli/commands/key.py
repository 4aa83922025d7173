"""``ctxmgr key``: the keys of the accounts in a data folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ctxmgr._embedded import located, open_service
from ctxmgr.cli.options import answering, help_unless_told, keeping_options
from ctxmgr.cli.output import Invocation, moment, note, quoted, shown

if TYPE_CHECKING:
    from ctxmgr.service.catalog.keys import Key, Keys

__all__ = ["key"]


@click.group(invoke_without_command=True)
@click.pass_context
def key(ctx: click.Context) -> None:
    """Create, list and revoke the keys of 'ctxmgr serve'.

    A key opens one account, and an account is what its keys share: its contexts and sessions are seen by nobody else.
    The account local is also what commands on the data folder itself work with.
    """
    help_unless_told(ctx)


@key.command()
@click.argument("name", metavar="NAME")
@click.option("--account", default="local", show_default=True, help="The account that the key opens.")
@answering
@keeping_options
@click.pass_obj
def create(invocation: Invocation, name: str, account: str) -> None:
    """Make a key, and show it this once. A server that runs takes it at once."""
    with _keys(invocation) as keys:
        made, text = keys.create(name, account)
    if not invocation.json:
        told = f"the key {quoted(made.name)} opens the account {quoted(made.account)}; nobody can show it again"
        note(f"ctxmgr: {told}")
    # On the standard output stands nothing but the key, so that it can be piped.
    invocation.answer([text], key=text, **_facts(made))


@key.command("list")
@answering
@keeping_options
@click.pass_obj
def list_keys(invocation: Invocation) -> None:
    """List all keys by what is known of them, which is not the keys themselves."""
    with _keys(invocation) as keys:
        found = keys.all()
    if not found and not invocation.json:
        note("no keys yet: 'ctxmgr key create NAME' makes one")
    width = max((len(each.account) for each in found), default=0)
    lines = [
        f"{each.id}  {each.account:<{width}}  {_moment(each.created_ms):<20}  {_moment(each.used_ms) or '-':<20}  "
        f"{'revoked' if each.revoked_ms else 'good':<7}  {shown(each.name)}"
        for each in found
    ]
    if found and sys.stdout.isatty():
        header = f"{'ID':<10}  {'ACCOUNT':<{width}}  {'CREATED':<20}  {'LAST USED':<20}  {'STATE':<7}  NAME"
        lines.insert(0, header)
    invocation.answer(lines, keys=[_facts(each) for each in found])


@key.command()
@click.argument("which", metavar="NAME|ID")
@answering
@keeping_options
@click.pass_obj
def revoke(invocation: Invocation, which: str) -> None:
    """Revoke a key; a running server rejects it within a second."""
    with _keys(invocation) as keys:
        found = keys.revoke(which)
    invocation.answer([f"revoked {shown(found.name)} ({found.id})"], **_facts(found))


@contextmanager
def _keys(invocation: Invocation) -> Iterator[Keys]:
    if invocation.endpoint is not None:
        raise click.UsageError("keys are made where the data folder is: give --data instead of --endpoint")
    location = located(invocation.data, invocation.catalog, invocation.store)
    with closing(open_service(location, workers=1)) as service:
        yield service.keys


def _facts(found: Key) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "account": found.account,
        "created": _moment(found.created_ms),
        "last_used": _moment(found.used_ms),
        "revoked": _moment(found.revoked_ms),
    }


def _moment(ms: int | None) -> str | None:
    return moment(0 if ms is None else ms // 1000)
