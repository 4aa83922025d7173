"""``ctxmgr admin``: what an operator does with a service as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ctxmgr._embedded import Location, copy_service
from ctxmgr.cli.options import answering, help_unless_told, named, telling
from ctxmgr.cli.output import Invocation, counted, note, size_of
from ctxmgr.cli.progress import Bar, can_be_shown
from ctxmgr.results import SyncProgress

if TYPE_CHECKING:
    from ctxmgr.service.copying.content import Progress

__all__ = ["admin"]

_BETWEEN_LINES = 1.0


@click.group(invoke_without_command=True)
@click.pass_context
def admin(ctx: click.Context) -> None:
    """Care for a service as a whole: copy it to other places."""
    help_unless_told(ctx)


def _url(option: str, variable: str, text: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    return click.option(
        option, metavar="URL", default=None, envvar=variable, callback=_given, help=f"{text} [{variable}]."
    )


def _given(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str:
    return "" if value is None else named(ctx, parameter, value)


_FOLDER = click.Path(readable=False)


@admin.command()
@click.option(
    "--from", "source", metavar="FOLDER", required=True, type=_FOLDER, callback=_given, help="The data folder to copy."
)
@_url("--from-catalog", "CTXMGR_FROM_CATALOG", "Where its catalog is, if not in the folder")
@_url("--from-store", "CTXMGR_FROM_STORE", "Where its content is, if not in the folder")
@click.option(
    "--to", "target", metavar="FOLDER", required=True, type=_FOLDER, callback=_given, help="The copy's data folder."
)
@_url("--to-catalog", "CTXMGR_TO_CATALOG", "Where the copy's catalog goes, if not into the folder")
@_url("--to-store", "CTXMGR_TO_STORE", "Where the copy's content goes, if not into the folder")
@telling
@answering
@click.pass_obj
def copy(
    invocation: Invocation,
    *,
    source: str,
    from_catalog: str,
    from_store: str,
    target: str,
    to_catalog: str,
    to_store: str,
) -> None:
    """Copy all that a service keeps to other places: from a data folder into PostgreSQL and S3, back, or any mix.

    Nothing may use the source meanwhile, and the target has to be empty. A copy that was interrupted goes on when the
    same command is run again; until it is complete, no service uses it.
    """
    if invocation.data is not None or invocation.endpoint is not None:
        raise click.UsageError("a copy has two places: give --from and --to instead of --data or --endpoint")
    with _observed(invocation) as observe:
        copied = copy_service(
            Location(source, from_catalog, from_store), Location(target, to_catalog, to_store), observe
        )
    content, rows = copied
    told = (
        f"{counted(rows['contexts'], 'context')} with {counted(rows['revisions'], 'revision')} and "
        f"{counted(rows['files'], 'version')} of files and folders, {counted(content.packs_total, 'pack')} "
        f"({size_of(content.bytes_total)})"
    )
    if content.stored < content.packs_total:
        told += f", of which {content.packs_total - content.stored} were there already"
    invocation.answer(
        [f"copied and checked: {told}"],
        packs=content.packs_total,
        bytes=content.bytes_total,
        stored_packs=content.stored,
        rows=rows,
    )


@contextmanager
def _observed(invocation: Invocation) -> Iterator[Callable[[Progress], None]]:
    """Show how far the copy is, as a bar on a terminal or in lines, where that is wanted."""
    lines = invocation.verbose and not invocation.json
    draws = not (invocation.json or invocation.quiet or lines) and can_be_shown()
    told = 0.0

    def observe(progress: Progress) -> None:
        nonlocal told
        status = SyncProgress(
            files_done=progress.packs_done,
            files_total=progress.packs_total,
            bytes_done=progress.bytes_done,
            bytes_total=progress.bytes_total,
        )
        if draws:
            bar.update(status)
        elif lines and (time.monotonic() - told > _BETWEEN_LINES or progress.packs_done == progress.packs_total):
            told = time.monotonic()
            note(bar.line(status))

    with Bar("copy", "the service", noun="pack") as bar:
        yield observe
