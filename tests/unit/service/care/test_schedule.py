"""The care that a service takes by itself: once a day, one process at a time, by the rules that were remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from ctxmgr.service.care import care
from ctxmgr.service.care.turns import alone
from ctxmgr.service.catalog.schema import meta
from ctxmgr.service.tasks import upkeep
from tests.support.keeping import Elsewhere
from tests.unit.service.care.stored import Stored, packs_kept
from tests.unit.service.servicedoor import Door


@pytest.fixture
def stored(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Stored]:
    made = Stored(tmp_path, elsewhere)
    for number in range(4):
        made.sync({"file": f"version {number}"})
    yield made
    made.close()


def a_day_later(stored: Stored) -> None:
    with stored.door.service._runtime.catalog.write() as connection:
        connection.execute(update(meta).where(meta.c.key == "pruned_ms").values(value="0"))


def test_what_was_remembered_is_done_once_a_day(stored: Stored) -> None:
    keeper = stored.door.service._runtime.care
    assert keeper.run_if_due()
    stored.door.data("SetContextRetention", Id=stored.context, Retention={"keepLast": 2})
    assert not keeper.run_if_due()
    assert stored.numbers() == [1, 2, 3, 4]
    a_day_later(stored)
    assert keeper.run_if_due()
    assert stored.numbers() == [3, 4]
    stored.assert_whole()


def test_without_rules_only_what_nothing_refers_to_goes(stored: Stored) -> None:
    other = stored.door.context("other")
    with stored.door.service.write_file(other, "/file") as upload:
        upload.write(b"of a context that goes")
        upload.finish()
    stored.door.data("DeleteContext", Id=other)
    stored.door.service._runtime.care.run_if_due()
    assert stored.numbers() == [1, 2, 3, 4]
    assert stored.door.data("GetStoreStats")["LooseBytes"] == 0
    stored.assert_whole()


def test_one_process_at_a_time_takes_care(stored: Stored) -> None:
    runtime = stored.door.service._runtime
    keeper = runtime.care
    with alone(runtime.catalog, runtime.folder.locks, "care"):
        assert not keeper.run_if_due()
    assert keeper.run_if_due()


def test_beside_another_process_content_has_a_day(stored: Stored) -> None:
    another = stored.opened()
    try:
        before = packs_kept(stored.door.service)
        stored.door.data("PruneContexts", Retention={"keepLast": 1})
        assert {*before} <= {*packs_kept(stored.door.service)}
        assert stored.door.data("PruneContexts")["WaitingBytes"] > 0
    finally:
        another.close()
    stored.door.data("PruneContexts")
    assert len(packs_kept(stored.door.service)) == 1
    stored.assert_whole()


@pytest.mark.parametrize("resumes", [True, False], ids=["a service", "a command"])
def test_a_service_takes_care_by_itself_and_a_command_does_not(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    cared = threading.Event()
    monkeypatch.setattr(care.Care, "run_if_due", lambda self: cared.set())
    service = stored.opened(resume=resumes)
    try:
        if resumes:
            assert cared.wait(30)
        else:
            with service.write_file(stored.context, "/more") as upload:
                upload.finish()
            session = Door(service).session()
            Door(service).delete_session(session)
    finally:
        service.close()
    assert cared.is_set() == resumes


def test_a_program_that_stays_takes_care_too(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    cared = threading.Event()
    monkeypatch.setattr(stored.door.service._runtime.upkeep.caretaker, "_job", cared.set)
    monkeypatch.setattr(upkeep, "SECONDS_WITHOUT_CARE", -1.0)
    stored.sync({"file": "a task that ends"})
    assert cared.wait(30)
