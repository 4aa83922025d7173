"""``ctxmgr check``: whether all that is stored is whole, and what is not."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import click

from ctxmgr.cli.clients import existing_client
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Failure, Invocation, counted, note, one_line, shown
from ctxmgr.results import AffectedFile, StoreCheckResult

__all__ = ["check"]

_SHOWN = 100


@click.command()
@click.option("--read-data", is_flag=True, help="Read every byte too, and compare it with its digest.")
@click.option(
    "--repair", is_flag=True, help="Have the next sync of a directory that still has damaged content store it again."
)
@answering
@places
@click.pass_obj
def check(invocation: Invocation, read_data: bool, repair: bool) -> None:
    """Check that all that is stored is whole; name what is not.

    Safe while others use the data folder.
    """
    with existing_client(invocation) as client:
        if client is None:
            found = StoreCheckResult(success=True)
        else:
            found = client.store.check(read_data=read_data, repair=repair)
    if not found.damages_total:
        found.raise_for_error()
    invocation.facts |= attrs.asdict(found, filter=lambda field, _: field.name not in ("success", "error_message"))
    if found.damages_total:
        for line in _details(found):
            note(line)
        raise Failure(_sentence(found, repair=repair))
    how = "every byte was read" if read_data else "--read-data reads every byte too"
    seen = (
        f"{counted(found.packs, 'pack')}, {counted(found.chunks, 'chunk')}, {counted(found.files, 'version')} of files "
        f"and {counted(found.revisions, 'revision')}"
    )
    invocation.answer([f"all is whole: {seen} ({how})"])


def _details(found: StoreCheckResult) -> Iterator[str]:
    for damage in found.damages[:_SHOWN]:
        yield f"{damage.kind} {shown(damage.name)}: {one_line(damage.problem)}"
    if found.damages_total > _SHOWN:
        yield f"and {counted(found.damages_total - _SHOWN, 'damage')} more: --json lists 10,000"
    for file in found.affected[:_SHOWN]:
        yield f"can't be read: {shown(file.path)} in {shown(file.context_name)}, {_revisions(file)}"
    if found.affected_total > _SHOWN:
        yield f"and {counted(found.affected_total - _SHOWN, 'version')} of files more: --json lists 10,000"


def _revisions(file: AffectedFile) -> str:
    if not file.last_revision:
        return f"revision {file.first_revision} and later"
    if file.first_revision == file.last_revision:
        return f"revision {file.first_revision}"
    return f"revisions {file.first_revision} to {file.last_revision}"


def _sentence(found: StoreCheckResult, *, repair: bool) -> str:
    what = (
        f"{counted(found.damages_total, 'damage')}, {counted(found.affected_total, 'version')} of files can't be read"
    )
    if repair:
        return (
            f"{what}; {counted(found.repaired, 'chunk')} were taken out of the index: sync the directories that still "
            "have these files, and check again; what no directory has is lost unless a backup has it"
        )
    return f"{what}: --repair has the next sync store again what a directory still has"
