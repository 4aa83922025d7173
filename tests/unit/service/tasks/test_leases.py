"""Leases of nodes that are elsewhere, by a clock that the tests move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from ctxmgr.engine.policy.policy import read_policy
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contexts, leases, sessions, tasks
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.tasks.leases import Leases
from ctxmgr.service.tasks.questions import Questions
from ctxmgr.service.tasks.watch import Listeners

ACCOUNT = "local"
NODE = "node-0123456789abcdef"
OTHER = "node-fedcba9876543210"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A catalog with a context, and processes of a service that look after its nodes."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog.open(folder / "catalog.db")
        self.clock = Clock()
        self.listeners = Listeners()
        self.questions = Questions(self.catalog, self.listeners)
        self.notified: list[str] = []
        self.leases = self.process()
        with self.catalog.write() as connection:
            self.context = str(contexts.create(connection, ACCOUNT, "project").id)

    def process(self) -> Leases:
        made = Leases(self.catalog, self.listeners, self.questions, seconds=30.0, clock=self.clock)
        made.begin = lambda: None  # type: ignore[method-assign] # the tests look themselves
        return made

    def session(self, node_id: str = NODE, *, name: str = "s-1", linger_ms: int = 300_000) -> None:
        row = sessions.SessionRow(
            name, ACCOUNT, "", False, {}, "", sessions.RUNNING, "", node_id, "/home/me", linger_ms
        )
        policy, text = read_policy("", "/")
        with self.catalog.write() as connection:
            sessions.create(connection, row)
            sessions.bind(connection, sessions.BindingRow(name, self.context, "/", "/", policy, text, 0))
        self.listeners.add(name, lambda: self.notified.append(name))

    def task(self, node_id: str = NODE, *, name: str = "s-1", begun: bool = True) -> str:
        with self.catalog.write() as connection:
            (binding,) = sessions.bindings_of(connection, name)
            task, _ = tasks.queue(connection, node_id, ACCOUNT, binding, "upload", "/")
            if begun:
                tasks.start(connection, task)
        return task.id

    def told(self, task_id: str) -> tuple[str, str]:
        with self.catalog.read() as connection:
            row = tasks.row_of(connection, task_id)
        assert row is not None
        return row.status, row.error

    def status(self, name: str = "s-1") -> tuple[str, str]:
        with self.catalog.read() as connection:
            session = sessions.find(connection, ACCOUNT, name)
        return session.status, session.end_reason

    def later(self, seconds: float, *looking: Leases) -> None:
        self.clock.now += seconds
        for each in looking or (self.leases,):
            each.look()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.catalog.close()


def test_a_running_task_fails_when_its_node_was_not_heard_of_for_a_lease(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    world.later(29)
    assert world.told(task) == ("Running", "")
    world.later(2)
    assert world.told(task) == (
        "Failed",
        "interrupted: the process that had the directory (sandbox, pid 42) has not been heard of for 30 s",
    )
    assert world.notified == ["s-1"]
    assert len(world.leases) == 0


def test_a_node_that_is_heard_of_keeps_its_lease(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    for _ in range(20):
        world.later(29)
        world.leases.check(ACCOUNT, NODE)
    assert world.told(task) == ("Running", "")


def test_no_wall_clock_ends_a_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    for now in (10**15, 0):
        monkeypatch.setattr("ctxmgr.service.catalog.leases.now_ms", lambda now=now: now)
        monkeypatch.setattr("ctxmgr.service.tasks.leases.now_ms", lambda now=now: now)
        world.later(20)
        world.leases.check(ACCOUNT, NODE)
    assert world.told(task) == ("Running", "")
    assert world.status() == (sessions.RUNNING, "")


def test_a_service_that_was_started_again_gives_nodes_a_lease_to_come_back(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    world.later(0)
    world.clock.now += 1_000
    restarted = world.process()
    world.later(0, restarted)
    world.later(29, restarted)
    assert world.told(task) == ("Running", "")
    restarted.check(ACCOUNT, NODE)
    world.later(29, restarted)
    assert world.told(task) == ("Running", "")
    world.later(2, restarted)
    assert world.told(task)[0] == "Failed"


def test_a_process_leaves_a_node_alone_that_talks_to_another(world: World) -> None:
    another = world.process()
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    for _ in range(10):
        world.later(15, world.leases, another)
        world.leases.check(ACCOUNT, NODE)
    assert world.told(task) == ("Running", "")
    for _ in range(10):
        another.hear(ACCOUNT, NODE, "sandbox", 42)
        world.later(15, another, world.leases)
    assert world.told(task) == ("Running", "")
    world.later(15, another, world.leases)
    world.later(31, another, world.leases)
    assert world.told(task)[0] == "Failed"


def test_running_tasks_of_a_node_that_leaves_fail_at_once_and_waiting_ones_wait_a_lease(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    running, waiting = world.task(), world.task(begun=False)
    with world.catalog.write() as connection:
        assert world.leases.leave(connection, "thief", NODE) == []
        assert world.leases.leave(connection, ACCOUNT, NODE) == ["s-1"]
    assert world.told(running) == ("Failed", "interrupted: the process that had the directory left")
    world.later(0)
    world.later(29)
    assert world.told(waiting) == ("Waiting", "")
    world.later(2)
    assert world.told(waiting) == (
        "Failed",
        "no process has the directory of this session: run 'ctxmgr attach' there",
    )


def test_a_task_that_is_queued_for_nobody_waits_a_lease_of_its_own(world: World) -> None:
    world.session()
    world.later(0)
    world.later(100)
    task = world.task(begun=False)
    world.later(0)
    world.later(29)
    assert world.told(task)[0] == "Waiting"
    world.later(2)
    assert world.told(task)[0] == "Failed"


def test_what_waits_goes_to_the_node_that_attaches(world: World) -> None:
    world.session()
    task = world.task(begun=False)
    world.later(0)
    world.leases.hear(ACCOUNT, OTHER, "laptop", 7)
    with world.catalog.write() as connection:
        leases.attach(connection, "s-1", OTHER, "/elsewhere")
    world.later(29)
    world.leases.check(ACCOUNT, OTHER)
    world.later(29)
    with world.catalog.read() as connection:
        assert [row.id for row in tasks.unfinished_rows(connection, OTHER)] == [task]


def test_a_session_ends_when_it_has_outlived_its_node_for_so_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session(linger_ms=100_000)
    world.later(31)
    world.later(0)
    world.later(99)
    assert world.status() == (sessions.RUNNING, "")
    world.later(2)
    # By the wall clock the time is not over: it may have been set back.
    assert world.status() == (sessions.RUNNING, "")
    monkeypatch.setattr("ctxmgr.service.tasks.leases.now_ms", lambda: 10**15)
    world.later(0)
    ended = "the session ended: the process that had its directory has been gone for 100 s"
    assert world.status() == (sessions.FINISH, ended)


def test_a_session_that_does_not_linger_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.session(linger_ms=0)
    monkeypatch.setattr("ctxmgr.service.tasks.leases.now_ms", lambda: 10**15)
    world.later(0)
    world.later(10**6)
    assert world.status() == (sessions.RUNNING, "")


def test_a_deleted_session_ends_as_its_upload_at_the_node_fails_by_force_only(world: World) -> None:
    for name, forced in (("s-1", False), ("s-2", True)):
        world.session(name=name)
        task = world.task(name=name, begun=False)
        with world.catalog.write() as connection:
            sessions.mark_ending(connection, name, [task])
            if forced:
                sessions.force_ending(connection, name)
    world.later(0)
    world.later(31)
    assert world.status("s-1")[0] == sessions.RUNNING
    assert "no process has the directory" in world.status("s-1")[1]
    assert world.status("s-2")[0] == sessions.FINISH


def test_tasks_of_the_service_itself_have_no_lease(world: World) -> None:
    with world.catalog.write() as connection:
        connection.exec_driver_sql("INSERT INTO nodes (id, host, pid, started_ms) VALUES ('node-own', 'here', 1, 0)")
    world.session(node_id="")
    task = world.task("node-own")
    world.later(0)
    world.later(1_000)
    assert world.told(task)[0] == "Running"


def test_a_node_is_of_one_account(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    with pytest.raises(ServiceError, match="not this account's"):
        world.leases.hear("thief", NODE, "sandbox", 42)
    with pytest.raises(ServiceError, match="no node"):
        world.leases.check("thief", NODE)
    with pytest.raises(ServiceError, match="no node"):
        world.process().check("thief", NODE)


def test_time_in_which_nobody_could_be_heard_counts_for_nothing(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    running = world.task()
    world.session(OTHER, name="s-2")
    waiting = world.task(OTHER, name="s-2", begun=False)
    world.later(10)
    world.leases.forgive(100)
    world.later(115)
    assert (world.told(running)[0], world.told(waiting)[0]) == ("Running", "Waiting")
    world.later(20)
    assert (world.told(running)[0], world.told(waiting)[0]) == ("Failed", "Failed")


def test_a_node_is_heard_while_another_writes_for_long(world: World) -> None:
    with world.catalog.write():
        world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
        with world.catalog.read() as connection:
            assert world.leases.holder(connection, NODE) is not None
    world.later(0)
    with pytest.raises(ServiceError, match="not this account's"):
        world.process().hear("thief", NODE, "sandbox", 42)


def test_of_two_accounts_that_choose_one_id_the_first_has_it(world: World) -> None:
    another = world.process()
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    another.hear("thief", NODE, "laptop", 7)
    world.later(0, world.leases, another)
    assert (len(world.leases), len(another)) == (1, 0)


def test_who_holds_a_session_is_told_with_what_is_left_of_the_lease(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.clock.now += 10
    with world.catalog.read() as connection:
        holder = world.leases.holder(connection, NODE)
    assert holder is not None
    assert replace(holder, seconds_left=round(holder.seconds_left)) == type(holder)("sandbox", 42, 20)


def test_a_node_is_woken_for_what_another_process_has_queued_for_it(world: World) -> None:
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    world.listeners.add(NODE, lambda: world.notified.append(NODE))
    world.later(1)
    assert world.notified == []
    world.task(begun=False)
    world.later(1)
    assert world.notified == [NODE]


def test_a_hundred_nodes_are_renewed_by_one_write(world: World) -> None:
    for number in range(100):
        world.leases.hear(ACCOUNT, f"node-{number:016d}", "sandbox", number)
    world.later(0)
    world.clock.now += 11
    for number in range(100):
        world.leases.check(ACCOUNT, f"node-{number:016d}")
    writes = 0
    write = world.catalog.write

    def counted():  # type: ignore[no-untyped-def] # the catalog's own, counted
        nonlocal writes
        writes += 1
        return write()

    world.catalog.write = counted  # type: ignore[method-assign, assignment]
    world.leases.look()
    assert writes == 1


def test_a_node_that_left_at_another_process_is_not_known_there_any_more(world: World) -> None:
    another = world.process()
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.later(0)
    another.check(ACCOUNT, NODE)
    with world.catalog.write() as connection:
        another.leave(connection, ACCOUNT, NODE)
        assert world.leases.holder(connection, NODE) is None
    world.later(0)
    assert NODE not in world.leases
    with world.catalog.read() as connection:
        assert leases.find(connection, NODE) is None


def test_who_only_heard_of_a_node_does_not_bring_it_back_when_it_has_left(world: World) -> None:
    another = world.process()
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.later(0)
    another.check(ACCOUNT, NODE)
    with world.catalog.write() as connection:
        world.leases.leave(connection, ACCOUNT, NODE)
    another.look()
    with world.catalog.read() as connection:
        assert leases.find(connection, NODE) is None


def test_a_node_that_was_ended_elsewhere_is_known_again_when_it_is_heard_again(world: World) -> None:
    another = world.process()
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    world.later(0)
    world.later(0, another)
    world.later(31, another)
    world.later(0)
    with world.catalog.read() as connection:
        assert world.leases.holder(connection, NODE) is None
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.later(0)
    world.later(29, another)
    with world.catalog.read() as connection:
        assert another.holder(connection, NODE) is not None


def test_the_lease_of_a_node_holds_though_each_call_comes_to_a_process_that_is_killed_then(world: World) -> None:
    looking = world.process()
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    world.later(0, world.leases, looking)
    for _ in range(10):
        # A node calls at least three times in a lease. Of those whom it calls, only every third lives to renew it.
        for _ in range(2):
            world.later(9, looking)
            world.process().check(ACCOUNT, NODE)
        world.later(5, looking)
        alive = world.process()
        alive.check(ACCOUNT, NODE)
        for _ in range(5):
            world.later(1, alive, looking)
    assert world.told(task)[0] == "Running"


def test_time_in_which_the_catalog_was_away_counts_for_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    another = world.process()
    another.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    task = world.task()
    world.later(0, another, world.leases)
    since = world.clock.now
    with monkeypatch.context() as away:
        away.setattr(world.catalog, "read", unreachable)
        for _ in range(60):
            world.clock.now += 1
            since = world.leases.look_once(since)
    world.clock.now += 1
    world.leases.look_once(since)
    assert world.told(task)[0] == "Running"
    world.later(31)
    assert world.told(task)[0] == "Failed"


def unreachable() -> NoReturn:
    raise CatalogError("ServiceUnavailable.NoCatalog", "no")


def test_another_process_is_not_asked_for_what_this_one_has_to_do(world: World) -> None:
    told: list[str] = []
    world.listeners.tell = told.append
    world.leases.hear(ACCOUNT, NODE, "sandbox", 42)
    world.session()
    world.listeners.add(NODE, lambda: world.notified.append(NODE))
    world.task(begun=False)
    world.later(0)
    assert (world.notified, told) == ([NODE], [])
