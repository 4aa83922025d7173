"""Runs ``ctxmgr serve`` in a process of its own, to be asked, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "a-key-of-these-tests-that-nobody-guesses"


class Served:
    """A server that runs.

    Attributes:
        address: where it says that it listens.
    """

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def served(data: Path, *options: str | Path, port: int = 0) -> Iterator[Served]:
    """Run a server for the time of a ``with`` statement; ``KEY`` opens its account local.

    Its log is beside the data folder, with the suffix ``.log``.
    """
    command = [sys.executable, "-c", "import sys; from ctxmgr.cli import main; sys.exit(main())"]
    command += ["serve", "--data", str(data), "--port", str(port), *map(str, options)]
    environment = {**os.environ, "CTXMGR_API_KEY": KEY}
    with (
        open(f"{data}.log", "a") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, Path(f"{data}.log").read_text()
            yield Served(process, address)
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
