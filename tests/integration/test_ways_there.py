"""What may stand between a node and its service, and damage, cut, bound or encrypt what travels: no sync is untrue."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import attrs
import pytest
import trustme

from ctxmgr import Client, ContextSyncResult, CtxmgrError, Session, SessionResult, nodewire, retry
from ctxmgr.node import content, door
from ctxmgr.service.api.registry import ACTIONS
from ctxmgr.testing import Service, serve
from tests.support.faultyline import FaultyLine
from tests.support.forward import flipped, forward
from tests.support.scripted import Dropped, Raw, Recorded, ScriptedServer

SYNCS = int(os.environ.get("CTXMGR_TEST_SYNCS", "20"))
"""In each direction, through each way that damages: more of them find rarer cases."""
SEED = int(os.environ.get("CTXMGR_TEST_SEED", "1"))
ATTEMPTS = 50
MIB = 1 << 20
LEASE = 6.0
IDLE = 3.0

_Result = TypeVar("_Result", ContextSyncResult, SessionResult)
Way = Callable[[Service], str]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))


@pytest.fixture
def service() -> Iterator[Service]:
    with serve(lease=LEASE) as service:
        yield service


class Passage:
    """Hands on what comes to a scripted server."""

    def __init__(self, service: Service, server: ScriptedServer) -> None:
        self._behind = urlsplit(service.endpoint).netloc
        for action in ACTIONS:
            server.script(action, self._handed_on)
        for call in nodewire.CALLS:
            server.script(f"/node/{call}", self._told)

    def _told(self, request: Recorded) -> Raw | Dropped:
        """Hand on a message of a node."""
        return self._handed_on(request)

    def _handed_on(self, request: Recorded) -> Raw:
        return forward(self._behind, request)


class MessageDamage(Passage):
    """Loses, cuts or damages every few messages of nodes, either way.

    Attributes:
        done: how many.
    """

    def __init__(self, service: Service, server: ScriptedServer) -> None:
        super().__init__(service, server)
        self._random = random.Random(SEED)
        self.done = 0

    def _told(self, request: Recorded) -> Raw | Dropped:
        how = self._random.choice(["ask", "answer", "lose the question", "lose the answer", *[""] * 12])
        self.done += bool(how)
        if how == "lose the question":
            return Dropped()
        answer = self._handed_on(attrs.evolve(request, body=self._flipped(request.body, how == "ask")))
        if how == "lose the answer":
            return Dropped(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + answer.body[:500])
        return attrs.evolve(answer, body=self._flipped(answer.body, how == "answer"))

    def _flipped(self, content: bytes, flips: bool) -> bytes:
        return flipped(content, self._random) if flips and content else content


class LimitingPassage(Passage):
    """Refuses bodies of more than 1 MiB, as nginx does, and cuts answers that are as large as a slow line's may not be.

    Attributes:
        largest: the largest body that came.
        cut: how many answers were cut.
    """

    def __init__(self, service: Service, server: ScriptedServer) -> None:
        super().__init__(service, server)
        self.largest = self.cut = 0

    def _told(self, request: Recorded) -> Raw | Dropped:
        self.largest = max(self.largest, len(request.body))
        if len(request.body) > MIB:
            return Raw(b"<h1>413 Request Entity Too Large</h1>", 413, {"Content-Type": "text/html"})
        answer = self._handed_on(request)
        if len(answer.body) <= MIB:
            return answer
        self.cut += 1
        return Dropped(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer.body), answer.body[:MIB]))


@pytest.fixture(params=["messages", "line"])
def faulty(request: pytest.FixtureRequest, service: Service, server: ScriptedServer) -> Iterator[tuple[str, object]]:
    """Where a client reaches the service by a way that damages: the URL, and what counts the faults."""
    if request.param == "messages":
        damage = MessageDamage(service, server)
        yield server.url, lambda: damage.done
        return
    port = urlsplit(service.endpoint).port or 0
    with FaultyLine(lambda: port, one_in=30, idle_seconds=IDLE, seed=SEED) as line:
        yield line.url, lambda: sum(line.faults.values())
        print(line.faults)


class Insistence:
    """Does things until they succeed.

    Attributes:
        failures: what was told of those that did not.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    def __call__(self, do: Callable[[], _Result]) -> _Result:
        for _ in range(ATTEMPTS):
            try:
                result = do()
            except CtxmgrError as error:
                self.failures.append(str(error))
                continue
            if result.success:
                return result
            self.failures.append(result.error_message)
        raise AssertionError(f"{ATTEMPTS} times in vain: {self.failures[-ATTEMPTS:]}")


def session_at(client: Client, folder: Path) -> Session:
    return client.sessions.create(folder, {"/": client.contexts.get("project", create=True).context}).session


def held(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * SYNCS)
def test_a_way_that_cuts_holds_back_and_damages_costs_time_alone(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faulty: tuple[str, Callable[[], int]]
) -> None:
    url, faults = faulty
    monkeypatch.setattr(door, "_LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(retry, "_BASE", 0.002)
    noise = random.Random(SEED)
    insist = Insistence()
    here, there = tmp_path / "here", tmp_path / "there"
    with ExitStack() as opened:
        direct = opened.enter_context(service.client())
        project = direct.contexts.create("project").context
        clients = [opened.enter_context(Client(endpoint=url, api_key=service.api_key)) for _ in range(2)]
        here.mkdir()
        there.mkdir()
        sender = insist(lambda: clients[0].sessions.create(here, {"/": project})).session
        receiver = insist(lambda: clients[1].sessions.create(there, {"/": project})).session
        for number in range(SYNCS):
            size = noise.randrange(600_000 if number % 10 == 5 else 40_000)
            (here / f"{number % 7}").write_bytes(noise.randbytes(size))
            (here / f"{(number + 3) % 7}").unlink(missing_ok=True)
            insist(lambda: sender.context.sync(retry_interval=20))
            fresh = tmp_path / "read" / str(number)
            fresh.mkdir(parents=True)
            direct.sessions.create(fresh, {"/": project}).raise_for_error()
            assert held(fresh) == held(here), number
            insist(lambda: receiver.context.sync(mode="download", retry_interval=20))
            assert held(there) == held(here), number
        print(f"{2 * SYNCS} syncs, {faults()} faults, {len(insist.failures)} failures: {insist.failures}")
    assert faults() > SYNCS


@pytest.mark.slow
def test_a_way_that_lets_a_mebibyte_through_at_once_carries_files_packs_and_commits_of_any_size(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ScriptedServer
) -> None:
    monkeypatch.setattr(content, "_READ_PATIENCE", 0.0)
    monkeypatch.setattr(door, "_LONGEST_PAUSE", 0.002)
    passage = LimitingPassage(service, server)
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    noise = random.Random(SEED)
    for number in range(100):
        (here / f"{number}").write_bytes(noise.randbytes(50_000))
    for _ in range(6_000):
        (here / noise.randbytes(100).hex()).write_bytes(noise.randbytes(9))
    for folder in (here, there):
        with Client(endpoint=server.url, api_key=service.api_key) as client:
            session_at(client, folder).context.sync(max_retries=1000).raise_for_error()
    assert held(there) == held(here)
    assert passage.largest > 0.8 * MIB
    assert passage.cut
    commits = [request for request in server.asked("/node/commit") if b"staged" in request.body]
    assert any(nodewire.decode(request.body, nodewire.Commit).staged for request in commits)


def test_tls_with_a_certificate_of_ones_own_is_trusted_where_the_client_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key, trusted = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    certificate.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    with serve(tls=(chain, key)) as service, service.client(verify=str(trusted)) as client:
        assert session_at(client, folder).context.sync().raise_for_error().files == 1
