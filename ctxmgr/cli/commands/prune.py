"""``ctxmgr prune``: end the revisions that are not kept, and give back the room that nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from ctxmgr.cli.clients import existing_client, find_context
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Failure, Invocation, counted, note, quoted, shown, size_of
from ctxmgr.errors import ArgumentError
from ctxmgr.retention import MAX_COUNT, Retention, seconds_of

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import Context, PruneResult

__all__ = ["prune"]

_COUNT = click.IntRange(0, MAX_COUNT)


def _span(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        if value:
            seconds_of(value)
    except ArgumentError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None
    return value


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--keep-last", "last", type=_COUNT, default=0, metavar="N", help="Keep the latest N revisions.")
@click.option(
    "--keep-within",
    "within",
    default="",
    metavar="SPAN",
    callback=_span,
    help="Keep those of the last SPAN before the latest: 12h, 30d, 1y6m.",
)
@click.option("--keep-hourly", "hourly", type=_COUNT, default=0, metavar="N", help="Keep one an hour, for N hours.")
@click.option("--keep-daily", "daily", type=_COUNT, default=0, metavar="N", help="Keep one a day, for N days.")
@click.option("--keep-weekly", "weekly", type=_COUNT, default=0, metavar="N", help="Keep one a week, for N weeks.")
@click.option("--keep-monthly", "monthly", type=_COUNT, default=0, metavar="N", help="Keep one a month, for N months.")
@click.option("--keep-yearly", "yearly", type=_COUNT, default=0, metavar="N", help="Keep one a year, for N years.")
@click.option("--remember", is_flag=True, help="Have the service go by these rules from now on, by itself.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option(
    "--grace",
    type=click.IntRange(0, 10**9),
    metavar="SECONDS",
    help="How long unneeded content stays [none if nobody else uses the data folder, otherwise a day].",
)
@answering
@places
@click.pass_obj
def prune(
    invocation: Invocation, /, names: tuple[str, ...], remember: bool, dry_run: bool, grace: int | None, **rules: Any
) -> None:
    """End revisions that are not kept, and give back the room that nothing needs.

    The rules are for the named contexts, or for all; they add up, and the latest revision is always kept. Without any
    rule, the ones that were remembered for each context count.
    """
    retention = Retention(**rules)
    if remember and (retention.keeps_everything or dry_run):
        raise click.UsageError("--remember needs a --keep- rule, and does not go with --dry-run")
    with existing_client(invocation) as client:
        if client is None:
            raise Failure("there is nothing to prune: no contexts yet")
        chosen = [_named(client, name) for name in names]
        given = None if retention.keeps_everything else retention
        found = client.store.prune(chosen, retention=given, dry_run=dry_run, grace=grace).raise_for_error()
        if remember:
            for each in found.contexts:
                client.store.set_retention(each.context_id, retention).raise_for_error()
    if found.damaged_packs:
        note(f"ctxmgr: {counted(len(found.damaged_packs), 'pack')} can't be read whole: run 'ctxmgr check --read-data'")
    facts = attrs.asdict(found, filter=lambda field, _: field.name not in ("success", "error_message", "request_id"))
    invocation.answer(_lines(found, dry_run=dry_run), dry_run=dry_run, **facts)


def _named(client: Client, name: str) -> Context:
    context = find_context(client, name)
    if context is None:
        raise Failure(f"there is no context {quoted(name)}: 'ctxmgr context list' shows those there are")
    return context


def _lines(found: PruneResult, *, dry_run: bool) -> list[str]:
    would = "would end" if dry_run else "ended"
    lines = [
        f"{shown(each.name)}: {would} {counted(len(each.pruned), 'revision')}, {len(each.kept)} kept"
        for each in found.contexts
        if each.pruned
    ]
    if dry_run:
        return [*lines, f"would give back up to {size_of(found.waiting_bytes)}"]
    lines.append(f"gave back {size_of(found.freed_bytes)}")
    if found.waiting_bytes:
        lines.append(f"{size_of(found.waiting_bytes)} more follow when no sync or download can need them any more")
    return lines
