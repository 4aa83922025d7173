"""``ctxmgr file``: list the files of a context, fetch one, put one, and remove some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ctxmgr.cli.clients import existing_context
from ctxmgr.cli.options import answering, help_unless_told, named, places
from ctxmgr.cli.output import Invocation, note, shown, size_of

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context, ContextFile

__all__ = ["file"]

_PAGE = 1000


@click.group(invoke_without_command=True, subcommand_metavar="COMMAND ...")
@click.pass_context
def file(ctx: click.Context) -> None:
    """List, fetch, put and remove the files of a context."""
    help_unless_told(ctx)


@file.command("list")
@click.argument("name", metavar="NAME")
@answering
@places
@click.pass_obj
def list_files(invocation: Invocation, name: str) -> None:
    """List everything in a context: bytes, time and path.

    What can't be shown in a path is escaped: \\n is a newline, \\xff a byte that is not UTF-8.
    """
    invocation.facts |= {"context": name, "files": []}
    with existing_context(invocation, name) as (client, context):
        found = list(_files(client, context))
    width = max((len(str(each.size)) for each in found), default=0)
    if not found and not invocation.json:
        note(f"{shown(name)} is empty")
    invocation.answer(
        [
            f"{each.size:>{width}}  {each.modify_time or '-'}  {shown(each.path)}{'/' if each.type == 'folder' else ''}"
            for each in found
        ],
        files=[
            {"path": each.path, "type": each.type, "size": each.size, "modified": each.modify_time or None}
            for each in found
        ],
    )


@file.command("get")
@click.argument("name", metavar="NAME")
@click.argument("path", metavar="PATH")
@click.argument("target", metavar="TARGET", type=click.Path(readable=False), callback=named)
@click.option("--revision", metavar="N", type=click.IntRange(min=1), help="As it was at that revision.")
@answering
@places
@click.pass_obj
def get_file(invocation: Invocation, name: str, path: str, target: str, revision: int | None) -> None:
    """Fetch one file of a context, PATH in it, to TARGET.

    A file that is TARGET already is replaced once the download is complete.
    """
    invocation.facts |= {"context": name, "path": path, "target": os.path.abspath(target), "revision": revision}
    with existing_context(invocation, name) as (client, context):
        found = client.files.download(context, path, target, revision=revision).raise_for_error()
    at = f" at revision {revision}" if revision else ""
    line = f"downloaded {shown(path)} of {shown(name)}{at} to {shown(target)} ({size_of(found.size)})"
    invocation.answer([line], size=found.size, digest=found.digest or None)


@file.command("put")
@click.argument("name", metavar="NAME")
@click.argument("source", metavar="SOURCE", type=click.Path(readable=False), callback=named)
@click.argument("path", metavar="PATH")
@answering
@places
@click.pass_obj
def put_file(invocation: Invocation, name: str, source: str, path: str) -> None:
    """Put one file, SOURCE, into a context at PATH, which begins with "/".

    What is there is replaced, and stays in history.
    """
    invocation.facts |= {"context": name, "path": path, "source": os.path.abspath(source)}
    with existing_context(invocation, name) as (client, context):
        stored = client.files.upload(context, path, source).raise_for_error()
    did = f"uploaded {shown(source)} to {shown(path)} ({size_of(stored.size)})"
    line = f"{did}; revision {stored.revision} of {shown(name)}"
    invocation.answer([line], size=stored.size, digest=stored.digest or None, revision=stored.revision)


@file.command("rm")
@click.argument("name", metavar="NAME")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--recursive", "-r", is_flag=True, help="Folders with all that is in them.")
@answering
@places
@click.pass_obj
def remove_files(invocation: Invocation, name: str, paths: tuple[str, ...], recursive: bool) -> None:
    """Remove files from a context, all of them or none. They stay in history."""
    invocation.facts |= {"context": name, "paths": list(paths)}
    with existing_context(invocation, name) as (client, context):
        client.files.delete(context, *paths, recursive=recursive).raise_for_error()
    invocation.answer([f"removed {shown(path)} from {shown(name)}" for path in paths])


def _files(client: Client, context: Context) -> Iterator[ContextFile]:
    token = ""
    while True:
        page = client.files.list(context, recursive=True, max_results=_PAGE, next_token=token).raise_for_error()
        yield from page.files
        token = page.next_token
        if not token:
            return
