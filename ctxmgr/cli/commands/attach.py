"""``ctxmgr attach``: stay with a directory, and sync it whenever someone asks for that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ctxmgr.cli.clients import find_context, is_server, open_client
from ctxmgr.cli.directories import check_apart, checked_directory, made_directory
from ctxmgr.cli.exit import Interrupted
from ctxmgr.cli.options import answering, graceful, named, places
from ctxmgr.cli.output import Invocation, note, quoted, shown
from ctxmgr.cli.progress import run_sync
from ctxmgr.cli.sessions import attached_session, own_session

if TYPE_CHECKING:
    from ctxmgr.cli.attachment import Attachment
    from ctxmgr.client import Client
    from ctxmgr.results import Context
    from ctxmgr.sessions import Session

__all__ = ["attach"]

_UNFINISHED = 3


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(readable=False), callback=named)
@click.option("--context", "-c", "name", metavar="NAME", help="The context to sync with, made if there is none.")
@click.option("--session", "session_id", metavar="ID", help="A session that exists, instead; it has its contexts.")
@click.option("--no-download", is_flag=True, help="Begin with DIR as it is, not with what the context has.")
@click.option("--watch", is_flag=True, help="Upload what changes in DIR.")
@click.option("--sync-at-end", is_flag=True, help="Upload once more at the end, as --watch does.")
@graceful
@answering
@places
@click.pass_obj
def attach(
    invocation: Invocation,
    *,
    directory: str,
    name: str | None,
    session_id: str | None,
    no_download: bool,
    watch: bool,
    sync_at_end: bool,
    grace: float,
) -> int:
    """Have DIR synced with a context whenever someone asks for it.

    Stays until a signal ends it. Who asks may be another process or machine, or a controller with AgentBay's SDK: it
    names the session that this prints. A lost connection or a restarted server is told and waited for. While another
    process has DIR for that session, this one stands by.

    \b
    The exit status is 0 after a clean end, 3 if a sync was cut off or what changed last is not uploaded then,
    1 if DIR could not be attached or the session ended, and 2 for wrong options.
    """
    if (name is None) == (session_id is None):
        raise click.UsageError("name the context with --context, or a session that exists with --session: one of them")
    if session_id is not None and no_download:
        raise click.UsageError("--no-download goes with --context: of a session, its bindings say what is downloaded")
    if not is_server(invocation) and (session_id is not None or not watch):
        raise click.UsageError(
            "without a server nobody can ask for a sync: give --endpoint, "
            "or --context and --watch to upload what changes to the data folder"
        )
    from ctxmgr.cli.attachment import Attachment

    invocation.facts |= {"session": session_id, "directory": os.path.realpath(directory)}
    attached: Attachment | None = None
    with open_client(invocation) as client:
        try:
            context = None if name is None else _context(client, name, directory)
            check_apart(invocation, os.path.realpath(directory))
            real = checked_directory(directory) if context is None else made_directory(directory)
            session = _session(client, real, context, session_id)
            attached = Attachment(invocation, client, session, real)
            if client._core.node is not None:
                client._core.node.listen(attached.hear)
            invocation.facts["session"] = session.session_id
            if context is not None and not no_download:
                attached.tell(run_sync(client, session, context, "download", invocation, {}).raise_for_error())
            facts = {"session": session.session_id, "context": name, "directory": real}
            invocation.tell(f"attached {shown(directory)}: session {session.session_id}", "attached", **facts)
            attached.run(watch=watch)
        except Interrupted:
            pass  # what follows is the graceful end, and the next signal ends the process at once
        if attached is None or attached.end(grace, upload=watch or sync_at_end):
            if invocation.json:
                invocation.answer([])
            return 0
        invocation.fail("ended before all was synced: run it again, or 'ctxmgr sync', to go on where it stopped")
        return _UNFINISHED


def _context(client: Client, name: str, directory: str) -> Context:
    """Return the context to attach a directory to, made if there is none and the directory is there."""
    found = find_context(client, name)
    if found is not None:
        return found
    checked_directory(directory)
    made = client.contexts.create(name).context
    note(f"made the new context {quoted(name)}")
    return made


def _session(client: Client, directory: str, context: Context | None, session_id: str | None) -> Session:
    """Return the session, with this process as its node; stand by while another process has it."""
    if context is not None:
        return own_session(client, directory, context)
    assert session_id is not None, "a session is named where no context is"
    return attached_session(client, session_id, directory)
