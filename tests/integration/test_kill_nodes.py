"""A node or its service is killed in the middle of a sync: nothing is torn, lost, stuck or untrue."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ctxmgr import Client
from tests.support.scripted import PATIENCE

from .serving import Serving, environment_with, serving
from .test_kill import Tree, grow, harvest, plant

KILLS = int(os.environ.get("CTXMGR_TEST_KILLS", "12"))
"""More of them find rarer moments: give the variable a number."""
SEED = int(os.environ.get("CTXMGR_TEST_SEED", "1"))
KEY = "a-key-of-these-tests-that-nobody-guesses"
LEASE = "2"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 20 * KILLS)]


class World:
    """A service that can be killed, a directory that is kept there by processes that can, and an independent client."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.folder = folder
        self.directory, self.copy = folder / "directory", folder / "copy"
        self.directory.mkdir()
        self._opened = opened
        self._port = 0
        self.server: Serving
        self.start()

    def start(self) -> None:
        """Have the service run, at the address that it had before."""
        run = serving(self.folder / "data", "--lease", LEASE, port=self._port, CTXMGR_API_KEY=KEY)
        self.server = self._opened.enter_context(run)
        self._port = int(urlsplit(self.server.address).port or 0)

    def begin(self, mode: str) -> subprocess.Popen[bytes]:
        """Begin a sync in a process of its own."""
        directory = self.directory if mode == "upload" else self.copy
        command = [sys.executable, "-m", "ctxmgr", "sync", str(directory), "--context", "kept", "--mode", mode]
        home = {"CTXMGR_HOME": str(self.folder / "home"), "CTXMGR_API_KEY": KEY}
        environment = environment_with(CTXMGR_ENDPOINT=self.server.address, **home)
        log = (self.folder / "log").open("ab")
        with log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def sync(self, mode: str) -> float:
        """Sync undisturbed; return how many seconds that took."""
        begun = time.monotonic()
        assert self.begin(mode).wait() == 0, (self.folder / "log").read_text()
        return time.monotonic() - begun

    def disturb(self, mode: str, victim: str, delay: float) -> tuple[bool, bool]:
        """Begin a sync and kill it or the service after a moment; return whether it was in time, and is done."""
        in_time = False
        with self.begin(mode) as process:
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                in_time = True
                if victim == "node":
                    process.kill()
                else:
                    self.server.end(signal.SIGKILL)
                    self.start()
            return in_time, process.wait() == 0

    def content(self) -> Tree:
        """Read the whole context, as nobody who was disturbed."""
        target = self.folder / "read" / uuid.uuid4().hex
        target.mkdir(parents=True)
        with Client(endpoint=self.server.address, api_key=KEY) as client:
            context = client.contexts.get("kept").context
            with client.sessions.create(target, {"/": context}).session:
                return harvest(target)

    def await_ends(self) -> None:
        """Wait until no task is under way any more."""
        deadline = time.monotonic() + PATIENCE
        with Client(endpoint=self.server.address, api_key=KEY) as client:
            for session in [client.session(found.session_id) for found in client.sessions.iter()]:
                tasks = [session.context.info()]
                while not all(task.is_terminal for task in tasks[-1].context_status_data):
                    assert time.monotonic() < deadline, f"a task is stuck: {tasks[-1]}"
                    tasks.append(session.context.info())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home of the reader"))
    with ExitStack() as opened:
        yield World(tmp_path, opened)


def test_kills_at_random_moments_leave_every_sync_true_and_every_context_whole(world: World) -> None:
    noise = random.Random(SEED)
    before = grow(0)
    plant(before, world.directory)
    seconds = {"upload": world.sync("upload"), "download": world.sync("download")}
    killed = version = 0
    while killed < KILLS:
        version += 1
        mode, victim = noise.choice(["upload", "download"]), noise.choice(["node", "service"])
        said = f"version {version}, after {killed} of {KILLS} kills: {victim} during {mode}"
        after = grow(version)
        plant(after, world.directory)
        if mode == "download":
            world.sync("upload")
        in_time, done = world.disturb(mode, victim, noise.uniform(0, 1.2) * seconds[mode])
        killed += in_time
        content = world.content()
        assert content in ((before, after) if mode == "upload" and not done else (after,)), said
        if mode == "download":
            if not done:
                world.sync("download")
            assert harvest(world.copy) == after, said
        world.await_ends()
        before = content
    world.sync("upload")
    assert world.content() == harvest(world.directory)
