"""What changed in a context since a revision: the same however it is found, and found without a look at everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from ctxmgr.engine.manifest.entries import Entry, Manifest
from ctxmgr.service.catalog import changes, contexts, revisions
from ctxmgr.service.catalog.database import Catalog

MODES = {number: Entry("file", number, 1, 1, b"a" * 32, (b"a" * 32,)) for number in range(10)}


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    if request.param == "sqlite":
        opened = Catalog.open(tmp_path / "catalog.db")
    else:
        opened = Catalog.connect(request.getfixturevalue("empty_database").url)
    yield opened
    opened.close()


@pytest.fixture
def context(catalog: Catalog) -> str:
    """Five revisions, in which files come, change, go, and come back."""
    with catalog.write() as connection:
        made = str(contexts.create(connection, "local", "project").id)
    commit(catalog, made, {b"w/%d" % number: MODES[0] for number in range(20)})
    commit(catalog, made, {b"w/1": MODES[1], b"w/new": MODES[1], b"other/1": MODES[1]})
    commit(catalog, made, {b"w/1": MODES[2]}, b"w/2", b"w/new")
    commit(catalog, made, {b"w/2": MODES[3]})
    commit(catalog, made, {}, b"w/3")
    return made


def commit(catalog: Catalog, context: str, put: Manifest, *drop: bytes) -> None:
    with catalog.write() as connection:
        current = revisions.manifest(connection, context, "/")
        head = revisions.head_of(connection, context)
        revisions.commit(
            connection, context, "/", head=head, current=current, put=put, drop=drop, task_id="task", note="test"
        )


def changed(catalog: Catalog, context: str, since: int, at: int) -> dict[bytes, Entry | None]:
    """All pages of what changed below /w."""
    found: dict[bytes, Entry | None] = {}
    after, is_last = b"", False
    with catalog.read() as connection:
        while not is_last:
            page = changes.changed(connection, context, "/w", since=since, at=at, after=after)
            found |= page.entries
            after, is_last = page.after, page.is_last
    return found


@pytest.mark.parametrize("few", [1, 10_000])
@pytest.mark.parametrize("rows", [1, 20_000])
@pytest.mark.parametrize("since", range(1, 5))
def test_what_changed_leads_from_one_revision_to_the_other(
    catalog: Catalog, context: str, since: int, few: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "FEW", few)
    monkeypatch.setattr(changes, "PAGE_ROWS", rows)
    for at in range(since, 6):
        with catalog.read() as connection:
            before, then = (revisions.manifest(connection, context, "/w", revision=number) for number in (since, at))
        told = changed(catalog, context, since, at)
        assert {path: entry for path, entry in {**before, **told}.items() if entry is not None} == then
        assert set(told) >= {path for path in {*before, *then} if before.get(path) != then.get(path)}


def test_what_changed_is_found_by_its_revision(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog.db")
    with catalog.write() as connection:
        made = str(contexts.create(connection, "local", "project").id)
    asked: list[tuple[str, Any]] = []
    event.listen(catalog._backend.reader, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    for _ in range(2):
        commit(catalog, made, {b"w/1": MODES[1]})
    asked.clear()
    assert changed(catalog, made, 1, 2) == {b"1": MODES[1]}
    with catalog.read() as connection:
        plans = [
            " ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in list(asked)
        ]
    catalog.close()
    assert ["files_added" in plans[0], "files_ended" in plans[1], "path=?" in plans[2]] == [True] * 3
    assert len(plans) == 3
