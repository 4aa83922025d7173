"""Transactions that PostgreSQL ends for the sake of others: requests, nodes and syncs do not notice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ctxmgr import nodewire
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import contexts, database, postgresql
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.errors import TransactionLost
from tests.support.scripted import PATIENCE
from tests.support.servers import Database
from tests.unit.service.servicedoor import Door, binding, fill, tree

DEADLOCK, NO_SERIAL_ORDER = "40P01", "40001"
NODE = f"node-{1:032x}"


@pytest.fixture
def door(tmp_path: Path, database: Database) -> Iterator[Door]:
    with database.connect() as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET deadlock_timeout = '10ms'".encode())
    service = ContextService.open(tmp_path / "data", catalog=database.url)
    yield Door(service)
    service.close()


@pytest.fixture
def catalog(door: Door) -> Catalog:
    return door.service._runtime.catalog


def lose(connection: Connection, state: str = DEADLOCK) -> None:
    """Have the server say that it ended a transaction."""
    connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{state}'; END $$"))


@pytest.fixture
def lossy(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every other transaction of each thread be lost."""
    begun = threading.local()

    def hold(backend: object, connection: Connection, *what: str) -> None:
        begun.numbers = getattr(begun, "numbers", None) or count()
        if next(begun.numbers) % 2 == 0:
            lose(connection)

    monkeypatch.setattr(postgresql.PostgreSQL, "hold", hold)


def test_a_request_that_ends_in_a_deadlock_is_done_again(
    door: Door, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = door.context("before")
    holds = threading.Event()
    rename = contexts.rename

    def rename_late(*arguments: Any) -> None:
        if not holds.is_set():
            holds.set()
            with database.connect() as looking:
                while not looking.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    pass
        rename(*arguments)

    monkeypatch.setattr(contexts, "rename", rename_late)
    renaming = threading.Thread(target=door.data, args=["ModifyContext"], kwargs={"Id": context, "Name": "after"})
    with database.connect() as other, other.transaction():
        # It waits in peace, so that it is always the request that finds the deadlock, and is ended.
        other.execute("SET LOCAL deadlock_timeout = '1h'")
        other.execute("SELECT 1 FROM contexts WHERE id = %s FOR UPDATE", [context])
        renaming.start()
        assert holds.wait(PATIENCE)
        other.execute("SELECT pg_advisory_xact_lock(%s)", [postgresql._key(contexts.names_of("local"))])
    renaming.join(PATIENCE)
    assert door.data("GetContext", ContextId=context)["Name"] == "after"


@pytest.mark.parametrize("state", [DEADLOCK, NO_SERIAL_ORDER])
def test_what_is_lost_again_and_again_is_given_up(catalog: Catalog, state: str) -> None:
    tries = []

    def job() -> None:
        tries.append(1)
        with catalog.write() as connection:
            lose(connection, state)

    with pytest.raises(TransactionLost, match="try again"):
        catalog.insist(job)
    assert len(tries) == database.ATTEMPTS


def test_what_has_committed_something_is_not_done_again(catalog: Catalog) -> None:
    tries = []

    def job() -> None:
        tries.append(1)
        with catalog.write():
            pass
        with catalog.write() as connection:
            lose(connection)

    for _ in range(2):
        with pytest.raises(TransactionLost):
            catalog.insist(job)
    assert len(tries) == 2


@pytest.mark.usefixtures("lossy")
def test_syncs_files_and_ways_back_notice_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context("project")
    fill(tmp_path / "w", {"a": "1"})
    session = door.session(binding(context), Root=str(tmp_path / "w"))
    assert [task["status"] for task in door.sync(session)] == ["Success"]
    with door.service.write_file(context, "/b") as upload:
        upload.write(b"2")
        upload.finish()
    assert [task["status"] for task in door.sync(session, "download")] == ["Success"]
    assert tree(tmp_path / "w") == {"a": "1", "b": "2"}
    (task,) = door.data("RestoreContext", Id=context, Revision=1)["TaskIds"]
    while not (told := door.info("", ContextId=context, TaskIds=[task], WaitMs=10_000))[0]["finishTime"]:
        pass
    assert told[0]["status"] == "Success"
    assert door.files(context) == ["/a"]


@pytest.mark.usefixtures("lossy")
def test_nodes_notice_nothing(door: Door) -> None:
    def call(name: str, message: nodewire.Message) -> bytes:
        opened = door.service.open_call(name, nodewire.encode(message))
        return opened.answer()

    call("take", nodewire.Take(NODE, "host", 1))
    place = {"Node": NODE, "NodeHost": "host", "NodePid": 1, "Root": "/home/me"}
    made = door.data("CreateMcpSession", PersistenceDataList=[binding(door.context())], **place)
    (task,) = made["TaskIds"]
    call("start", nodewire.Start(NODE, task))
    call("fail", nodewire.Fail(NODE, task, "no"))
    assert [ended["status"] for ended in door.info(made["SessionId"], TaskIds=[task])] == ["Failed"]
