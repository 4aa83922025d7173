"""``ctxmgr fork``: make another context that begins as one is, or was."""

from __future__ import annotations

from datetime import datetime

import click

from ctxmgr.cli.clients import check_name, existing_context
from ctxmgr.cli.moments import revision_of, revision_options
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Invocation, shown

__all__ = ["fork"]


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("new", metavar="NEW-NAME")
@revision_options
@answering
@places
@click.pass_obj
def fork(invocation: Invocation, name: str, new: str, revision: int | None, at: datetime | None) -> None:
    """Make another context that holds what a context holds, or held at a revision.

    No bytes are copied, and what happens to one from then on does not concern the other.
    """
    check_name(new)
    wanted = revision_of(revision, at)
    with existing_context(invocation, name) as (client, context):
        made = client.contexts.fork(context, new, revision=wanted).context
    invocation.answer([f"forked {shown(name)} as {shown(made.name)}"], id=made.id, name=made.name, of=context.id)
