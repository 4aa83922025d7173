"""Runs ``ctxmgr attach`` as a process of its own, and reads what it tells."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.commandline import PATIENCE
from tests.integration.serving import environment_with

__all__ = ["Attached", "attaching"]


class Attached:
    """An attached directory, told of as JSON.

    Attributes:
        process: the command.
        session_id: known once ``next("attached")`` has returned.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.session_id = ""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors: queue.SimpleQueue[str] = queue.SimpleQueue()
        for stream, lines in ((process.stdout, self._lines), (process.stderr, self._errors)):
            threading.Thread(target=_read, args=(stream, lines), daemon=True).start()

    def next(self, event: str, **facts: object) -> dict[str, Any]:
        """Return the next event of a kind, passing over others.

        Args:
            facts: what it tells, too.
        """
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line, f"ended without {event}: {self._rest()}"
            told: dict[str, Any] = json.loads(line)
            if all(told.get(key) == value for key, value in {"event": event, **facts}.items()):
                self.session_id = told.get("session", self.session_id)
                return told

    def wait_for_complaint(self, text: str) -> None:
        """Read the standard error stream up to a line with that text."""
        while line := self._errors.get(timeout=PATIENCE):
            if text in line:
                return
        raise AssertionError(f"ended without complaining of {text!r}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return what it exits with."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def _rest(self) -> list[str]:
        self.process.wait(PATIENCE)
        rest = []
        while line := self._errors.get(timeout=PATIENCE):
            rest.append(line)
        return rest


def _read(stream: Any, lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


@contextmanager
def attaching(directory: Path, *arguments: str, home: Path, **environment: str) -> Iterator[Attached]:
    """Run it for the time of a ``with`` statement; it is killed at the end."""
    line = [sys.executable, "-m", "ctxmgr", "attach", str(directory), "--json", *arguments]
    environ: Mapping[str, str] = environment_with(CTXMGR_HOME=str(home), **environment)
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=environ, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Attached(process)
        finally:
            process.kill()
