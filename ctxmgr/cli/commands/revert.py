"""``ctxmgr revert``: make a context again what it was at a revision, as a new one."""

from __future__ import annotations

from datetime import datetime

import click

from ctxmgr.cli.clients import existing_context
from ctxmgr.cli.moments import revision_of, revision_options
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Invocation, counted, shown, size_of

__all__ = ["revert"]


@click.command()
@click.argument("name", metavar="NAME")
@revision_options
@answering
@places
@click.pass_obj
def revert(invocation: Invocation, name: str, revision: int | None, at: datetime | None) -> None:
    """Make a context again what it was at a revision.

    That is a new revision; to revert to the one before it undoes this. Directories follow at their next download.
    """
    wanted = revision_of(revision, at)
    if wanted is None:
        raise click.UsageError("which revision? give --revision or --at", click.get_current_context(silent=True))
    invocation.facts |= {"context": name, "revision": None}
    with existing_context(invocation, name) as (client, context):
        result = client.contexts.revert(context, wanted).raise_for_error()
    if result.nothing_to_sync:
        line = f"nothing changed: {shown(name)} is what it was then"
    else:
        did = f"{counted(result.files, 'file')} ({size_of(result.bytes)}) came back, {result.deleted} went"
        undo = f"'ctxmgr revert {shown(name)} --revision {result.revision - 1}' undoes it"
        line = f"{did}; revision {result.revision} of {shown(name)}; {undo}"
    invocation.answer(
        [line],
        revision=result.revision,
        files=result.files,
        deleted=result.deleted,
        bytes=result.bytes,
        nothing_to_sync=result.nothing_to_sync,
    )
