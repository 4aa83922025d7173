"""Runs ``ctxmgr serve`` in a process of its own, to be asked, stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.scripted import PATIENCE

__all__ = ["Revived", "Serving", "environment_with", "serve_command", "serving"]

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


class Revived:
    """A server that is started again, at the same address, as soon as it is killed.

    Attributes:
        port: where it listens.
        up: whether it does so now.
        kills: how often it was killed.
        log: what it wrote.
    """

    def __init__(self, folder: Path, *arguments: str | Path, insists: bool = False, **environment: str) -> None:
        """Run a server of a data folder, as `serving` does.

        Args:
            insists: start it again also where it refuses to start, as a supervisor does while a database is away.
        """
        self._insists = insists
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self.up = threading.Event()
        self.kills = 0
        self.log = Path(f"{folder}.log")
        self._command = serve_command(folder, *arguments, port=self.port)
        self._environment = environment_with(**environment)
        self._process: subprocess.Popen[str]
        self._closing = False
        self._begin()
        self._thread = threading.Thread(target=self._keep, name="revival")
        self._thread.start()

    @property
    def address(self) -> str:
        self.wait()
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Wait until it answers."""
        assert self.up.wait(PATIENCE), self.log.read_text()

    def kill(self) -> None:
        """Kill it, also while it starts."""
        self.up.clear()
        self.kills += 1
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._closing = True
        self._process.kill()
        self._thread.join()

    def _begin(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def _keep(self) -> None:
        while True:
            with self._process as process:
                assert process.stdout is not None
                if process.stdout.readline().strip():
                    self.up.set()
                process.wait()
            self.up.clear()
            if self._closing or not (self._insists or process.returncode == -signal.SIGKILL):
                return
            self._begin()


def serve_command(folder: Path, *arguments: str | Path, port: int = 0) -> list[str]:
    """Return the command that serves a data folder."""
    command = [sys.executable, "-m", "ctxmgr", "serve", "--data", str(folder), "--port", str(port)]
    return [*command, *map(str, arguments)]


def environment_with(**more: str) -> dict[str, str]:
    """Return this process's environment, with the package found wherever the command is run."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}
