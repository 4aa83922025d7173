"""The commands of ``ctxmgr``, one module each: it declares the command and carries it out.

A module may import what ``ctxmgr.cli`` shares, and no other command; what is heavy it imports when it runs.
"""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["COMMANDS", "load"]

COMMANDS = {
    "admin": "Care for a service as a whole: copy it to other places.",
    "attach": "Have DIR synced with a context whenever someone asks for it.",
    "check": "Check that all that is stored is whole; name what is not.",
    "clear": "Empty a context.",
    "context": "List, create, rename and delete contexts.",
    "diff": "Name what differs between revisions A and B of a context.",
    "file": "List, fetch, put and remove the files of a context.",
    "fork": "Make another context that holds what a context holds, or held at a revision.",
    "history": "List the revisions of a context, latest first.",
    "info": "Show the last uploads and downloads of DIR.",
    "key": "Create, list and revoke the keys of 'ctxmgr serve'.",
    "prune": "End revisions that are not kept, and give back the room that nothing needs.",
    "restore": "Write what a context holds, or held at a revision, into DIR.",
    "revert": "Make a context again what it was at a revision.",
    "serve": "Serve the contexts of the data folder over HTTP.",
    "stats": "Show how much is stored, and how much room that saves.",
    "sync": "Bring DIR and a context to the same state.",
}


def load(name: str) -> click.Command:
    """Return a command, importing its module."""
    command = getattr(import_module(f"{__name__}.{name}"), name)
    assert isinstance(command, click.Command), f"{name} is declared in the module of its name"
    return command
