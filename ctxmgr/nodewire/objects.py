"""The engine's objects as messages, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Final

from ctxmgr.engine.manifest.entries import Manifest
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.engine.sync.conflicts import Conflicts
from ctxmgr.engine.sync.options import options_of
from ctxmgr.engine.sync.outcome import Preview
from ctxmgr.engine.sync.task import Outcome, Progress, Task

from .sessions import PlannedChange, PlannedPart, TaskMessage
from .tasks import OutcomeMessage, RowBlock

__all__ = ["blocks_of", "outcome_message", "outcome_of", "planned_part", "task_message", "task_of"]

BLOCK_PATHS: Final = 2_000
BLOCK_CHUNKS: Final = 20_000


def task_message(task: Task) -> TaskMessage:
    """Return what a node is told of a task."""
    told = task.conflicts.values()
    return TaskMessage(
        task.id,
        task.session_id,
        task.context_id,
        task.mount,
        task.path,
        task.mode,
        task.delete,
        task.discard,
        told["conflicts"],
        told["conflicts_total"],
        task.options.text(),
    )


def task_of(message: TaskMessage, node_id: str) -> Task:
    """Return the task that a node was told."""
    return Task(
        message.id,
        message.session,
        message.context,
        message.mount,
        message.path,
        message.mode,
        message.delete,
        node_id=node_id,
        discard=message.discard,
        conflicts=Conflicts(message.conflicts, message.conflicts_total),
        options=options_of(message.options),
    )


def outcome_message(outcome: Outcome) -> OutcomeMessage:
    """Return what a task came to; its conflicts stand in the commit itself."""
    return OutcomeMessage(
        outcome.revision,
        outcome.files,
        outcome.deleted,
        outcome.bytes,
        outcome.unchanged,
        outcome.skipped,
        outcome.nothing_to_sync,
        outcome.kept_local,
        **asdict(outcome.progress),
    )


def outcome_of(message: OutcomeMessage, conflicts: Conflicts) -> Outcome:
    """Return what a task came to, as its node tells it."""
    return Outcome(
        message.revision,
        message.files,
        message.deleted,
        message.bytes,
        message.unchanged,
        message.skipped,
        message.nothing_to_sync,
        Progress(message.files_total, message.files_done, message.bytes_total, message.bytes_done),
        message.kept_local,
        conflicts,
    )


def blocks_of(changes: Sequence[RowChange]) -> Iterator[RowBlock]:
    """Return changes in blocks that are small enough to be read one by one; every change has one at least."""
    for number, change in enumerate(changes):
        # In order, what lies above a path mostly stands in its own block.
        put, drop = iter(sorted(change.put)), iter(change.drop)
        first = True
        while True:
            put_now = _some(change.put, put)
            drop_now = list(islice(drop, BLOCK_PATHS - len(put_now)))
            if not (put_now or drop_now or first):
                break
            first = False
            current = [path for path in (*put_now, *drop_now) if path in change.current]
            yield RowBlock(
                number,
                change.mount,
                [(path, change.put[path]) for path in put_now],
                drop_now,
                current,
                change.note,
                change.workspace,
            )


def planned_part(preview: Preview) -> PlannedPart:
    """Return what a sync of one binding would do."""
    planned = preview.plan
    conflicts = set(planned.conflicts)
    moved: Manifest = {**planned.put, **planned.write}
    actions = dict.fromkeys(planned.drop, "drop") | dict.fromkeys(planned.remove, "remove")
    actions |= dict.fromkeys(planned.put, "put") | dict.fromkeys(planned.write, "write")
    changes = [
        PlannedChange(
            path,
            "conflict" if path in conflicts else action,
            moved[path].size if path in moved else 0,
            moved[path].kind if path in moved else "",
        )
        for path, action in sorted(actions.items())
    ]
    return PlannedPart(
        changes,
        planned.unchanged,
        len(planned.kept),
        json.dumps(preview.skipped),
        json.dumps([asdict(each) for each in preview.conflicts]),
        json.dumps([asdict(each) for each in preview.excluded]),
        preview.refusal,
    )


def _some(entries: Manifest, paths: Iterator[bytes]) -> list[bytes]:
    """Return the next paths, fewer where their entries have many chunks."""
    found: list[bytes] = []
    chunks = 0
    while len(found) < BLOCK_PATHS and chunks < BLOCK_CHUNKS and (path := next(paths, None)) is not None:
        found.append(path)
        chunks += len(entries[path].chunks)
    return found
