"""What processes that share a PostgreSQL catalog tell each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from queue import Empty, Queue

import psycopg
import pytest

from ctxmgr.service.catalog.channel import Channel
from ctxmgr.service.catalog.database import Catalog
from tests.support.scripted import PATIENCE
from tests.support.servers import Database

LISTENING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ctxmgr notifications'"


class Process:
    """One of the processes.

    Attributes:
        told: the topics that others have told.
        listening: released each time that it begins to listen.
        looked: released at each look.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.told: Queue[str] = Queue()
        self.listening, self.looked = threading.Semaphore(0), threading.Semaphore(0)
        channel = catalog.channel(self.told.put, self.listening.release, self.looked.release)
        assert isinstance(channel, Channel)
        self.channel = channel
        self.listens()

    def listens(self) -> None:
        assert self.listening.acquire(timeout=PATIENCE)

    def next(self) -> str:
        return self.told.get(timeout=PATIENCE)


@pytest.fixture
def catalog(database: Database) -> Iterator[Catalog]:
    with closing(Catalog.connect(database.url)) as opened:
        yield opened


@pytest.fixture
def processes(catalog: Catalog) -> Iterator[tuple[Process, Process]]:
    with ExitStack() as stack:
        made = [Process(catalog) for _ in range(2)]
        for each in made:
            stack.enter_context(closing(each.channel))
        yield made[0], made[1]


def test_what_one_tells_the_other_is_told_and_not_itself(processes: tuple[Process, Process]) -> None:
    here, there = processes
    here.channel.send("s-1")
    assert there.next() == "s-1"
    there.channel.send("s-2")
    assert here.next() == "s-2"
    with pytest.raises(Empty):
        there.told.get_nowait()


def test_more_than_one_notification_holds_arrives_too(processes: tuple[Process, Process]) -> None:
    here, there = processes
    topics = [f"task-{number:0>59}" for number in range(1_000)]
    for topic in topics:
        here.channel.send(topic)
    assert [there.next() for _ in topics] == topics


def test_a_connection_that_is_lost_is_made_again_and_what_is_told_meanwhile_arrives(
    processes: tuple[Process, Process], database: Database
) -> None:
    here, there = processes
    with database.connect() as connection:
        for (pid,) in connection.execute(LISTENING).fetchall():
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        there.listens()
        here.channel.send("s-1")
        assert there.next() == "s-1"
        here.listens()
        there.channel.send("s-2")
        assert here.next() == "s-2"
        assert len(connection.execute(LISTENING).fetchall()) == 2


def test_each_looks_by_itself_too(processes: tuple[Process, Process]) -> None:
    for each in processes:
        assert each.looked.acquire(timeout=PATIENCE)


def test_what_was_told_before_the_end_is_told(processes: tuple[Process, Process]) -> None:
    here, there = processes
    here.channel.send("s-1")
    here.channel.close()
    here.channel.send("s-2")
    here.channel.close()
    assert there.next() == "s-1"


def test_one_that_can_not_connect_ends_at_once() -> None:
    refused = threading.Event()

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        refused.set()
        raise psycopg.OperationalError("no")

    for _ in range(100):
        refused.clear()
        channel = Channel(connect, lambda _: None, lambda: None, lambda: None)
        assert refused.wait(PATIENCE)
        channel.close()
    assert "ctxmgr-channel" not in {thread.name for thread in threading.enumerate()}
