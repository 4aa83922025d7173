"""A node or its service is killed in the middle of a sync: nothing is torn, lost, stuck or untrue."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr import Client
from ctxmgr.engine.manifest.entries import is_temporary
from tests.support.aiming import MOMENTS, Marksman, Shot
from tests.support.scripted import PATIENCE, ScriptedServer

from .serving import Revived, environment_with
from .test_kill import Tree, grow, harvest, plant

KILLS = int(os.environ.get("CTXMGR_TEST_KILLS", "12"))
"""That hit a running task. More of them find rarer moments: give the variable a number."""
SEED = int(os.environ.get("CTXMGR_TEST_SEED", "1"))
KEY = "a-key-of-these-tests-that-nobody-guesses"
LEASE = "2"
SECOND_KILLS = 0.3
"""How many of the kills are followed by one in what recovers from it."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 20 * KILLS)]


class World:
    """A directory that is kept by processes that can be killed, at a service that can, and an independent client."""

    def __init__(self, folder: Path, service: Revived, proxy: str, marksman: Marksman) -> None:
        self.folder = folder
        self.directory, self.copy = folder / "directory", folder / "copy"
        self.directory.mkdir()
        self.service = service
        self.marksman = marksman
        self._proxy = proxy
        self._node: subprocess.Popen[bytes]

    def sync(self, mode: str) -> None:
        """Sync undisturbed."""
        assert self.disturb(mode, []), self.log()

    def disturb(self, mode: str, shots: list[Shot]) -> bool:
        """Sync, again where a node was killed before the last shot; return whether the last one said it is done."""
        self.marksman.aim(shots)
        while True:
            self._begin(mode)
            with self._node as process:
                status = process.wait(4 * PATIENCE)
            left = self.marksman.unspent
            if status != -signal.SIGKILL or not left:
                self.marksman.aim([])
                return status == 0

    def shot(self, number: int, moment: str, victim: str) -> Shot:
        """Return what kills the service, or the node of that moment."""
        return Shot(number, moment, victim, self.service.kill if victim == "service" else self._kill_node)

    def content(self) -> Tree:
        """Read the whole context, as nobody who was disturbed."""
        target = self.folder / "read" / uuid.uuid4().hex
        target.mkdir(parents=True)
        with Client(endpoint=self.service.address, api_key=KEY) as client:
            context = client.contexts.get("kept").context
            with client.sessions.create(target, {"/": context}).session:
                return harvest(target)

    def await_ends(self) -> None:
        """Wait until no task is under way any more."""
        deadline = time.monotonic() + PATIENCE
        with Client(endpoint=self.service.address, api_key=KEY) as client:
            for session in [client.session(found.session_id) for found in client.sessions.iter()]:
                tasks = [session.context.info()]
                while not all(task.is_terminal for task in tasks[-1].context_status_data):
                    assert time.monotonic() < deadline, f"a task is stuck: {tasks[-1]}"
                    tasks.append(session.context.info())

    def log(self) -> str:
        return (self.folder / "log").read_text() + self.service.log.read_text()

    def _begin(self, mode: str) -> None:
        # What asks for the first time, and finds nobody, is told so: no sync has begun by then.
        self.service.wait()
        directory = self.directory if mode == "upload" else self.copy
        command = [sys.executable, "-m", "ctxmgr", "sync", str(directory), "--context", "kept", "--mode", mode]
        home = {"CTXMGR_HOME": str(self.folder / "home"), "CTXMGR_API_KEY": KEY}
        environment = environment_with(CTXMGR_ENDPOINT=self._proxy, **home)
        with (self.folder / "log").open("ab") as log:
            self._node = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def _kill_node(self) -> None:
        self._node.kill()


@pytest.fixture
def world(tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home of the reader"))
    service = Revived(tmp_path / "data", "--lease", LEASE, CTXMGR_API_KEY=KEY)
    try:
        yield World(tmp_path, service, server.url, Marksman(server, service.port))
    finally:
        service.close()


def torn(copy: Tree, before: Tree, after: Tree) -> list[str]:
    """Return the files of a directory that are neither the earlier nor the later version, nor unfinished."""
    return [
        name
        for name, content in copy.items()
        if content not in (before.get(name), after.get(name)) and not is_temporary(os.fsencode(Path(name).name))
    ]


def test_kills_inside_running_tasks_leave_every_sync_true_and_every_context_whole(
    world: World, server: ScriptedServer
) -> None:
    noise = random.Random(SEED)
    before = grow(0)
    plant(before, world.directory)
    messages = {}
    for mode in ("upload", "download"):
        world.sync(mode)
        messages[mode] = world.marksman.messages
    told: Counter[str] = Counter()
    version = 0
    while world.marksman.hits < KILLS:
        version += 1
        mode = noise.choice(["upload", "download"])
        shots = [
            world.shot(noise.randint(1, messages[mode]), noise.choice(MOMENTS), noise.choice(["node", "service"]))
            for _ in range(1 + (noise.random() < SECOND_KILLS))
        ]
        said = (
            f"version {version}, after {world.marksman.hits} of {KILLS} kills: {mode}, {[shot[:3] for shot in shots]}"
        )
        after, copied = grow(version), harvest(world.copy)
        plant(after, world.directory)
        if mode == "download":
            world.sync("upload")
        done = world.disturb(mode, shots)
        told[f"{mode}, {'done' if done else 'not done'}"] += 1
        content = world.content()
        assert content in ((before, after) if mode == "upload" and not done else (after,)), said
        if mode == "download":
            assert not torn(harvest(world.copy), copied, after), said
            if not done:
                world.sync("download")
            assert harvest(world.copy) == after, said
        world.await_ends()
        before = content
        server.requests.clear()
    world.sync("upload")
    assert world.content() == harvest(world.directory)
    print(f"{world.marksman.hits} kills in {version} rounds: {dict(told)}")
