"""What a process notices by itself of what others did, where nobody has told it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ctxmgr.service.catalog import contexts, tasks
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.tasks.peers import Peers
from ctxmgr.service.tasks.watch import Listeners


class World:
    """A process that looks, and a catalog in which others queue and end tasks."""

    def __init__(self, catalog: Catalog) -> None:
        self.listeners = Listeners()
        self.notified: list[str] = []
        self._catalog = catalog
        self._peers = Peers(catalog, self.listeners)

    def context(self, name: str) -> str:
        with self._catalog.write() as connection:
            return str(contexts.create(connection, "local", name).id)

    def listen(self, context: str) -> None:
        self.listeners.add(context, lambda: self.notified.append(context))

    def queue(self, context: str) -> str:
        with self._catalog.write() as connection:
            return tasks.queue_change(connection, "node-1", "local", context, tasks.CLEAR).id

    def end(self, task: str) -> None:
        with self._catalog.write() as connection:
            tasks.fail(connection, task, "node-1", "no")

    def look(self) -> list[str]:
        self.notified.clear()
        self._peers.look()
        return list(self.notified)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(Catalog.open(tmp_path / "catalog.db")) as catalog:
        yield World(catalog)


def test_who_waits_for_a_task_that_has_ended_is_notified_and_nobody_else(world: World) -> None:
    one, other = world.context("one"), world.context("other")
    ending, _ = world.queue(one), world.queue(other)
    world.listen(one)
    world.listen(other)
    world.look()
    assert world.look() == []
    world.end(ending)
    assert world.look() == [one]
    assert world.look() == []


def test_who_began_to_listen_since_the_last_look_is_notified_in_any_case(world: World) -> None:
    context = world.context("one")
    world.look()
    world.end(world.queue(context))
    world.listen(context)
    assert world.look() == [context]
    world.listen(context)
    assert world.look() == [context, context]
    assert world.look() == []
