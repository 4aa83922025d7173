"""The check of a store: it names whatever is damaged, and what that means for which files; and the repair."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from sqlalchemy import delete, func, select, update

from ctxmgr.engine.manifest.entries import Manifest
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.locks import lock_of
from ctxmgr.errors import DataFolderError, ServiceError
from ctxmgr.service import ContextService
from ctxmgr.service.care import care
from ctxmgr.service.catalog.revisions import manifest
from ctxmgr.service.catalog.schema import chunks, contexts, files, packs, revisions
from tests.unit.service.care.stored import Stored, flipped, noise, packs_of
from tests.unit.service.servicedoor import Door, Refused

FIRST = {"a": "first", "dir/b": "second" * 500, "empty": ""}
SECOND = {"a": "changed", "dir/b": "second" * 500, "empty": ""}


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """Two revisions, in a pack each."""
    made = Stored(tmp_path)
    made.sync(FIRST)
    made.sync(SECOND)
    yield made
    made.close()


def check(stored: Stored, **flags: bool) -> dict[str, Any]:
    return dict(stored.door.data("CheckStore", **flags))


def pack_of(stored: Stored, text: str) -> Path:
    """The pack in which a chunk lies."""
    with stored.door.service._runtime.catalog.read() as connection:
        held = select(chunks.c.pack_id).where(chunks.c.digest == blake3(text.encode()).digest())
        name: str = connection.execute(held).scalar_one()
    return stored.data / "blobs" / "packs" / name[:2] / name


def affected(checked: dict[str, Any]) -> set[tuple[str, int, int]]:
    return {(each["Path"], each["FirstRevision"], each["LastRevision"]) for each in checked["Affected"]}


def test_a_whole_store_is_told_by_its_numbers(stored: Stored) -> None:
    checked = check(stored, ReadData=True)
    assert (checked["Damages"], checked["Affected"], checked["UnusedPacks"]) == ([], [], 0)
    assert (checked["Packs"], checked["Chunks"], checked["Files"], checked["Revisions"]) == (2, 3, 4, 2)


def test_a_lost_pack_is_named_with_the_files_and_revisions_it_concerns(stored: Stored) -> None:
    pack = pack_of(stored, "first")
    pack.unlink()
    checked = check(stored)
    assert {"Kind": "pack", "Name": pack.name, "Problem": "it is missing"} in checked["Damages"]
    assert affected(checked) == {("/a", 1, 1), ("/dir/b", 1, 0)}


def test_a_pack_of_another_size_is_damaged(stored: Stored) -> None:
    pack = pack_of(stored, "changed")
    with pack.open("ab") as file:
        file.write(b"more")
    checked = check(stored)
    assert {each["Kind"] for each in checked["Damages"]} == {"pack"}
    assert "bytes, and had" in checked["Damages"][0]["Problem"]


def test_a_damaged_chunk_concerns_the_files_that_refer_to_it_alone(stored: Stored) -> None:
    flipped(pack_of(stored, "first"), 0)
    assert check(stored)["Damages"] == [], "its size and its table are as they were"
    checked = check(stored, ReadData=True)
    assert {each["Kind"] for each in checked["Damages"]} == {"pack", "chunk"}
    assert affected(checked) == {("/a", 1, 1)}


def test_a_pack_of_a_newer_format_is_refused_clearly(stored: Stored) -> None:
    pack = pack_of(stored, "changed")
    flipped(pack, pack.stat().st_size - 1)
    (damage,) = check(stored)["Damages"]
    assert "written by a newer ctxmgr" in damage["Problem"]


def test_every_byte_of_every_pack_is_found_to_be_damaged(stored: Stored) -> None:
    for pack in packs_of(stored.data):
        for place in range(pack.stat().st_size):
            back = flipped(pack, place)
            assert check(stored, ReadData=True)["DamagesTotal"], f"byte {place} of {pack.name}"
            back()
    assert check(stored, ReadData=True)["Damages"] == []


@pytest.mark.slow
def test_a_damaged_byte_never_restores_to_a_wrong_file(stored: Stored) -> None:
    for pack in packs_of(stored.data):
        for place in range(0, pack.stat().st_size, 5):
            back = flipped(pack, place)
            for revision, wanted in ((1, FIRST), (2, SECOND)):
                for path, text in wanted.items():
                    with suppress(ContentError):
                        assert stored.read(f"/{path}", revision) == text.encode()
            restored = stored.restored()
            assert all(SECOND[path] == text for path, text in restored.items())
            back()


@pytest.mark.slow
def test_a_damaged_bit_of_the_catalog_is_refused_or_found_or_changes_no_file(stored: Stored) -> None:
    before = entries(stored)
    stored.close()
    catalog = stored.data / "catalog.db"
    with closing(sqlite3.connect(catalog)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = catalog.read_bytes()
    written = [place for place, byte in enumerate(whole) if byte]
    chosen = random.Random(1)
    for place in chosen.sample(written, 60):
        for file in stored.data.glob("catalog.db*"):
            file.unlink()
        catalog.write_bytes(whole)
        flipped(catalog, place)
        try:
            stored.door = Door(ContextService.open(stored.data))
        except DataFolderError:
            continue
        with closing(stored.door.service), suppress(Refused, ServiceError):
            if not check(stored)["DamagesTotal"]:
                assert entries(stored) == before, f"byte {place}"
    for file in stored.data.glob("catalog.db*"):
        file.unlink()
    catalog.write_bytes(whole)
    stored.door = Door(ContextService.open(stored.data))
    assert entries(stored) == before


def entries(stored: Stored) -> list[Manifest]:
    """What the catalog says of the context at its two revisions."""
    with stored.door.service._runtime.catalog.read() as connection:
        return [manifest(connection, stored.context, "/", revision=number) for number in (1, 2)]


@pytest.mark.parametrize(
    ("damage", "kind", "problem"),
    [
        (delete(chunks), "file", "of its 1 chunks are not stored"),
        (update(chunks).values(length=chunks.c.length + 1), "file", "and its chunks have"),
        (delete(packs), "pack", "the catalog has no record of it"),
        (update(packs).values(size=packs.c.size + 1), "pack", "when it was stored"),
        (update(chunks).values(offset=chunks.c.offset + 1), "pack", "are not in its table"),
        (update(contexts).values(head=3), "context", "its head is revision 3, and there is no such revision"),
        (update(contexts).values(head=1), "revision", "the head is 1"),
        (delete(revisions).where(revisions.c.number == 1), "file", "it came with revision 1"),
        (update(files).where(files.c.path == b"/a").values(mode=2**20), "file", "its mode is"),
        (update(files).where(files.c.path == b"/a").values(kind="pipe"), "file", "it is a 'pipe'"),
        (update(files).where(files.c.path == b"/a").values(path=b"a"), "file", "its path is not absolute"),
        (update(files).where(files.c.path == b"/a").values(size=1), "file", "it has 1 bytes, and its chunks have"),
        (update(files).where(files.c.path == b"/a").values(digest=b"0"), "file", "digests have the wrong length"),
        (update(files).where(files.c.path == b"/a").values(digest=b"0" * 32), "file", "not that of its only chunk"),
        (update(files).where(files.c.rev_to == 2).values(rev_to=9), "file", "ended with 9, and the head is 2"),
        (update(files).where(files.c.path == b"/a").values(mtime_ns=1), "file", "is not what was written"),
        (update(files).where(files.c.path == b"/a").values(mode=0o777), "file", "is not what was written"),
        (update(files).where(files.c.path == b"/a").values(path=b"/b"), "file", "is not what was written"),
        (delete(contexts), "context", "and no context of that id"),
    ],
)
def test_rows_that_do_not_agree_are_named(stored: Stored, damage: Any, kind: str, problem: str) -> None:
    with stored.door.service._runtime.catalog.write() as connection:
        connection.execute(damage)
    found = check(stored)["Damages"]
    assert any(each["Kind"] == kind and problem in each["Problem"] for each in found), found


def test_reverts_forks_and_rows_of_earlier_versions_are_no_damage(stored: Stored) -> None:
    ids = stored.door.data("RestoreContext", Id=stored.context, Revision=1)["TaskIds"]
    stored.door.park(ContextId=stored.context, TaskIds=ids, WaitMs=30_000)
    stored.door.data("ForkContext", Id=stored.context, Name="fork", Revision=2)
    assert check(stored)["Damages"] == []
    with stored.door.service._runtime.catalog.write() as connection:
        connection.execute(update(files).where(files.c.path == b"/a").values(seal=None))
    assert check(stored)["Damages"] == []


def test_a_damaged_database_is_told_of(stored: Stored) -> None:
    with stored.door.service._runtime.catalog.write() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql("DELETE FROM sqlite_schema WHERE name = 'bindings_of_context'")
    stored.door.service._runtime.catalog.close()
    (damage,) = check(stored)["Damages"]
    assert damage["Kind"] == "catalog"


def test_packs_that_nobody_recorded_are_no_damage(stored: Stored) -> None:
    name = "ab" * 32
    stray = stored.data / "blobs" / "packs" / "ab" / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"of a writer that was killed")
    checked = check(stored, ReadData=True)
    assert (checked["Damages"], checked["UnusedPacks"]) == ([], 1)


def test_accounts_of_a_server_can_not_have_everything_read(stored: Stored) -> None:
    answer = stored.door.service.handle("CheckStore", {}, base_url="https://ctxmgr.example")
    assert (answer["Success"], answer["Code"]) == (False, "Forbidden.Operator")
    assert "run 'ctxmgr check --data FOLDER' where the service keeps its data" in answer["Message"]


def test_what_a_directory_still_has_is_healed_by_its_next_sync(stored: Stored) -> None:
    flipped(pack_of(stored, "changed"), 0)
    flipped(pack_of(stored, "first"), 0)
    checked = check(stored, ReadData=True, Repair=True)
    assert checked["Repaired"] == 2
    still = check(stored, ReadData=True)
    assert affected(still) == {("/a", 1, 1), ("/a", 2, 0)}
    stored.sync(SECOND)
    still = check(stored, ReadData=True)
    assert affected(still) == {("/a", 1, 1)}, "no directory has what was there before"
    assert stored.restored() == SECOND


def pack_damages(checked: dict[str, Any]) -> list[dict[str, Any]]:
    return [damage for damage in checked["Damages"] if damage["Kind"] == "pack"]


def test_what_is_whole_in_a_damaged_pack_is_stored_in_another(stored: Stored) -> None:
    stored.sync(SECOND | {"x": noise(), "y": noise()})
    with stored.door.service._runtime.catalog.read() as connection:
        shared = select(chunks.c.pack_id).group_by(chunks.c.pack_id).having(func.count() > 1)
        rows = select(chunks).where(chunks.c.pack_id.in_(shared)).order_by(chunks.c.pack_id, chunks.c.offset)
        damaged = connection.execute(rows).all()[0]
    flipped(stored.data / "blobs" / "packs" / damaged.pack_id[:2] / damaged.pack_id, damaged.offset)
    before = check(stored, ReadData=True, Repair=True)
    assert (len(pack_damages(before)), before["Repaired"]) == (1, 1)
    after = check(stored, ReadData=True)
    assert pack_damages(after) == []
    assert after["Affected"] == before["Affected"]


def test_a_pack_of_which_the_table_alone_is_damaged_is_stored_anew(stored: Stored) -> None:
    pack = pack_of(stored, "changed")
    flipped(pack, pack.stat().st_size - 1)
    before = check(stored, ReadData=True, Repair=True)
    assert {damage["Name"] for damage in pack_damages(before)} == {pack.name}
    assert before["Repaired"] == 0
    stored.assert_whole()
    assert stored.restored() == SECOND


def test_a_repair_touches_nothing_that_is_whole(stored: Stored) -> None:
    assert check(stored, ReadData=True, Repair=True)["Repaired"] == 0
    stored.assert_whole()
    assert stored.restored() == SECOND


def test_a_check_beside_another_process_waits_for_its_prune(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(care, "LOCK_TIMEOUT", 0.05)
    refusal = pytest.raises(Refused, match="another process prunes or checks the same data folder")
    with lock_of(stored.data / "locks" / "care.lock"), refusal as refused:
        check(stored)
    assert refused.value.code == "ServiceUnavailable.Busy"
    check(stored)
