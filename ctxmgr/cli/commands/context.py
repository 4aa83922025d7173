"""``ctxmgr context``: list, create, rename and delete contexts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ctxmgr.cli.clients import check_name, existing_client, existing_context, find_context, open_client
from ctxmgr.cli.consent import ask, check_can_ask
from ctxmgr.cli.options import answering, help_unless_told, places
from ctxmgr.cli.output import Failure, Invocation, counted, note, quoted, shown
from ctxmgr.cli.sessions import forget_sessions

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context

__all__ = ["context"]


@click.group(invoke_without_command=True, subcommand_metavar="COMMAND ...")
@click.pass_context
def context(ctx: click.Context) -> None:
    """List, create, rename and delete contexts."""
    help_unless_told(ctx)


@context.command("list")
@answering
@places
@click.pass_obj
def list_contexts(invocation: Invocation) -> None:
    """List all contexts by name, with the time each was last used."""
    with existing_client(invocation) as client:
        found = list(client.contexts.iter()) if client is not None else []
    found.sort(key=lambda each: each.name)
    if not found and not invocation.json:
        note("no contexts yet: 'ctxmgr sync DIR --context NAME' makes one")
    lines = [f"{each.last_used_time or '-'}  {shown(each.name)}" for each in found]
    if found and sys.stdout.isatty():
        lines.insert(0, f"{'LAST USED':<20}  NAME")
    invocation.answer(lines, contexts=[_facts(each) for each in found])


@context.command()
@click.argument("name", metavar="NAME")
@answering
@places
@click.pass_obj
def create(invocation: Invocation, name: str) -> None:
    """Create an empty context."""
    with open_client(invocation) as client:
        if find_context(client, name) is not None:
            raise Failure(f"there is a context {quoted(name)} already")
        made = client.contexts.create(name).context
    invocation.answer([f"created {shown(made.name)}"], context=_facts(made))


@context.command()
@click.argument("old", metavar="NAME")
@click.argument("new", metavar="NEW-NAME")
@answering
@places
@click.pass_obj
def rename(invocation: Invocation, old: str, new: str) -> None:
    """Rename a context."""
    check_name(new)
    with existing_context(invocation, old) as (client, found):
        client.contexts.rename(found, new).raise_for_error()
    invocation.answer([f"renamed {shown(old)} to {shown(new)}"], id=found.id, old=old, name=new)


@context.command()
@click.argument("name", metavar="NAME")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@answering
@places
@click.pass_obj
def delete(invocation: Invocation, name: str, yes: bool) -> None:
    """Delete a context and all it holds.

    The directories it was synced with stay as they are.
    """
    if not yes:
        check_can_ask("deleting a context")
    with existing_context(invocation, name) as (client, found):
        if not yes:
            _confirm(client, found)
        client.contexts.delete(found).raise_for_error()
        forget_sessions(client, found)
    invocation.answer([f"deleted {shown(name)}"], id=found.id, name=name)


def _confirm(client: Client, found: Context) -> None:
    """Ask whether that is meant.

    Raises:
        Failure: it is not.
    """
    page = client.files.list(found, recursive=True, max_results=1).raise_for_error()
    holds = f"and the {counted(page.total_count, 'path')} in it, at every revision" if page.total_count else "(empty)"
    ask(f"Delete {quoted(found.name)} {holds}?", f"{quoted(found.name)} was not deleted")


def _facts(found: Context) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "state": found.state,
        "created": found.create_time or None,
        "last_used": found.last_used_time or None,
    }
