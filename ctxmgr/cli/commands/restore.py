"""``ctxmgr restore``: write what a context holds, or held, into a directory, and prove it."""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ctxmgr.cli.clients import existing_context
from ctxmgr.cli.directories import check_apart
from ctxmgr.cli.moments import revision_of, revision_options
from ctxmgr.cli.options import answering, named, places, telling
from ctxmgr.cli.output import Invocation, counted, shown, size_of
from ctxmgr.cli.progress import Bar, run_shown

if TYPE_CHECKING:
    from ctxmgr.results import RestoredFile

__all__ = ["restore"]


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "--to", "target", metavar="DIR", type=click.Path(readable=False), required=True, callback=named, help="Where to."
)
@revision_options
@click.option("--force", is_flag=True, help="Also into a directory that holds something else; what is in the way goes.")
@answering
@telling
@places
@click.pass_obj
def restore(
    invocation: Invocation,
    name: str,
    paths: tuple[str, ...],
    target: str,
    revision: int | None,
    at: datetime | None,
    force: bool,
) -> None:
    """Write what a context holds, or held at a revision, into DIR.

    Afterwards everything is read back and compared; with --json the answer lists every path with its digest. With PATHs
    only these files and folders of the context. DIR is made, or empty; a restore that was cut off goes on when it is
    run again.
    """
    wanted = revision_of(revision, at)
    directory = os.path.realpath(target)
    invocation.facts |= {"context": name, "directory": directory, "revision": None, "receipt": []}
    check_apart(invocation, directory)
    with existing_context(invocation, name) as (client, context):
        begin = partial(client.contexts.restore, context, directory, *paths, revision=wanted, force=force)
        bar = Bar("restore", name)
        result = run_shown(lambda progress: begin(progress=progress), bar, invocation).raise_for_error()
    files = f"{counted(result.files, 'file')} ({size_of(result.bytes)})" if result.files else "nothing was missing"
    proven = f"{counted(len(result.receipt), 'path')} read back and the same"
    line = f"restored revision {result.revision} of {shown(name)} to {shown(target)}: {files}; {proven}"
    receipt = [_facts(each) for each in result.receipt]
    invocation.answer([line], revision=result.revision, files=result.files, bytes=result.bytes, receipt=receipt)


def _facts(each: RestoredFile) -> dict[str, Any]:
    proof = {"digest": each.digest or None, "target": each.target or None}
    return {"path": each.path, "type": each.type, "size": each.size, **proof}
