"""``ctxmgr context`` and ``ctxmgr file``: the contexts themselves, and what is in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from ctxmgr.client import Client
from ctxmgr.results import Context, ContextFile

from .access import existing_client, open_client
from .invocation import Failure, Invocation, note
from .kept import check_name, existing_context, find_context, forget_sessions
from .wording import counted, quoted, shown, size_of

__all__ = ["create", "delete", "get_file", "list_contexts", "list_files", "rename"]

_PAGE = 1000


def list_contexts(invocation: Invocation) -> None:
    """Answer with all contexts."""
    with existing_client(invocation) as client:
        found = list(client.contexts.iter()) if client is not None else []
    found.sort(key=lambda context: context.name)
    if not found and not invocation.json:
        note("no contexts yet: 'ctxmgr sync DIR --context NAME' makes one")
    lines = [f"{context.last_used_time or '-'}  {shown(context.name)}" for context in found]
    if found and sys.stdout.isatty():
        lines.insert(0, f"{'LAST USED':<20}  NAME")
    invocation.answer(lines, contexts=[_context(context) for context in found])


def create(invocation: Invocation, name: str) -> None:
    """Make a context.

    Raises:
        Failure: there is one of that name.
    """
    with open_client(invocation) as client:
        if find_context(client, name) is not None:
            raise Failure(f"there is a context {quoted(name)} already")
        context = client.contexts.create(name).context
    invocation.answer([f"created {shown(context.name)}"], context=_context(context))


def rename(invocation: Invocation, old: str, new: str) -> None:
    """Rename a context."""
    check_name(new)
    with existing_client(invocation) as client:
        context = existing_context(client, old)
        assert client is not None, "a context was found, so there is where it was found"
        client.contexts.rename(context, new).raise_for_error()
    invocation.answer([f"renamed {shown(old)} to {shown(new)}"], id=context.id, old=old, name=new)


def delete(invocation: Invocation, name: str, *, confirmed: bool) -> None:
    """Delete a context, after asking whether that is meant.

    Raises:
        Failure: there is none of that name, or it is not meant.
    """
    if not confirmed and not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        problem = "deleting a context asks first, and there is no terminal to ask on: give --yes"
        raise click.UsageError(problem, click.get_current_context(silent=True))
    with existing_client(invocation) as client:
        context = existing_context(client, name)
        assert client is not None, "a context was found, so there is where it was found"
        if not confirmed:
            _confirm(client, context)
        client.contexts.delete(context).raise_for_error()
        forget_sessions(client, context)
    invocation.answer([f"deleted {shown(name)}"], id=context.id, name=name)


def list_files(invocation: Invocation, name: str) -> None:
    """Answer with everything a context holds."""
    invocation.facts |= {"context": name, "files": []}
    with existing_client(invocation) as client:
        context = existing_context(client, name)
        assert client is not None, "a context was found, so there is where it was found"
        found = list(_files(client, context))
    width = max((len(str(file.size)) for file in found), default=0)
    lines = [f"{file.size:>{width}}  {file.modify_time or '-'}  {_path(file)}" for file in found]
    if not found and not invocation.json:
        note(f"{shown(name)} is empty")
    invocation.answer(lines, files=[_file(file) for file in found])


def get_file(invocation: Invocation, name: str, path: str, target: str, revision: int | None) -> None:
    """Fetch one file.

    Raises:
        Failure: there is no context of that name.
        CtxmgrError: the file could not be had.
        OSError: it could not be written.
    """
    invocation.facts |= {"context": name, "path": path, "target": os.path.abspath(target), "revision": revision}
    with existing_client(invocation) as client:
        context = existing_context(client, name)
        assert client is not None, "a context was found, so there is where it was found"
        found = client.files.download(context, path, target, revision=revision).raise_for_error()
    at = f" at revision {revision}" if revision else ""
    line = f"downloaded {shown(path)} of {shown(name)}{at} to {shown(target)} ({size_of(found.size)})"
    invocation.answer([line], size=found.size, digest=found.digest or None)


def _confirm(client: Client, context: Context) -> None:
    page = client.files.list(context, recursive=True, max_results=1).raise_for_error()
    holds = f"and the {counted(page.total_count, 'path')} in it, at every revision" if page.total_count else "(empty)"
    try:
        meant = click.confirm(f"Delete {quoted(context.name)} {holds}?", err=True)
    except click.Abort:
        # The end of the input, Ctrl-D: whoever was asked gave no answer.
        note("")
        meant = False
    if not meant:
        raise Failure(f"{quoted(context.name)} was not deleted")


def _files(client: Client, context: Context) -> Iterator[ContextFile]:
    token = ""
    while True:
        page = client.files.list(context, recursive=True, max_results=_PAGE, next_token=token).raise_for_error()
        yield from page.files
        token = page.next_token
        if not token:
            return


def _path(file: ContextFile) -> str:
    return shown(file.path) + ("/" if file.type == "folder" else "")


def _file(file: ContextFile) -> dict[str, Any]:
    return {"path": file.path, "type": file.type, "size": file.size, "modified": file.modify_time or None}


def _context(context: Context) -> dict[str, Any]:
    return {
        "id": context.id,
        "name": context.name,
        "state": context.state,
        "created": context.create_time or None,
        "last_used": context.last_used_time or None,
    }
