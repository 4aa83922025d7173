"""``ctxmgr diff``: name what differs between two revisions of a context."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ctxmgr.cli.clients import existing_context
from ctxmgr.cli.moments import named_revision
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Invocation, shown, size_of

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context, FileChange, FileVersion

__all__ = ["diff"]

_PAGE = 1000
_SIGNS = {"added": "+", "deleted": "-"}


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("one", metavar="[A]", required=False, callback=named_revision)
@click.argument("other", metavar="[B]", required=False, callback=named_revision)
@answering
@places
@click.pass_obj
def diff(invocation: Invocation, name: str, one: int | datetime | None, other: int | datetime | None) -> None:
    """Name what differs between revisions A and B of a context.

    Each is a number, or a time at which it was the latest, such as '2 hours ago'. B is the latest one where it is left
    out, and A the one before it.
    """
    invocation.facts |= {"context": name, "from": None, "to": None, "changes": []}
    with existing_context(invocation, name) as (client, context):
        changes = list(_changes(invocation, client, context, one, other))
    facts = invocation.facts
    total = f"{len(changes)} differ" if changes else "nothing differs"
    lines = [*map(_line, changes), f"{total} between revisions {facts['from']} and {facts['to']} of {shown(name)}"]
    invocation.answer(lines, changes=[_facts(each) for each in changes])


def _changes(
    invocation: Invocation,
    client: Client,
    context: Context,
    one: int | datetime | None,
    other: int | datetime | None,
) -> Iterator[FileChange]:
    token = ""
    while True:
        page = client.contexts.diff(context, one, other, max_results=_PAGE, next_token=token).raise_for_error()
        # A time names another revision when a new one is made meanwhile; the first page says which it is.
        one, token = page.from_revision, page.next_token
        invocation.facts |= {"from": page.from_revision, "to": page.to_revision}
        yield from page.changes
        if not token:
            return


def _line(each: FileChange) -> str:
    version = each.after or each.before
    mark = "/" if version is not None and version.type == "folder" else ""
    return f"{_SIGNS.get(each.change, '~')} {shown(each.path)}{mark}{_detail(each)}"


def _detail(each: FileChange) -> str:
    before, after = each.before, each.after
    if before is None or after is None:
        only = before or after
        return f" ({size_of(only.size)})" if only is not None and only.type == "file" else ""
    if each.change == "mode":
        return f" (mode {before.mode} to {after.mode})"
    if each.change == "time":
        return " (time)"
    if before.type != after.type:
        return f" ({before.type} to {after.type})"
    if after.type == "link":
        return f" ({shown(before.target)} to {shown(after.target)})"
    sizes = dict.fromkeys([size_of(before.size), size_of(after.size)])
    return f" ({' to '.join(sizes)})"


def _facts(each: FileChange) -> dict[str, Any]:
    return {"path": each.path, "change": each.change, "before": _version(each.before), "after": _version(each.after)}


def _version(version: FileVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "type": version.type,
        "size": version.size,
        "mode": version.mode,
        "mtime_ns": version.mtime_ns,
        "digest": version.digest or None,
        "target": version.target or None,
    }
