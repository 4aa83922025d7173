"""Several service processes over one PostgreSQL and one S3 store, and what can happen to them."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.faultyline import FaultyLine
from tests.support.keeping import Elsewhere
from tests.support.servers import PostgreSQLServer, SeaweedServer, postgresql, seaweedfs

from .serving import Revived
from .test_scale import made_key

__all__ = ["Fleet"]

LEASE = "5"
IDLE_SECONDS = 10.0
ONE_IN = 30


class Fleet:
    """The processes, the parts that they share, and a line to them that delays and cuts connections.

    Attributes:
        database, store: the parts.
        places: how a process is told of them.
        processes: each is started again when it is killed.
        key: opens them all.
        line: leads each new connection to any of them.
    """

    def __init__(
        self, stack: ExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch, *, size: int, seed: int
    ) -> None:
        self.database: PostgreSQLServer = stack.enter_context(postgresql())
        self.store: SeaweedServer = stack.enter_context(seaweedfs())
        for name, value in self.store.environment.items():
            monkeypatch.setenv(name, value)
        self.places = Elsewhere(catalog=self.database.database().url, store="s3://ctxmgr/fleet")
        self.key = made_key(folder / "process-0", self.places)
        self._random = random.Random(seed)
        environment = {f"CTXMGR_{name.upper()}": str(value) for name, value in self.places.items()}
        self.processes = [
            Revived(folder / f"process-{number}", "--lease", LEASE, insists=True, **environment)
            for number in range(size)
        ]
        for process in self.processes:
            stack.callback(process.close)
        self.line = stack.enter_context(
            FaultyLine(
                lambda: self._random.choice(self.processes).port,
                one_in=ONE_IN,
                idle_seconds=IDLE_SECONDS,
                seed=seed,
                kinds=("cut", "delay"),
            )
        )

    def wait_until_up(self) -> None:
        for process in self.processes:
            process.wait()

    def kill_one(self) -> None:
        """Kill a process."""
        self._random.choice(self.processes).kill()

    def restart_database(self) -> None:
        self.database.stop()
        self.database.start()
