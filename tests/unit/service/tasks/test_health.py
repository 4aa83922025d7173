"""When contexts were last uploaded to, as operators ask it: only what proves that a whole directory is kept counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from ctxmgr.service import ContextService
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.schema import contexts
from ctxmgr.service.tasks.health import ABANDONED_MS, LastUpload
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, binding, fill

Open = Callable[[], ContextService]


@pytest.fixture
def opened(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Open]:
    services: list[ContextService] = []

    def open_one() -> ContextService:
        services.append(ContextService.open(tmp_path / "data", **elsewhere))
        return services[-1]

    yield open_one
    for service in services:
        service.close()


@pytest.fixture
def door(opened: Open) -> Door:
    return Door(opened())


def uploaded(door: Door, name: str, path: str = "/") -> tuple[str, LastUpload]:
    """Upload to a context, and return the session and what is told of that."""
    session = door.session(binding(door.context(name), path))
    fill(door.root(session) / path.lstrip("/"), {"file": name, "deep/file": name})
    assert [task["status"] for task in door.sync(session)] == ["Success"]
    return session, next(each for each in door.service.last_uploads(100) if each.context == name)


def told(door: Door, most: int = 100) -> list[str]:
    return [each.context for each in door.service.last_uploads(most)]


def move(door: Door, name: str, age_ms: int) -> None:
    with door.service._runtime.catalog.write() as connection:
        aged = update(contexts).where(contexts.c.name == name).values(uploaded_ms=now_ms() - age_ms)
        connection.execute(aged)


def test_an_upload_counts_and_also_one_that_finds_nothing_new(door: Door) -> None:
    before = now_ms() / 1000
    session, first = uploaded(door, "project")
    assert (first.account, first.context) == ("local", "project")
    assert before <= first.seconds <= now_ms() / 1000
    move(door, "project", 60_000)
    (again,) = door.sync(session)
    assert again["nothingToSync"]
    assert before <= door.service.last_uploads(1)[0].seconds


def test_a_download_a_part_and_a_failure_do_not_count(door: Door) -> None:
    session, _ = uploaded(door, "project", "/bound")
    move(door, "project", 60_000)
    (moved,) = door.service.last_uploads(1)
    assert [task["status"] for task in door.sync(session, "download")] == ["Success"]
    assert [task["status"] for task in door.sync(session, Path="/bound/deep")] == ["Success"]
    root = door.root(session)
    (root / "bound").rename(root / "elsewhere")
    (root / "bound").write_text("no directory")
    assert [task["status"] for task in door.sync(session)] == ["Failed"]
    assert door.service.last_uploads(1) == [moved]


def test_a_context_that_was_never_uploaded_to_or_not_for_long_is_left_out(door: Door) -> None:
    door.context("never")
    for name in ("late", "abandoned"):
        uploaded(door, name)
    move(door, "abandoned", ABANDONED_MS + 60_000)
    move(door, "late", ABANDONED_MS - 60_000)
    assert told(door) == ["late"]


def test_the_longest_ago_come_first_and_are_those_that_there_is_room_for(door: Door) -> None:
    for number, name in enumerate(("second", "third", "first")):
        uploaded(door, name)
        move(door, name, 60_000 * (1, 0, 2)[number])
    assert (told(door), told(door, 2)) == (["first", "second", "third"], ["first", "second"])


def test_another_process_and_a_restart_tell_the_same(opened: Open) -> None:
    one, two = Door(opened()), Door(opened(), "another")
    uploaded(one, "project")
    uploaded(two, "project")
    assert {each.account for each in one.service.last_uploads(100)} == {"local", "another"}
    one.service.close()
    assert opened().last_uploads(100) == two.service.last_uploads(100)
