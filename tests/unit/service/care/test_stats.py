"""What is stored, by context and in all: each chunk once, whichever part of the chunks it is counted with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import contexts, revisions
from ctxmgr.service.catalog.revisions import digests_of
from ctxmgr.service.catalog.schema import chunks, files
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door

NAMES = ("first", "second", "empty")


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


def fill(door: Door) -> dict[str, str]:
    """Give contexts files of no, one and several chunks that they share in part; return their names by id."""
    draw = random.Random(7)
    known = [draw.randbytes(32) for _ in range(300)]
    catalog = door.service._runtime.catalog
    with catalog.write() as connection:
        for place, digest in enumerate(known):
            sizes = {"offset": place, "stored": draw.randrange(1, 100), "length": draw.randrange(100, 200)}
            connection.execute(chunks.insert().values(account="local", digest=digest, pack_id="pack", **sizes))
        named = {str(contexts.create(connection, "local", name).id): name for name in NAMES}
        # Another account's, of chunks with the same names.
        other = str(contexts.create(connection, "other", "other").id)
        connection.execute(
            chunks.insert().values(account="other", digest=known[0], pack_id="p", offset=0, stored=1, length=1)
        )
        for context, name in [*named.items(), (other, "other")]:
            for head in (0, 1) if name != "empty" else ():
                put = {b"%d" % number: entry(draw, known[:250]) for number in range(100)}
                put |= {b"folder": Entry(DIRECTORY, 0o755, 1), b"link": Entry(LINK, 0o777, 1, target=b"0")}
                values: dict[str, Any] = {"put": put, "drop": (), "task_id": "", "note": ""}
                revisions.commit(connection, context, "/", head=head, current=set(put) if head else (), **values)
    return named


def entry(draw: random.Random, known: list[bytes]) -> Entry:
    held = tuple(draw.choices(known, k=draw.choice((0, 1, 1, 1, 5))))
    return Entry(FILE, 0o644, 1, draw.randrange(1000), draw.randbytes(32), held)


def expected(door: Door, named: dict[str, str]) -> dict[str, Any]:
    """Count in the plainest way."""
    with door.service._runtime.catalog.read() as connection:
        rows = [row for row in connection.execute(select(files)) if row.context_id in named and row.kind != DIRECTORY]
        own = connection.execute(select(chunks).where(chunks.c.account == "local")).all()
    sizes = {row.digest: (row.length, row.stored) for row in own}

    def of(digests: set[bytes]) -> tuple[int, int]:
        return sum(sizes[each][0] for each in digests), sum(sizes[each][1] for each in digests)

    found: dict[str, Any] = {}
    for context, name in named.items():
        mine = [row for row in rows if row.context_id == context]
        now = [row.size for row in mine if row.rev_to is None and row.kind == FILE]
        content = of({each for row in mine for each in digests_of(row.chunks)})
        found[name] = (2 * (name != "empty"), len(now), sum(now), sum(row.size for row in mine), *content)
    used = {each for row in rows for each in digests_of(row.chunks)}
    return found | {"": (*of(used), of(set(sizes) - used)[1])}


@pytest.mark.parametrize("at_once", [10, 1000])
def test_it_is_what_a_plain_count_of_all_rows_comes_to(
    door: Door, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("ctxmgr.service.care.stats._HELD_AT_ONCE", at_once)
    named = fill(door)
    volume = door.service._runtime.care.stats("local")
    found: dict[str, Any] = {each.name: tuple(each)[2:-1] for each in volume.contexts}
    assert [each.name for each in volume.contexts] == sorted(NAMES)
    assert found | {"": tuple(volume)[1:]} == expected(door, named)
    assert volume.loose_bytes > 0
