"""Service processes over one PostgreSQL and one S3 store are killed and cut off: what was said to be done is there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from ctxmgr import Client, Session

from .fleet import Fleet
from .keepers import Asker, Keeper, Record, untrue
from .test_http_command import command

SECONDS = int(os.environ.get("CTXMGR_TEST_CHAOS_SECONDS", "0"))
"""For how long; 0 for a few rounds."""
SEED = int(os.environ.get("CTXMGR_TEST_SEED", "1"))
SECONDS_OF_A_ROUND = 10.0
ROUNDS = int(SECONDS / SECONDS_OF_A_ROUND) or 4
"""In each a process is killed; in two of them PostgreSQL is restarted, and in two SeaweedFS is killed."""
KEEPERS = 20 if SECONDS else 6
ASKERS = 3 if SECONDS else 2
CONTEXTS = 5 if SECONDS else 2
PROCESSES = 3
PATIENCE = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 4 * SECONDS)]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:
        yield Fleet(stack, tmp_path, monkeypatch, size=PROCESSES, seed=SEED)


def test_whatever_is_killed_or_cut_what_was_said_to_be_done_is_there(fleet: Fleet, tmp_path: Path) -> None:
    record = Record()
    fleet.wait_until_up()
    with ExitStack() as opened:
        direct = opened.enter_context(Client(endpoint=fleet.processes[0].address, api_key=fleet.key))
        contexts = [direct.contexts.create(f"kept {number}").context for number in range(CONTEXTS)]
        names = [f"keeper{number}" for number in range(KEEPERS)]
        keepers = []
        for number, name in enumerate(names):
            directory = tmp_path / "directories" / name
            directory.mkdir(parents=True)
            client = opened.enter_context(Client(endpoint=fleet.line.url, api_key=fleet.key))
            others = [each for each in names[number % CONTEXTS :: CONTEXTS] if each != name]
            context = contexts[number % CONTEXTS]
            keepers.append(Keeper(name, client, context, others, directory, record, SEED + number))
        askers = []
        for number in range(ASKERS):
            client = opened.enter_context(Client(endpoint=fleet.line.url, api_key=fleet.key))
            askers.append(Asker(f"asker{number}", client, keepers, record, SEED + number))
        disturb(fleet, record, [*keepers, *askers])
        fleet.wait_until_up()
        for keeper in keepers:
            until(keeper.upload, lambda: f"it can't upload: {record.last_error}")
        for keeper in keepers:
            session = direct.session(keeper.session.session_id)
            until(partial(all_ended, session), lambda: f"a task is stuck: {session.context.info()}")  # noqa: B023
        print(
            f"{dict(record.outcomes)}; {sum(each.kills for each in fleet.processes)} kills; {dict(fleet.line.faults)}"
        )
        for context in contexts:
            folder = tmp_path / "restored" / context.id
            assert untrue(record, context, direct, folder) == []
    checked = command(
        "check", "--read-data", CTXMGR_CATALOG=fleet.places["catalog"], CTXMGR_STORE=fleet.places["store"]
    )
    assert checked.returncode == 0, checked.stdout


def disturb(fleet: Fleet, record: Record, busy: Sequence[Keeper | Asker]) -> None:
    """Have everything happen to the processes and their parts while some are busy."""
    ends = threading.Event()
    broken: list[BaseException] = []

    def work(one: Keeper | Asker) -> None:
        try:
            while not ends.is_set():
                one.step()
        except BaseException as error:
            broken.append(error)
            raise

    threads = [threading.Thread(target=work, args=[one]) for one in busy]
    for thread in threads:
        thread.start()
    try:
        for number in range(ROUNDS):
            next_round = time.monotonic() + SECONDS_OF_A_ROUND if SECONDS else 0.0
            fleet.kill_one()
            if number % (ROUNDS // 2) == ROUNDS // 4:
                fleet.restart_database()
            if number % (ROUNDS // 2) == 0:
                empty(record.failures)
                fleet.store.stop()
                assert record.failures.acquire(timeout=PATIENCE)
                fleet.store.start()
            empty(record.successes)
            for _ in busy:
                assert record.successes.acquire(timeout=PATIENCE), record.outcomes
            ends.wait(max(0.0, next_round - time.monotonic()))
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert not broken


def empty(counted: threading.Semaphore) -> None:
    while counted.acquire(blocking=False):
        pass


def all_ended(session: Session) -> bool:
    return all(task.is_terminal for task in session.context.info().raise_for_error().context_status_data)


def until(done: Callable[[], bool], problem: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, problem()
        threading.Event().wait(0.05)
