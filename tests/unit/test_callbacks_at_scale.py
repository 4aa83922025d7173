"""Many callbacks at once: few threads, few requests, every callback called once, and an end that holds up nobody."""

from __future__ import annotations

import gc
import math
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctxmgr import Client, ContextStatusData
from ctxmgr._io import Closing, HttpWire, Jobs
from ctxmgr.background import Background, Waiting
from ctxmgr.completion import Budget, Found, Target, TaskWait, Wait
from ctxmgr.config import resolve
from ctxmgr.polling import PARK, Poller
from ctxmgr.snapshot import SnapshotWait
from ctxmgr.transport import Transport
from tests.support.answers import listed, ok, started
from tests.support.programs import output_of
from tests.support.scripted import PATIENCE, Held, ScriptedServer
from tests.support.simulated import SimulatedTasks

KEY = "akm-0123456789"
WORKERS = 4
PROMPTLY = PARK / 2  # seconds: what was parked for would have come later


class Tally:
    """Hands out callbacks and counts how each is called."""

    def __init__(self, owed: int) -> None:
        self.calls: list[tuple[int, bool]] = []
        self.threads = 0
        self._owed = owed
        self._others = {thread.ident for thread in threading.enumerate()}
        self._all = threading.Event()

    def callback(self, number: int) -> Callable[[bool], object]:
        return lambda ok: self._note(number, ok)

    def _note(self, number: int, ok: bool) -> None:
        self.calls.append((number, ok))
        self.count_threads()
        if len(self.calls) >= self._owed:
            self._all.set()

    def count_threads(self) -> None:
        """Note how many threads there are now that neither were there before nor are the server's."""
        new = [thread for thread in threading.enumerate() if thread.ident not in self._others]
        self.threads = max(self.threads, sum("process_request_thread" not in thread.name for thread in new))

    def wait(self, patience: float = PATIENCE) -> None:
        assert self._all.wait(patience), f"{len(self.calls)} of {self._owed} callbacks were called"

    def assert_once_each(self, ok: bool) -> None:
        assert Counter(self.calls) == Counter((number, ok) for number in range(self._owed))


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(api_key=KEY, endpoint=server.url, workers=WORKERS) as client:
        yield client


class TestHundredSyncs:
    @pytest.mark.slow
    @pytest.mark.parametrize(("sessions", "seconds"), [(1, 1), (100, 2)])
    def test_they_end_as_soon_as_their_tasks_with_few_threads(
        self, server: ScriptedServer, client: Client, sessions: int, seconds: float
    ) -> None:
        SimulatedTasks(server, seconds)
        tally = Tally(100)
        for number in range(100):
            manager = client.session(f"s-{number % sessions}").context
            manager.sync(callback=tally.callback(number), retry_interval=60_000)
            tally.count_threads()
        tally.wait(6 * PROMPTLY)
        client.close()
        tally.assert_once_each(True)
        assert tally.threads <= WORKERS + 1

    def test_parked_polls_leave_a_thread_for_the_others(self, server: ScriptedServer) -> None:
        tasks = SimulatedTasks(server, seconds=60)
        tally = Tally(1)
        with Client(api_key=KEY, endpoint=server.url, workers=2) as client:
            for number in range(2):
                client.session(f"slow-{number}").context.sync(callback=lambda ok: None)
            tasks.seconds = 0.1
            began = time.monotonic()
            client.session("quick").context.sync(callback=tally.callback(0))
            tally.wait()
        assert time.monotonic() - began < PROMPTLY
        tally.assert_once_each(True)

    def test_a_server_that_does_not_park_is_no_obstacle(self, server: ScriptedServer, client: Client) -> None:
        SimulatedTasks(server, seconds=0.5, parks=False)
        tally = Tally(100)
        for number in range(100):
            client.session(f"s-{number % 10}").context.sync(callback=tally.callback(number))
        tally.wait()
        tally.assert_once_each(True)

    def test_closing_in_the_middle_calls_the_rest_with_false(self, server: ScriptedServer, client: Client) -> None:
        SimulatedTasks(server, seconds=60)
        tally = Tally(100)
        for number in range(100):
            client.session(f"s-{number % 10}").context.sync(callback=tally.callback(number))
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < PROMPTLY
        tally.assert_once_each(False)

    def test_its_threads_end_with_the_client(self, server: ScriptedServer, client: Client) -> None:
        SimulatedTasks(server, seconds=60)
        for number in range(10):
            client.session(f"s-{number}").context.sync(callback=lambda ok: None)
        workers = [thread for thread in threading.enumerate() if thread.name.startswith("ctxmgr-worker")]
        client.close()
        for worker in workers:
            worker.join(PATIENCE)
        assert [worker.is_alive() for worker in workers] == [False] * len(workers)


class TestCallbacks:
    @pytest.fixture
    def client(self, server: ScriptedServer) -> Iterator[Client]:
        """A client with a single thread for all."""
        SimulatedTasks(server, seconds=0.05)
        with Client(api_key=KEY, endpoint=server.url, workers=1) as client:
            yield client

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, BaseException])
    def test_one_that_raises_disturbs_no_other(self, client: Client, error: type[BaseException]) -> None:
        def failing(ok: bool) -> None:
            raise error

        tally = Tally(3)
        for number in range(3):
            client.session("s-1").context.sync(callback=failing)
            client.session("s-1").context.sync(callback=tally.callback(number))
        tally.wait()
        tally.assert_once_each(True)

    def test_one_may_sync_again(self, client: Client) -> None:
        manager = client.session("s-1").context
        tally = Tally(1)
        manager.sync(callback=lambda ok: manager.sync(callback=tally.callback(0)))
        tally.wait()
        tally.assert_once_each(True)

    def test_one_may_close_the_client(self, client: Client) -> None:
        tally = Tally(2)

        def closing(ok: bool) -> None:
            client.close()
            tally.callback(0)(ok)

        client.session("s-1").context.sync(callback=closing)
        client.session("s-1").context.sync(callback=tally.callback(1))
        tally.wait()
        assert sorted(number for number, _ in tally.calls) == [0, 1]


class TestLeavingASessionInACallback:
    """It waits for the calls of the others, and for the return of none: its own may hold the only worker."""

    @pytest.fixture(params=[1, 4])
    def client(self, server: ScriptedServer, request: pytest.FixtureRequest) -> Iterator[Client]:
        SimulatedTasks(server, seconds=0.05)
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", ok({"Status": "FINISH"}))
        with Client(api_key=KEY, endpoint=server.url, workers=request.param) as client:
            yield client

    def test_one_callback_deletes_the_session_after_all_have_been_called(self, client: Client) -> None:
        tally = Tally(5)
        session = client.session("s-1")
        seen: list[int] = []

        def deleting(ok: bool) -> None:
            session.delete().raise_for_error()
            seen.append(len(tally.calls))
            tally.callback(4)(ok)

        session.context.sync(callback=deleting)
        for number in range(4):
            session.context.sync(callback=tally.callback(number))
        tally.wait()
        tally.assert_once_each(True)
        assert seen == [4]

    def test_several_callbacks_may_delete_it(self, client: Client) -> None:
        tally = Tally(3)
        session = client.session("s-1")

        def deleting(number: int) -> Callable[[bool], object]:
            def callback(ok: bool) -> None:
                session.delete().raise_for_error()
                tally.callback(number)(ok)

            return callback

        for number in range(3):
            session.context.sync(callback=deleting(number))
        tally.wait()
        tally.assert_once_each(True)


class TestExecutorOfTheCallers:
    @pytest.fixture
    def executor(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(1, thread_name_prefix="lent") as executor:
            yield executor

    @pytest.fixture
    def client(self, server: ScriptedServer, executor: ThreadPoolExecutor) -> Iterator[Client]:
        SimulatedTasks(server, seconds=0.05)
        with Client(api_key=KEY, endpoint=server.url, executor=executor) as client:
            yield client

    def test_callbacks_are_called_on_it(self, client: Client) -> None:
        names: list[str] = []
        tally = Tally(3)

        def noting(number: int) -> Callable[[bool], object]:
            def callback(ok: bool) -> None:
                names.append(threading.current_thread().name)
                tally.callback(number)(ok)

            return callback

        for number in range(3):
            client.session(f"s-{number}").context.sync(callback=noting(number))
        tally.wait()
        tally.assert_once_each(True)
        assert {name.rpartition("_")[0] for name in names} == {"lent"}

    def test_closing_the_client_leaves_it_open(self, client: Client, executor: ThreadPoolExecutor) -> None:
        client.session("s-1").context.sync(callback=lambda ok: None)
        client.close()
        assert executor.submit(int, "7").result(PATIENCE) == 7

    def test_a_wait_holds_none_of_its_threads(self, server: ScriptedServer, executor: ThreadPoolExecutor) -> None:
        SimulatedTasks(server, seconds=60)
        tally = Tally(1)
        with Client(api_key=KEY, endpoint=server.url, executor=executor) as client:
            client.session("s-1").context.sync(callback=tally.callback(0))
            assert executor.submit(int, "7").result(PATIENCE) == 7
        tally.assert_once_each(False)
        assert "WaitMs" not in {name for request in server.requests for name in request.parameters}

    @pytest.mark.parametrize("cancel", [False, True], ids=["shut down", "shut down with what was queued cancelled"])
    def test_once_it_is_shut_down_what_is_owed_is_called_with_false(
        self, server: ScriptedServer, client: Client, executor: ThreadPoolExecutor, cancel: bool
    ) -> None:
        SimulatedTasks(server, seconds=60)
        tally = Tally(20)
        begun, end = threading.Event(), threading.Event()
        executor.submit(begun.set)
        executor.submit(end.wait, PATIENCE)
        begun.wait(PATIENCE)
        for number in range(10):
            client.session(f"s-{number}").context.sync(callback=tally.callback(number))
        executor.shutdown(wait=False, cancel_futures=cancel)
        end.set()
        for number in range(10, 20):
            client.session(f"s-{number}").context.sync(callback=tally.callback(number))
        tally.wait()
        tally.assert_once_each(False)

    def test_a_session_may_be_left_on_its_only_thread(
        self, server: ScriptedServer, client: Client, executor: ThreadPoolExecutor
    ) -> None:
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", ok({"Status": "FINISH"}))
        tally = Tally(2)

        def work() -> None:
            with client.session("s-1") as session:
                for number in range(2):
                    session.context.sync(callback=tally.callback(number))

        executor.submit(work).result(PATIENCE)
        tally.assert_once_each(True)


def test_a_client_that_is_dropped_leaves_no_thread(server: ScriptedServer) -> None:
    SimulatedTasks(server, seconds=0)
    tally = Tally(1)
    others = set(threading.enumerate())
    client = Client(api_key=KEY, endpoint=server.url)
    client.session("s-1").context.sync(callback=tally.callback(0))
    tally.wait()
    threads = [thread for thread in {*threading.enumerate()} - others if thread.name.startswith("ctxmgr-")]
    assert threads
    client._open = False  # which keeps it from warning
    del client
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


class CountingPoller(Poller):
    """Answers for any number of tasks, without a server, once they all succeed: every request parks until then."""

    def __init__(self) -> None:
        closing = Closing()
        super().__init__(Transport(HttpWire(resolve(api_key=KEY, endpoint="http://nowhere")), 1, closing), closing)
        self.asked = 0
        self.most_at_once = 0
        self.ended = threading.Event()
        self._under_way = 0
        self._counting = threading.Lock()

    def ask(
        self,
        parameters: Mapping[str, str],
        task_ids: Sequence[str] = (),
        park: float = 0.0,
        *,
        deadline: float = math.inf,
    ) -> Found:
        with self._counting:
            self.asked += 1
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            self.ended.wait(PATIENCE)
            status = "Success" if self.ended.is_set() else "Running"
            return [
                ContextStatusData(task_type="upload", status=status, task_id=task_id, start_time=1)
                for task_id in task_ids or ("",)
            ]
        finally:
            with self._counting:
                self._under_way -= 1


@pytest.mark.slow
class TestTenThousandWaits:
    MANY = 10_000

    @pytest.fixture
    def jobs(self) -> Iterator[Jobs]:
        jobs = Jobs(WORKERS, None, HttpWire(resolve(api_key=KEY, endpoint="http://nowhere")))
        yield jobs
        jobs.close()

    def test_a_poll_comes_a_little_early_to_be_shared(self, jobs: Jobs) -> None:
        waiting: Waiting = Background(CountingPoller(), jobs).owe("s-1", lambda ok: None)
        waiting.begin(self.wait_for(1, by_task=False))
        assert [waiting.is_due(waiting.due - early) for early in (0.0, 0.02, 0.04)] == [True, True, False]

    def wait_for(self, number: int, *, by_task: bool) -> Wait:
        budget = Budget(150, 300)
        if by_task:
            return TaskWait(Target("upload"), (f"t-{number}",), budget, time.monotonic())
        return SnapshotWait(Target("upload"), (), budget, settle_polls=3)

    @pytest.mark.parametrize("by_task", [True, False], ids=["named tasks", "unnamed tasks"])
    def test_they_share_their_requests(self, jobs: Jobs, by_task: bool) -> None:
        poller = CountingPoller()
        background = Background(poller, jobs)
        tally = Tally(self.MANY)
        for number in range(self.MANY):
            waiting = background.owe("s-1", tally.callback(number))
            waiting.begin(self.wait_for(number, by_task=by_task))
            background.add("s-1", waiting)
        poller.ended.set()
        tally.wait(6 * PATIENCE)
        tally.assert_once_each(True)
        assert poller.asked < self.MANY / 20
        assert poller.most_at_once <= 2
        assert tally.threads <= WORKERS + 1


@pytest.mark.slow
class TestInterpreterExit:
    """A program that ends without closing its client, with waits outstanding."""

    PROGRAM = textwrap.dedent(
        """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from ctxmgr import Client

        executor = ThreadPoolExecutor(2) if sys.argv[2] == "lent" else None
        client = Client(api_key="akm-0123456789", endpoint=sys.argv[1], executor=executor)
        for number in range(3):
            client.session(f"s-{number}").context.sync(callback=lambda ok: print("called with", ok))
        print("the program ends")
        """
    )

    @pytest.fixture(params=["own", "lent"])
    def executor(self, request: pytest.FixtureRequest) -> str:
        """Whose executor it is."""
        return str(request.param)

    def run(self, server: ScriptedServer, executor: str) -> list[str]:
        return output_of(self.PROGRAM, server.url, executor).splitlines()

    def test_it_is_not_held_up_by_tasks_that_go_on(self, server: ScriptedServer, executor: str) -> None:
        SimulatedTasks(server, seconds=60)
        assert self.run(server, executor) == ["the program ends", *["called with False"] * 3]

    def test_it_is_not_held_up_by_a_server_that_does_not_answer(self, server: ScriptedServer, executor: str) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), Held())
        assert self.run(server, executor) == ["the program ends", *["called with False"] * 3]

    def test_callbacks_that_raise_anything_change_nothing(self, server: ScriptedServer, executor: str) -> None:
        SimulatedTasks(server, seconds=60)
        program = self.PROGRAM.replace('print("called with", ok)', '(print("called with", ok), exit(7))')
        assert output_of(program, server.url, executor).splitlines() == ["the program ends", *["called with False"] * 3]
