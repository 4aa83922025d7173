"""``ctxmgr history``: list the revisions of a context, and what each changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ctxmgr.cli.clients import existing_context
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Invocation, note, shown, size_of

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context, Revision

__all__ = ["history"]

_PAGE = 100
_HEADER = ("REVISION", "TIME", "ADDED", "CHANGED", "DELETED", "BYTES", "WHAT")


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="At most so many; 0 for all.",
)
@answering
@places
@click.pass_obj
def history(invocation: Invocation, name: str, limit: int) -> None:
    """List the revisions of a context, latest first.

    For each: its number, its time, the files and links it added, changed and deleted, the bytes it brought, what made
    it, and the machine and directory it came from. 'ctxmgr diff' names the files.
    """
    invocation.facts |= {"context": name, "revisions": []}
    with existing_context(invocation, name) as (client, context):
        found, more = _revisions(client, context, limit)
    if not invocation.json:
        if not found:
            note(f"{shown(name)} has no revisions yet: 'ctxmgr sync DIR --context NAME' makes one")
        if more:
            note("older revisions are left out: --limit 0 shows all")
    rows = [_row(each) for each in found]
    if found and sys.stdout.isatty():
        rows.insert(0, _HEADER)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_aligned(row, widths)) for row in rows]
    invocation.answer(lines, revisions=[_facts(each) for each in found], more=more)


def _revisions(client: Client, context: Context, limit: int) -> tuple[list[Revision], bool]:
    """Return the latest revisions, and whether there are more."""
    found: list[Revision] = []
    token = ""
    while True:
        size = min(_PAGE, limit - len(found)) if limit else _PAGE
        page = client.contexts.history(context, max_results=size, next_token=token).raise_for_error()
        found += page.revisions
        token = page.next_token
        if not token or (limit and len(found) >= limit):
            return found, bool(token)


def _row(each: Revision) -> tuple[str, ...]:
    # As scp and rsync name a place.
    place = ":".join(shown(part) for part in (each.host, each.directory) if part)
    what = shown(each.note) + (f"  {place}" if place else "")
    counts = f"+{each.added}", f"~{each.changed}", f"-{each.deleted}"
    return str(each.number), each.create_time, *counts, size_of(each.bytes), what


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Align the columns: numbers to the right, and the last one as it is."""
    moved = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
    return [moved[0], row[1].ljust(widths[1]), *moved[2:-1], row[-1]]


def _facts(each: Revision) -> dict[str, Any]:
    return {
        "revision": each.number,
        "time": each.create_time,
        "note": each.note,
        "current": each.current,
        "added": each.added,
        "changed": each.changed,
        "deleted": each.deleted,
        "bytes": each.bytes,
        "workspace": each.workspace or None,
        "directory": each.directory or None,
        "host": each.host or None,
    }
