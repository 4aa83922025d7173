"""What a copy of rows holds in memory: it does not grow with their number."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import select

from ctxmgr.service.care import references
from ctxmgr.service.catalog import insertion, versions
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.insertion import bulk_insert
from ctxmgr.service.catalog.schema import labels
from ctxmgr.service.copying.rows import copy_rows

AT_ONCE = 100


def catalog(path: Path) -> Catalog:
    made = Catalog.bare(path)
    with made.write() as connection:
        versions.make(connection)
    return made


def peak(folder: Path, count: int) -> int:
    """The most bytes that Python's objects take while so many rows are copied."""
    source, target = catalog(folder / f"source-{count}"), catalog(folder / f"target-{count}")
    with source.write() as connection:
        for start in range(0, count, AT_ONCE):
            names = [f"{number:09}" for number in range(start, start + AT_ONCE)]
            bulk_insert(connection, labels, [(name, "name", 1000 * "v") for name in names])
    with source.read() as reading, target.write() as writing:
        tracemalloc.start()
        copy_rows(reading, writing, ("", ""))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(writing.execute(select(labels.c.name)).all()) == count
    source.close()
    target.close()
    return most


def test_it_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_ROWS", AT_ONCE)
    monkeypatch.setattr(insertion, "BATCH", AT_ONCE)
    peak(tmp_path, AT_ONCE)  # what is made once
    assert peak(tmp_path, 40 * AT_ONCE) < 1.2 * peak(tmp_path, 10 * AT_ONCE)
