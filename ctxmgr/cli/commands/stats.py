"""``ctxmgr stats``: how much is stored, by context and in all."""

from __future__ import annotations

import attrs
import click

from ctxmgr.cli.clients import existing_client
from ctxmgr.cli.options import answering, places
from ctxmgr.cli.output import Invocation, counted, note, shown, size_of
from ctxmgr.results import ContextStats, StoreStatsResult

__all__ = ["stats"]


@click.command()
@answering
@places
@click.pass_obj
def stats(invocation: Invocation) -> None:
    """Show how much is stored, and how much room that saves."""
    with existing_client(invocation) as client:
        found = client.store.stats().raise_for_error() if client is not None else StoreStatsResult(success=True)
    if not found.contexts and not invocation.json:
        note("no contexts yet: 'ctxmgr sync DIR --context NAME' makes one")
    lines = [_line(each) for each in found.contexts]
    if found.contexts or found.loose_bytes:
        lines.append(
            f"in all: {counted(len(found.contexts), 'context')}, {counted(found.revisions, 'revision')}, "
            f"{counted(found.files, 'file')} ({size_of(found.bytes)}); "
            f"{size_of(found.history_bytes)} with all versions, stored in {size_of(found.stored_bytes)}: "
            f"deduplication saves {size_of(found.saved_by_dedup)}, compression {size_of(found.saved_by_compression)}"
        )
    if found.loose_bytes:
        lines.append(f"{size_of(found.loose_bytes)} belong to nothing that is kept: 'ctxmgr prune' gives them back")
    invocation.answer(
        lines,
        contexts=[_facts(each) for each in found.contexts],
        revisions=found.revisions,
        files=found.files,
        bytes=found.bytes,
        history_bytes=found.history_bytes,
        unique_bytes=found.unique_bytes,
        stored_bytes=found.stored_bytes,
        loose_bytes=found.loose_bytes,
        saved_by_dedup=found.saved_by_dedup,
        saved_by_compression=found.saved_by_compression,
    )


def _line(each: ContextStats) -> str:
    return (
        f"{shown(each.name)}: {counted(each.revisions, 'revision')}, {counted(each.files, 'file')} "
        f"({size_of(each.bytes)}); {size_of(each.history_bytes)} with all versions, "
        f"stored in {size_of(each.stored_bytes)}"
    )


def _facts(each: ContextStats) -> dict[str, object]:
    return {**attrs.asdict(each, recurse=False), "retention": each.retention.wire()}
