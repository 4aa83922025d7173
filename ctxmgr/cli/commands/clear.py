"""``ctxmgr clear``: empty a context; its history stays."""

from __future__ import annotations

import click

from ctxmgr.cli.clients import existing_context
from ctxmgr.cli.consent import ask, check_can_ask
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Invocation, counted, quoted, shown

__all__ = ["clear"]


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@answering
@places
@click.pass_obj
def clear(invocation: Invocation, name: str, yes: bool) -> None:
    """Empty a context. Its history stays, so that 'ctxmgr revert' undoes it.

    The directories it was synced with follow at their next download.
    """
    if not yes:
        check_can_ask("clearing a context")
    with existing_context(invocation, name) as (client, context):
        if not yes:
            ask(f"Clear {quoted(name)}? Its history stays.", f"{quoted(name)} was not cleared")
        result = client.contexts.clear(context).raise_for_error()
    line = f"nothing changed: {shown(name)} is empty"
    if not result.nothing_to_sync:
        undo = f"'ctxmgr revert {shown(name)} --revision {result.revision - 1}' undoes it"
        line = f"cleared {shown(name)}: {counted(result.deleted, 'path')} went; {undo}"
    invocation.answer([line], id=context.id, name=name, revision=result.revision, deleted=result.deleted)
