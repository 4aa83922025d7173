"""Runs ``ctxmgr serve`` in a process of its own, to be asked, stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.scripted import PATIENCE

__all__ = ["Serving", "environment_with", "serve_command", "serving"]

REPOSITORY = Path(__file__).parents[2]


class Serving:
    """A server that runs.

    Attributes:
        address: where it says that it listens.
    """

    def __init__(self, process: subprocess.Popen[str], address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return what it exits with; SIGKILL ends it as a power cut would."""
        self.process.send_signal(number)
        return self.process.wait(2 * PATIENCE)

    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def serving(
    folder: Path, *arguments: str | Path, port: int = 0, by: Sequence[str] = (), **environment: str
) -> Iterator[Serving]:
    """Run a server of a data folder for the time of a ``with`` statement; it is killed at the end.

    Args:
        by: a command that runs it, and is it then.
    """
    log = Path(f"{folder}.log")
    with (
        log.open("a") as errors,
        subprocess.Popen(
            [*by, *serve_command(folder, *arguments, port=port)],
            env=environment_with(**environment),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, log.read_text()
            yield Serving(process, address, log)
        finally:
            process.kill()


def serve_command(folder: Path, *arguments: str | Path, port: int = 0) -> list[str]:
    """Return the command that serves a data folder."""
    command = [sys.executable, "-m", "ctxmgr", "serve", "--data", str(folder), "--port", str(port)]
    return [*command, *map(str, arguments)]


def environment_with(**more: str) -> dict[str, str]:
    """Return this process's environment, with the package found wherever the command is run."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}
