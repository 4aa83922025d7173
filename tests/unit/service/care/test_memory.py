"""What a check, a prune and statistics hold in memory: it does not grow with the number of files."""

from __future__ import annotations

import multiprocessing
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3
from sqlalchemy import delete, func, select

from ctxmgr.engine.content.packs import seal
from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.service import ContextService
from ctxmgr.service.care import packs, references
from ctxmgr.service.catalog import contexts, revisions
from ctxmgr.service.catalog.schema import chunks, files
from ctxmgr.service.tasks.contentstore import CatalogContentStore
from ctxmgr.service.tasks.runtime import Runtime

AT_ONCE = 100


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    take_small_steps(monkeypatch)


def take_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("packs._ROWS_AT_ONCE", "references._ROWS", "references._HELD_AT_ONCE", "stats._HELD_AT_ONCE"):
        monkeypatch.setattr(f"ctxmgr.service.care.{name}", AT_ONCE)
    monkeypatch.setattr(packs, "_MOVED_AT_ONCE", 4 * AT_ONCE)


def filled(folder: Path, count: int) -> ContextService:
    """A service with one context of so many files, each of one chunk."""
    service = ContextService.open(folder)
    runtime = service._runtime
    content = CatalogContentStore(runtime.catalog, runtime._packs, "local")
    with runtime.catalog.write() as connection:
        context = str(contexts.create(connection, "local", "project").id)
    put: dict[bytes, Entry] = {}
    for start in range(0, count, AT_ONCE):
        texts = [b"%06d" % number for number in range(start, start + AT_ONCE)]
        digests = [blake3(text).digest() for text in texts]
        content.put(seal(texts, [(digest, 6 * place, 6, 6) for place, digest in enumerate(digests)]))
        put |= {text: Entry(FILE, 0o644, 1, 6, digest, (digest,)) for text, digest in zip(texts, digests, strict=True)}
    with runtime.catalog.write() as connection:
        revisions.commit(connection, context, "/", head=0, current=(), put=put, drop=(), task_id="", note="made")
    return service


def check(runtime: Runtime) -> None:
    report = runtime.care.check(read_data=False, mend=False)
    assert (report.damages, report.affected) == ([], [])


def prune(runtime: Runtime) -> None:
    assert runtime.care.free().packs_rewritten > 0


def stats(runtime: Runtime) -> None:
    assert len(runtime.care.stats("local").contexts) == 1


def peaks(folder: Path, care: Callable[[Runtime], None]) -> list[int]:
    """Return the bytes held at most, of more files each time; the first fills caches."""
    found: list[int] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        take_small_steps(monkeypatch)
        for count in (500, 3_000, 9_000):
            service = filled(folder / str(count), count)
            tracemalloc.start()
            care(service._runtime)
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            service.close()
    return found


@pytest.mark.parametrize("care", [check, prune, stats])
def test_three_times_the_files_take_no_more_memory(tmp_path: Path, care: Callable[[Runtime], None]) -> None:
    # In a process of its own: threads and garbage of other tests would be counted.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        _, few, many = process.submit(peaks, tmp_path, care).result()
    # A digest alone takes as much, in a set.
    assert many - few < 100 * 6_000


def test_packs_of_many_small_chunks_are_merged_once(tmp_path: Path) -> None:
    service = filled(tmp_path, 30 * AT_ONCE)
    assert [service._runtime.care.free().packs_rewritten for _ in range(2)] == [30, 0]
    service.close()


def test_what_nothing_refers_to_is_found_part_by_part(tmp_path: Path) -> None:
    service = filled(tmp_path, 4 * AT_ONCE)
    with service._runtime.catalog.write() as connection:
        assert len(list(references.parts_of(connection, "local", AT_ONCE))) > 1
        kept = select(files.c.path).where(files.c.path < b"/000100").subquery()
        connection.execute(delete(files).where(files.c.path.not_in(select(kept.c.path))))
    with service._runtime.catalog.read() as connection:
        loose = references.find_loose(connection, "local")
        stored = connection.execute(select(func.count()).select_from(chunks)).scalar_one()
        held = {digest for (digest,) in connection.execute(select(files.c.chunks))}
    assert len(loose.chunks) == stored - 100
    assert held.isdisjoint(loose.chunks)
    service.close()
