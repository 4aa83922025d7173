"""The progress bar of a sync, on a terminal only."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from ctxmgr.results import ContextStatusData

from .wording import counted, shown, size_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar", "can_be_shown"]


def can_be_shown() -> bool:
    """Whether a terminal is there that can draw a bar."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


class Bar:
    """A bar on the standard error stream that leaves nothing behind: how it ended is told by the answer.

    Args:
        mode: ``upload`` or ``download``.
        name: the context's name.
    """

    def __init__(self, mode: str, name: str) -> None:
        self._verb = "Uploading" if mode == "upload" else "Downloading"
        self._name = shown(name)
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def update(self, status: ContextStatusData | None) -> None:
        """Draw what the service tells of the task; nothing yet, while it tells nothing."""
        progress, task = self._drawn()
        if status is None or not status.files_total:
            seen = status.files_done if status is not None else 0
            detail = f"{counted(seen, 'file')} read, {size_of(status.bytes_done)}" if status and seen else ""
            progress.update(task, description=f"Looking for changes: {self._name}", total=None, detail=detail)
            return
        done, total = status.files_done, status.files_total
        detail = f"{done}/{counted(total, 'file')}, {size_of(status.bytes_done)} of {size_of(status.bytes_total)}"
        # What travelled is not kept before the service has recorded it, so a full bar must not say that it is done.
        verb = "Finishing:" if done >= total else self._verb
        # Files count beside bytes, so that empty ones move the bar too, and it is full only when all is done.
        progress.update(
            task,
            description=f"{verb} {self._name}",
            completed=status.bytes_done + done,
            total=status.bytes_total + total,
            detail=detail,
        )

    def _drawn(self) -> tuple[Progress, TaskID]:
        if self._progress is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn())
            told = TextColumn("{task.fields[detail]}", markup=False)
            self._progress = Progress(*columns, told, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(f"Looking for changes: {self._name}", total=None, detail="")
            self._progress.start()
        return self._progress, self._task

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
