"""Three ``ctxmgr serve`` over one PostgreSQL and one S3 store, where each request comes to any of them."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import pytest

from ctxmgr import Client, Session
from ctxmgr.nodewire import CALLS
from ctxmgr.service.api.registry import ACTIONS
from tests.support.forward import forward
from tests.support.keeping import Elsewhere
from tests.support.scripted import PATIENCE, Raw, Recorded, ScriptedServer
from tests.support.servers import Database

from .asking import until
from .test_scale import elsewhere as elsewhere
from .test_scale import made_key, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 20
SERVERS = 3
NODES = 4
ROUNDS = 6
MANY, LARGE = 7_000, 3_000_000
"""Files whose names take more than one message, and bytes that do."""
CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE application_name = 'ctxmgr notifications' AND datname = current_database()"
)


class Balancer:
    """Hands each request on to any of several servers; of those of one action, each soon has one.

    Attributes:
        url: where it listens.
        seen: what each server was asked.
    """

    def __init__(self, server: ScriptedServer, behind: list[str]) -> None:
        self.url = server.url
        self.seen: dict[str, set[str]] = defaultdict(set)
        self._behind = behind
        self._random = random.Random(SEED)
        self._next: dict[str, list[str]] = defaultdict(list)
        self._guard = threading.Lock()
        for action in (*ACTIONS, *(f"/node/{call}" for call in CALLS), "GET", "PUT", "POST"):
            server.script(action, self._hand_on)

    def _hand_on(self, request: Recorded) -> Raw:
        with self._guard:
            coming = self._next[request.action]
            if not coming:
                coming += self._random.sample(self._behind, len(self._behind))
            chosen = coming.pop()
            self.seen[chosen].add(request.action)
        return forward(chosen, request)


class Several:
    """The servers, what is before them, and what they share."""

    def __init__(self, stack: ExitStack, folder: Path, elsewhere: Elsewhere, database: Database) -> None:
        self.database = database
        self.key = made_key(folder / "server-0", elsewhere)
        servers = [served(stack, folder / f"server-{number}", elsewhere) for number in range(SERVERS)]
        self.behind = [urlsplit(server.address).netloc for server in servers]
        self.balancer = Balancer(stack.enter_context(ScriptedServer()), self.behind)
        self._stack = stack

    def client(self) -> Client:
        return self._stack.enter_context(Client(endpoint=self.balancer.url, api_key=self.key))

    def session_at(self, folder: Path, context: str) -> Session:
        folder.mkdir()
        client = self.client()
        bound = client.contexts.get(context, create=True).raise_for_error().context
        return client.sessions.create(folder, {"/": bound}).raise_for_error().session

    def cut(self) -> None:
        """Cut what the servers hear each other by."""
        with self.database.connect() as connection:
            assert connection.execute(CUT).fetchone() == (SERVERS,)

    def count(self, rows: str) -> int:
        with self.database.connect() as connection:
            (found,) = connection.execute(f"SELECT count(*) FROM {rows}".encode()).fetchone() or (0,)
            return int(found)


@pytest.fixture
def several(
    tmp_path: Path, elsewhere: Elsewhere, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Several]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:
        yield Several(stack, tmp_path, elsewhere, database)


def held(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_nodes_and_clients_may_ask_any_server_for_anything(several: Several, tmp_path: Path) -> None:
    noise = random.Random(SEED)
    folders = [tmp_path / f"directory-{number}" for number in range(NODES)]
    sessions = [several.session_at(folder, folder.name) for folder in folders]
    others = [several.client().session(session.session_id) for session in sessions]

    def keep(number: int) -> None:
        folder, here, there = folders[number], sessions[number], others[number]
        for name in range(ROUNDS):
            (folder / f"{name % 4}").write_text(f"{number} {name}")
            plan = there.context.plan().raise_for_error()
            assert [change.path for change in plan.changes] == [f"{name % 4}"]
            if name % 3 == 0:
                assert here.context.sync().raise_for_error().files == 1
            elif name % 3 == 1:
                assert there.context.sync().raise_for_error().files == 1
            else:
                called: Queue[bool] = Queue()
                there.context.sync(callback=called.put)
                assert called.get(timeout=PATIENCE)
            if name == ROUNDS // 2 and number == 0:
                several.cut()

    def give_up(number: int) -> None:
        """Ask for a sync, and wait for it no more."""
        called: Queue[bool] = Queue()
        client = several.client()
        client.session(sessions[number].session_id).context.sync(callback=called.put)
        client.close()
        called.get(timeout=PATIENCE)

    with ThreadPoolExecutor(NODES) as threads:
        list(threads.map(keep, range(NODES)))
        list(threads.map(give_up, range(NODES)))
    for number in range(MANY):
        (folders[0] / f"{number}-{noise.randbytes(80).hex()}").write_bytes(b"")
    (folders[1] / "large").write_bytes(noise.randbytes(LARGE))
    for session in sessions:
        session.context.sync().raise_for_error()

    for folder in folders:
        restored = tmp_path / f"{folder.name}-restored"
        several.session_at(restored, folder.name)
        assert held(restored) == held(folder)
    until(lambda: several.count("tasks WHERE finished_ms IS NULL") == 0)
    assert several.count("tasks WHERE status <> 'Success'") == 0
    assert several.count("questions") == 0
    calls = ("/node/take", "/node/start", "/node/commit", "/node/stage", "/node/answer", "PlanSync", "GetContextInfo")
    for server in several.behind:
        assert several.balancer.seen[server] >= set(calls)
