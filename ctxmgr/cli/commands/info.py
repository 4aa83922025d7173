"""``ctxmgr info``: show which contexts are kept for a directory, and how their last syncs went."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ctxmgr.cli.clients import existing_client
from ctxmgr.cli.options import answering, named, places
from ctxmgr.cli.output import Failure, Invocation, counted, moment, one_line, shown, size_of
from ctxmgr.cli.report import conflict_lines, sync_facts
from ctxmgr.cli.sessions import MOUNT, sessions_of
from ctxmgr.errors import NotFoundError

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.results import ContextStatusData

__all__ = ["info"]

_MODES = ("upload", "download")
_Tasks = dict[str, "ContextStatusData"]


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(readable=False), callback=named)
@answering
@places
@click.pass_obj
def info(invocation: Invocation, directory: str) -> None:
    """Show the last uploads and downloads of DIR."""
    real = os.path.realpath(directory)
    invocation.facts |= {"directory": real, "contexts": []}
    with existing_client(invocation) as client:
        found = _kept(client, real) if client is not None else []
    if not found:
        place = shown(directory)
        raise Failure(f"no context is kept for {place}: run 'ctxmgr sync {place} --context NAME'")
    lines = [line for name, _, tasks in found for line in _lines(invocation, name, tasks)]
    invocation.answer(lines, contexts=[_facts(name, context_id, tasks) for name, context_id, tasks in found])


def _kept(client: Client, directory: str) -> list[tuple[str, str, _Tasks]]:
    """Return name, id and last tasks of each context that exists still, by name."""
    by_context: dict[str, _Tasks] = {}
    for session in sessions_of(client, directory):
        for task in session.context.info().raise_for_error().context_status_data:
            tasks = by_context.setdefault(task.context_id, {})
            other = tasks.get(task.task_type)
            if task.path == MOUNT and (other is None or _age(task) >= _age(other)):
                tasks[task.task_type] = task
    named = [(_name(client, context_id), context_id, tasks) for context_id, tasks in by_context.items()]
    return sorted((name, context_id, tasks) for name, context_id, tasks in named if name is not None)


def _age(task: ContextStatusData) -> tuple[bool, int]:
    return not task.is_terminal, task.start_time


def _name(client: Client, context_id: str) -> str | None:
    try:
        return client.contexts.get(context_id=context_id).context.name
    except NotFoundError:
        return None


def _lines(invocation: Invocation, name: str, tasks: _Tasks) -> Iterator[str]:
    yield shown(name)
    for mode in _MODES:
        task = tasks.get(mode)
        yield f"  last {mode}: {_told(task) if task is not None else 'never'}"
        if task is None:
            continue
        for path, reason in task.skipped:
            yield f"    skipped {shown(path)}: {one_line(reason)}"
        for line in conflict_lines(invocation, name, task.conflicts, task.conflicts_total):
            yield f"    {line}"


def _told(task: ContextStatusData) -> str:
    if not task.is_terminal:
        begun = f"since {moment(task.start_time)}" if task.start_time else "not begun"
        return f"{task.status}, {begun}, {counted(task.files_done, 'file')} so far ({size_of(task.bytes_done)})"
    ended = f"{task.status}, {moment(task.finish_time)}"
    if task.status != "Success":
        return f"{ended}: {one_line(task.error_message) or 'the service gave no reason'}"
    did = "nothing to do" if task.nothing_to_sync else f"{counted(task.files, 'file')} ({size_of(task.bytes)})"
    deleted = f", deleted {task.deleted}" if task.deleted else ""
    return f"{ended}: {did}{deleted}" + (f"; revision {task.revision}" if task.revision else "")


def _facts(name: str, context_id: str, tasks: _Tasks) -> dict[str, Any]:
    return {"context": name, "id": context_id, **{mode: _task(tasks.get(mode)) for mode in _MODES}}


def _task(task: ContextStatusData | None) -> dict[str, Any] | None:
    if task is None:
        return None
    return {
        "status": task.status,
        "error": task.error_message or None,
        "start_time": moment(task.start_time),
        "finish_time": moment(task.finish_time),
        **sync_facts(task),
    }
