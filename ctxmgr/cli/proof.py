"""Proof that a server reaches a directory of this machine: a path alone would name one of the server's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ctxmgr.oserrors import described
from ctxmgr.protocol import error_of

from .clients import is_server
from .output import Failure, Invocation, shown

if TYPE_CHECKING:
    from ctxmgr.client import Client

__all__ = ["check_reached"]

# The server knows no such proof, or the account may not have sessions there, or there is no such directory.
_UNPROVEN = ("InvalidAction", "UnsupportedAction", "Forbidden.Root", "InvalidParameter")
_ATTEMPTS = 3  # a sync that runs at the same moment may clear the proof away


def check_reached(invocation: Invocation, client: Client | None, directory: str) -> None:
    """Refuse to go on with a server unless it is proven to reach this very directory.

    Args:
        directory: its real path; if it is still to be made, the directory above it is what is proven.

    Raises:
        Failure: it is not proven.
        CtxmgrError: the server can't be asked.
    """
    if client is None or not is_server(invocation):
        return
    there = directory
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    problem = _problem(client, there)
    if problem:
        raise Failure(
            f"{shown(directory)} is not proven to be within the server's reach: {problem}; a server syncs directories "
            "of its own machine only: use a data folder here (--data), or run 'ctxmgr serve --root DIR' here"
        )


def _problem(client: Client, directory: str) -> str:
    """Return why the proof fails; empty if it does not."""
    from ctxmgr.service.api.rootproof import written_proof

    for _ in range(_ATTEMPTS):
        try:
            with written_proof(directory) as (name, token):
                answer = client._core.transport.call("ProveRoot", {"Root": directory, "Proof": name})
                undisturbed = os.path.lexists(os.path.join(directory, name))
        except OSError as error:
            return f"nothing can be written to {shown(directory)} to prove it: {described(error)}"
        if not answer.success:
            if answer.code.startswith(_UNPROVEN):
                return answer.message
            raise error_of(answer)
        if isinstance(answer.data, dict) and answer.data.get("Token") == token:
            return ""
        if undisturbed:
            break
    return f"it has another directory of the path {shown(directory)}"
