"""The client of what the options and the environment name, a data folder of this machine or a server; what it finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctxmgr._embedded import Location, located
from ctxmgr.errors import ApiError, NotFoundError

from .output import Failure, Invocation, quoted

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context

__all__ = ["check_name", "existing_client", "existing_context", "find_context", "is_server", "open_client"]

_MARKER = "ctxmgr.json"


def open_client(invocation: Invocation) -> Client:
    """Return a client, to be used in a ``with`` statement; a data folder that does not exist is made.

    Raises:
        CtxmgrError: the data folder or the endpoint can't be used.
        Failure: a server is named, and no key for it.
    """
    from ctxmgr.client import Client

    endpoint = _endpoint(invocation)
    if endpoint is None:
        return Client.local(invocation.data)
    api_key = os.environ.get("CTXMGR_API_KEY")
    if not api_key:
        raise Failure("there is no key for the server: set CTXMGR_API_KEY in the environment")
    return Client(endpoint=endpoint, api_key=api_key)


@contextmanager
def existing_client(invocation: Invocation) -> Iterator[Client | None]:
    """Return a client for a command that only looks: ``None`` where the data folder would have to be made for it.

    Raises:
        CtxmgrError: as ``open_client``.
        Failure: as ``open_client``.
    """
    if _endpoint(invocation) is None and _is_still_to_be_made(located(invocation.data)):
        yield None
        return
    with open_client(invocation) as client:
        yield client


@contextmanager
def existing_context(invocation: Invocation, name: str) -> Iterator[tuple[Client, Context]]:
    """Return the context of a name, and a client that has it.

    Raises:
        Failure: there is none.
        CtxmgrError: that can't be told.
    """
    with existing_client(invocation) as client:
        context = find_context(client, name)
        if client is None or context is None:
            raise Failure(f"there is no context {quoted(name)}: 'ctxmgr context list' shows those there are")
        try:
            yield client, context
        except ApiError as error:
            # A service speaks of a context by its id, which nobody typed here.
            error.message = error.message.replace(repr(context.id), quoted(name))
            raise


def find_context(client: Client | None, name: str) -> Context | None:
    """Return the context of a name; ``None`` if there is none.

    Raises:
        CtxmgrError: that can't be told.
    """
    check_name(name)
    if client is None:
        return None
    try:
        return client.contexts.get(name).context
    except NotFoundError as error:
        if error.code == "InvalidContext.NotFound":
            return None
        raise


def check_name(name: str) -> None:
    """Refuse a name that can't be sent at all; the service has further rules for the names of new contexts.

    Raises:
        Failure: it can't.
    """
    if not name.strip():
        raise Failure("the name of the context is blank: give one of 1 to 255 characters")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Failure(f"the name {quoted(name)} is not UTF-8, and a context's name must be") from None


def is_server(invocation: Invocation) -> bool:
    """Whether a server is used rather than a data folder."""
    return _endpoint(invocation) is not None


def _endpoint(invocation: Invocation) -> str | None:
    if invocation.data is not None and invocation.endpoint is not None:
        raise click.UsageError("--data and --endpoint name two places: give one of them")
    if invocation.data is not None:
        return None
    return invocation.endpoint or os.environ.get("CTXMGR_ENDPOINT") or None


def _is_still_to_be_made(location: Location) -> bool:
    from ctxmgr.engine.workspace.nodefolder import NODE_FOLDER

    path = Path(location.folder)
    if location.catalog or (path / _MARKER).exists():
        return False
    try:
        return {file.name for file in path.iterdir()} <= {NODE_FOLDER}
    except FileNotFoundError:
        return True
    except OSError:
        return False
