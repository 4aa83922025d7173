"""Where the contexts are: a data folder of this machine, or a server; from the command line, then the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ctxmgr._embedded import data_folder
from ctxmgr.client import Client

from .invocation import Failure, Invocation
from .wording import shown

__all__ = ["check_apart", "existing_client", "is_server", "open_client"]

_MARKER = "ctxmgr.json"


def open_client(invocation: Invocation) -> Client:
    """Return a client, to be used in a ``with`` statement; a data folder that does not exist is made.

    Raises:
        CtxmgrError: the data folder or the endpoint can't be used.
        Failure: a server is named, and no key for it.
    """
    endpoint = _endpoint(invocation)
    if endpoint is None:
        return Client.local(data_folder(invocation.data))
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
    if _endpoint(invocation) is None and _is_still_to_be_made(data_folder(invocation.data)):
        yield None
        return
    with open_client(invocation) as client:
        yield client


def check_apart(invocation: Invocation, directory: str) -> None:
    """Refuse to sync a directory with the data folder in it, or the other way round, before either is touched.

    Raises:
        Failure: one lies in the other.
    """
    if _endpoint(invocation) is not None:
        return
    folder = os.path.realpath(data_folder(invocation.data))
    if os.path.commonpath([folder, directory]) in (folder, directory):
        raise Failure(
            f"{shown(directory)} and the data folder {shown(folder)} lie one in the other: "
            "name another data folder with --data, or another directory"
        )


def is_server(invocation: Invocation) -> bool:
    """Whether a server is used rather than a data folder."""
    return _endpoint(invocation) is not None


def _endpoint(invocation: Invocation) -> str | None:
    if invocation.data is not None and invocation.endpoint is not None:
        raise click.UsageError("--data and --endpoint name two places: give one of them")
    if invocation.data is not None:
        return None
    return invocation.endpoint or os.environ.get("CTXMGR_ENDPOINT") or None


def _is_still_to_be_made(folder: str) -> bool:
    path = Path(folder)
    if (path / _MARKER).exists():
        return False
    try:
        return next(path.iterdir(), None) is None
    except FileNotFoundError:
        return True
    except OSError:
        return False
