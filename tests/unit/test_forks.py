"""A client that a forked process inherits: it starts clean there, and what the parent waits for stays the parent's."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import trustme

from ctxmgr import Client
from ctxmgr.testing import Service, serve
from tests.support.answers import listed, ok, started
from tests.support.scripted import PATIENCE, Held, ScriptedServer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

KEY = "akm-0123456789"
AUTHORITY = trustme.CA()


class Child:
    """A forked process that does something, and tells what came of it.

    Args:
        act: what it does; what that returns is told, or what it raises.
    """

    def __init__(self, act: Callable[[], object]) -> None:
        self._told, tell = os.pipe()
        self._process = os.fork()
        if self._process:
            os.close(tell)
            return
        try:
            text = str(act())
        except BaseException:
            text = traceback.format_exc()
        os.write(tell, text.encode())
        os._exit(0)

    def outcome(self) -> str:
        """Wait for its end, and return what it told."""
        with os.fdopen(self._told, "rb") as told:
            text = told.read().decode()
        os.waitpid(self._process, 0)
        return text


class Called:
    """A callback that counts its calls, and that can be waited for."""

    def __init__(self) -> None:
        self.calls: list[bool] = []
        self.event = threading.Event()

    def __call__(self, ok: bool) -> None:
        self.calls.append(ok)
        self.event.set()

    def wait(self) -> list[bool]:
        assert self.event.wait(PATIENCE), "it was not called"
        return self.calls


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serve() as service:
        yield service


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(api_key=KEY, endpoint=server.url) as client:
        yield client


@pytest.mark.slow
class TestAnswers:
    ROUNDS = 25
    CALLS = 20

    @pytest.mark.parametrize("own_session", [False, True], ids=["its own session", "a session of the caller's"])
    def test_three_processes_never_get_one_anothers(self, service: Service, own_session: bool) -> None:
        session = requests.Session() if own_session else None
        with service.client(session=session) as client:
            work = {name: Work(client, name, self.CALLS) for name in ("parent", "one", "two")}
            told = []
            for _ in range(self.ROUNDS):
                children = [Child(work["one"].do), Child(work["two"].do)]
                told += [work["parent"].do(), *(child.outcome() for child in children)]
        assert told == ["wrong: [], callbacks: [[True], [True]]"] * 3 * self.ROUNDS


class Work:
    """What each of the processes asks for: its own context again and again, and syncs with callbacks meanwhile."""

    def __init__(self, client: Client, name: str, calls: int) -> None:
        self._client = client
        self._name = name
        self._calls = calls
        context = client.contexts.get(name, create=True).context
        self._session = client.sessions.create(bind={"/": context}).session

    def do(self) -> str:
        called = [Called(), Called()]
        for each in called:
            self._session.context.sync(callback=each)
        answers = [self._client.contexts.get(self._name) for _ in range(self._calls)]
        wrong = [each for each in answers if not each.success or each.context.name != self._name]
        return f"wrong: {wrong}, callbacks: {[each.wait() for each in called]}"


class TestCallbacks:
    def test_those_of_each_process_are_called_once_in_it(self, service: Service, tmp_path: Path) -> None:
        with service.client() as client:
            context = client.contexts.get("callbacks", create=True).context
            with client.sessions.create(bind={"/": context}).session as session:

                def calls() -> list[list[bool]]:
                    called = [Called() for _ in range(5)]
                    for each in called:
                        session.context.sync(callback=each)
                    return [each.wait() for each in called]

                calls()
                children = [Child(calls), Child(calls)]
                outcomes = [str(calls()), *(child.outcome() for child in children)]
        assert outcomes == [str([[True]] * 5)] * 3

    @pytest.mark.parametrize("lent", [False, True], ids=["its own executor", "an executor of the caller's"])
    def test_waits_begun_in_the_parent_stay_the_parents(self, server: ScriptedServer, lent: bool) -> None:
        server.script("SyncContext", started("t-1"))
        held = Held()
        server.script("GetContextInfo", listed(), held)
        executor = ThreadPoolExecutor(2) if lent else None
        client = Client(api_key=KEY, endpoint=server.url, executor=executor)
        called = Called()
        client.session("s-1").context.sync(callback=called)
        held.wait()

        def close() -> list[bool]:
            client.close()
            return called.calls

        assert Child(close).outcome() == "[]"
        assert called.calls == []
        client.close()
        assert called.calls == [False]
        if executor is not None:
            executor.shutdown()

    def test_a_child_calls_back_without_the_threads_of_the_callers_executor(self, service: Service) -> None:
        with ThreadPoolExecutor(1) as executor, service.client(executor=executor) as client:
            context = client.contexts.get("lent", create=True).context
            with client.sessions.create(bind={"/": context}).session as session:

                def calls() -> list[bool]:
                    called = Called()
                    session.context.sync(callback=called)
                    return called.wait()

                calls()
                assert (Child(calls).outcome(), calls()) == ("[True]", [True])

    def test_a_child_does_not_wait_for_its_parents_waits_when_it_leaves_a_session(
        self, server: ScriptedServer, client: Client
    ) -> None:
        held = Held()
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), held)
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", ok({"Status": "FINISH"}))
        session = client.session("s-1")
        session.context.sync(callback=Called())
        held.wait()
        assert Child(lambda: session.delete().success).outcome() == "True"


class TestEmbedded:
    """Each process has a service of its own on the one data folder."""

    ROUNDS = 3
    CALLS = 5

    @pytest.fixture
    def local(self, tmp_path: Path) -> Iterator[Client]:
        with Client.local(tmp_path / "data") as client:
            yield client

    def test_every_process_goes_on_with_syncs_and_callbacks(self, local: Client, tmp_path: Path) -> None:
        names = ("parent", "one", "two")
        for name in names:
            (tmp_path / name).mkdir()
            local.contexts.get(name, create=True).raise_for_error()

        def work(name: str) -> str:
            context = local.contexts.get(name).context
            with local.sessions.create(tmp_path / name, {"/": context}).session as session:
                called = [Called() for _ in range(self.CALLS)]
                for number, each in enumerate(called):
                    (tmp_path / name / "file").write_text(f"{os.getpid()} {number}")
                    session.context.sync(callback=each)
            return f"{context.name} {[each.calls for each in called]}"

        for _ in range(self.ROUNDS):
            children = [Child(lambda name=name: work(name)) for name in names[1:]]  # type: ignore[misc]
            outcomes = [work("parent"), *(child.outcome() for child in children)]
            assert outcomes == [f"{name} {[[True]] * self.CALLS}" for name in names]

    def test_content_is_read_and_compared_in_a_child_as_in_the_parent(self, local: Client, tmp_path: Path) -> None:
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "file").write_text("text")
        context = local.contexts.get("project", create=True).context

        def round_trip(name: str) -> bool:
            session = local.sessions.create(tmp_path / "here", {"/": context}).session
            os.utime(tmp_path / "here" / "file", ns=(1, len(name)))
            (tmp_path / name).mkdir()
            uploaded = session.context.sync().success
            local.sessions.create(tmp_path / name, {"/": context}).raise_for_error()
            return uploaded and (tmp_path / name / "file").read_text() == "text"

        assert round_trip("parent")
        assert round_trip("again")
        assert Child(lambda: round_trip("child")).outcome() == "True"

    def test_no_sqlite_connection_crosses_the_fork(self, local: Client, tmp_path: Path) -> None:
        local.contexts.list().raise_for_error()

        catalog = (tmp_path / "data" / "catalog.db").stat()

        def inherited() -> bool:
            return any(os.path.samestat(status, catalog) for status in open_files())

        assert inherited()
        assert Child(inherited).outcome() == "False"
        assert local.contexts.list().success

    def test_a_fork_waits_for_the_transactions_of_other_threads(self, local: Client) -> None:
        local.contexts.list().raise_for_error()
        service = local._core.transport._wire._service  # type: ignore[union-attr]
        assert service is not None
        catalog = service._runtime.catalog
        begun, end, ended = threading.Event(), threading.Event(), threading.Event()

        def write() -> None:
            with catalog.write():
                begun.set()
                end.wait(PATIENCE)
                ended.set()

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            assert begun.wait(PATIENCE)
            os.register_at_fork(before=end.set)  # the last to be registered is the first to be called
            child = Child(lambda: (ended.is_set(), local.contexts.list().success))
            writing.result(PATIENCE)
        assert child.outcome() == "(True, True)"

    def test_a_child_that_ends_normally_leaves_the_parents_service_alone(self, local: Client, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        context = local.contexts.get("project", create=True).context
        session = local.sessions.create(tmp_path / "root", {"/": context}).session
        assert Child(local.close).outcome() == "None"
        assert session.context.sync().success


class TestLocks:
    def test_one_that_another_thread_holds_at_the_fork_holds_up_no_child(
        self, server: ScriptedServer, client: Client
    ) -> None:
        server.script("ListContexts", ok([]))
        client.contexts.list()
        background = client._core.background
        idle = next(iter(client._core.transport._wire._session.adapters.values())).poolmanager  # type: ignore[union-attr]
        pools = [pool.pool.mutex for pool in idle.pools._container.values()]
        locks = [background.lock, client._core.background.jobs._steps._changed, *pools]
        for lock in locks:
            lock.acquire()
        try:
            child = Child(lambda: list_and_close(client))
        finally:
            for lock in locks:
                lock.release()
        assert child.outcome() == "True"


class TestConnections:
    @pytest.fixture(params=["plain", "TLS"])
    def server(self, request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
        tls = None
        if request.param == "TLS":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            AUTHORITY.issue_cert("127.0.0.1").configure_cert(tls)
        with ScriptedServer(tls) as server:
            yield server

    @pytest.fixture
    def client(self, server: ScriptedServer, tmp_path: Path) -> Iterator[Client]:
        AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with Client(api_key=KEY, endpoint=server.url, verify=str(tmp_path / "ca.pem")) as client:
            yield client

    def test_a_child_closes_its_descriptors_and_the_parent_goes_on_with_its_own(
        self, server: ScriptedServer, client: Client
    ) -> None:
        server.script("ListContexts", ok([]))
        client.contexts.list()
        before = {request.connection for request in server.requests}
        inherited = Child(lambda: sorted({int(server.url.rpartition(":")[2])} & set(peers()))).outcome()
        client.contexts.list()
        assert inherited == "[]"
        assert {request.connection for request in server.requests} == before

    def test_a_call_under_way_in_the_parent_is_answered(self, server: ScriptedServer, client: Client) -> None:
        held = Held(ok([]))
        server.script("ListContexts", held, ok([]))
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(client.contexts.list)
            held.wait()
            child = Child(lambda: list_and_close(client))
            told = child.outcome()
            held.release()
            assert call.result(PATIENCE).success
        assert told == "True"


def list_and_close(client: Client) -> bool:
    success = client.contexts.list().success
    client.close()
    return success


def open_files() -> Iterator[os.stat_result]:
    for descriptor in range(3, 256):
        try:
            yield os.fstat(descriptor)
        except OSError:
            continue


def peers() -> Iterator[int]:
    """The ports that this process has connections to."""
    for descriptor in range(3, 256):
        try:
            with socket.socket(fileno=os.dup(descriptor)) as duplicate:
                if duplicate.family == socket.AF_INET:
                    yield duplicate.getpeername()[1]
        except OSError:
            continue
