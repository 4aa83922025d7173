"""What a copy refuses: sources in use or damaged, targets with something else, and a copy that is not what was sent."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, insert, select, update

from ctxmgr.errors import DataFolderError
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import postgresql
from ctxmgr.service.catalog.insertion import bulk_insert
from ctxmgr.service.catalog.schema import contexts, meta, nodes, pack_proofs, packs, questions, tasks
from ctxmgr.service.catalog.schemaversion import SCHEMA
from ctxmgr.service.copying import copy, ends, rows
from ctxmgr.service.copying.content import Progress
from ctxmgr.service.copying.copy import copy_service
from ctxmgr.service.copying.ends import Place
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.tasks import places
from tests.support.servers import Database
from tests.unit.service.care.stored import flipped, noise, packs_of
from tests.unit.service.copying.original import catalog_of, opened
from tests.unit.service.servicedoor import binding, busy, fill


class Source:
    """A data folder with one context of four files, in two packs."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder / "source")
        self.root = folder / "w"
        with opened(self.place) as door:
            self.context = door.context()
            files: dict[str, str] = {}
            fill(self.root, files)
            self.session = door.session(binding(self.context), Root=str(self.root))
            for name in ("a", "b"):
                files |= {name: noise(), f"also {name}": noise()}
                fill(self.root, files)
                (task,) = door.sync(self.session)
                assert task["status"] == "Success", task


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


@pytest.fixture
def target(tmp_path: Path) -> Place:
    return Place(tmp_path / "target")


class Cut(Exception):
    """What ends a copy in the middle."""


def half_copy(source: Place, target: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a copy leaves that was ended before the rows."""

    def cut(*_: object) -> dict[str, int]:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(copy, "copy_rows", cut)
        with pytest.raises(Cut):
            copy_service(source, target)


def test_a_half_copy_is_opened_by_no_service_and_completed_by_another_run(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_copy(source.place, target, monkeypatch)
    with pytest.raises(DataFolderError, match=r"a copy that is not complete: run the same 'ctxmgr admin copy' again"):
        ContextService.open(target.folder)
    with pytest.raises(DataFolderError, match="a copy that is not complete"):
        copy_service(target, Place(f"{target.folder}-2"))
    assert copy_service(source.place, target).content.stored == 0
    with opened(target) as door:
        assert door.files(source.context) == ["/a", "/also a", "/also b", "/b"]


def test_programs_that_know_no_copies_refuse_a_half_one_too(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_copy(source.place, target, monkeypatch)
    with catalog_of(target) as catalog, catalog.read() as connection:
        version = connection.execute(meta.select().where(meta.c.key == "schema")).one().value
    assert not version.isdecimal()


def test_what_the_source_has_by_now_is_what_another_run_copies(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_copy(source.place, target, monkeypatch)
    with opened(source.place) as door:
        fill(source.root, {"c": noise()})
        door.sync(source.session)
        door.data("PruneContexts", Retention={"keepLast": 1}, GraceSeconds=0)
    copy_service(source.place, target)
    with catalog_of(target) as catalog, catalog.read() as connection:
        proven = set(connection.execute(select(pack_proofs.c.pack_id)).scalars())
        assert proven == set(connection.execute(select(packs.c.id)).scalars())
    with opened(target) as door:
        assert door.files(source.context) == ["/c"]
        assert door.data("CheckStore", ReadData=True)["Damages"] == []


def refused(source: Place, target: Place, text: str) -> None:
    with pytest.raises(DataFolderError, match=text):
        copy_service(source, target)


def test_where_there_is_nothing_nothing_is_copied_and_nothing_made(tmp_path: Path, target: Place) -> None:
    refused(Place(tmp_path / "none"), target, "nothing to copy in '.*none': it has no catalog")
    assert not (tmp_path / "none").exists()
    assert not Path(target.folder).exists()


def test_an_empty_database_is_no_source(empty_database: Database, tmp_path: Path, target: Place) -> None:
    refused(Place(tmp_path / "served", empty_database.url), target, r"nothing to copy: the catalog .* is empty")
    with empty_database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_the_same_catalog_is_no_target(source: Source) -> None:
    refused(source.place, source.place, "source and target have the same catalog")


def test_a_catalog_that_was_used_is_no_target(source: Source, target: Place) -> None:
    with opened(target) as door:
        door.service.keys.create("a key", "local")
    refused(source.place, target, "has been used, and a copy goes into an empty one")


def test_a_complete_copy_is_no_target(source: Source, target: Place) -> None:
    copy_service(source.place, target)
    refused(source.place, target, r"is a complete copy of '.*source.*', and services may have used it since")


def test_the_half_copy_of_another_service_is_no_target(
    source: Source, target: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "second").mkdir()
    half_copy(Source(tmp_path / "second").place, target, monkeypatch)
    refused(source.place, target, r"unfinished copy of '.*second/source.*', which is another service than '.*source")


def test_a_copy_goes_on_only_with_the_store_it_was_begun_with(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_copy(source.place, target, monkeypatch)
    other = target._replace(store="memory:///")
    refused(source.place, other, r"with its content in '.*target/blobs', not in 'memory://': name that store")


def test_a_copy_goes_on_only_with_the_tables_it_was_begun_with(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_copy(source.place, target, monkeypatch)
    with catalog_of(target) as catalog, catalog.write() as connection:
        mark = json.loads(connection.execute(meta.select().where(meta.c.key == "copy")).one().value)
        later = json.dumps(mark | {"schema": SCHEMA + 1})
        connection.execute(update(meta).where(meta.c.key == "copy").values(value=later))
    refused(source.place, target, f"with schema {SCHEMA + 1}, and this version of ctxmgr makes {SCHEMA}")


def test_a_store_with_packs_is_no_target(source: Source, target: Place, tmp_path: Path) -> None:
    copy_service(source.place, target)
    (Path(target.folder) / "catalog.db").unlink()
    refused(source.place, target, r"the store '.*target/blobs' has packs, and a copy goes into an empty one")


def test_a_source_of_a_newer_version_is_refused(source: Source, target: Place) -> None:
    with catalog_of(source.place) as catalog, catalog.write() as connection:
        connection.execute(update(meta).values(value=str(SCHEMA + 1)))
    refused(source.place, target, f"has schema {SCHEMA + 1}, .* use the newer ctxmgr that wrote it")


def test_a_source_of_an_earlier_version_is_brought_up_first(tmp_path: Path, target: Place) -> None:
    with tarfile.open(Path(__file__).parent.parent / "data" / "schema3.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    copy_service(Place(tmp_path / "data"), target)
    with opened(target) as door:
        assert door.data("CheckStore", ReadData=True)["Damages"] == []
        assert "/deep/b" in door.files(door.context("project"))


def test_a_source_in_use_is_refused_with_who_uses_it(source: Source, target: Place) -> None:
    with opened(source.place):
        refused(source.place, target, f"is in use, .* stop pid {os.getpid()} on .* first")


def test_a_postgresql_source_in_use_is_refused_with_who_uses_it(
    database: Database, tmp_path: Path, target: Place
) -> None:
    place = Place(tmp_path / "served", database.url)
    with opened(place):
        refused(place, target, f"is in use, .* stop pid {os.getpid()} on .* first")


@contextmanager
def being_copied(place: Place) -> Iterator[None]:
    with ends.open_source(place):
        yield


def test_no_service_is_started_on_what_is_being_copied(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "OPEN_TIMEOUT", 0.1)
    with being_copied(source.place), pytest.raises(DataFolderError, match="being opened or copied by another process"):
        ContextService.open(source.place.folder)


def test_no_service_is_started_on_a_database_that_is_being_copied(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "PATIENCE_MS", 100)
    with being_copied(Place(tmp_path / "served", database.url)):
        with pytest.raises(DataFolderError, match="try again"):
            ContextService.open(tmp_path / "other", catalog=database.url)
        refused(
            Place(tmp_path / "third", database.url), Place(tmp_path / "target"), "opened or copied by another process"
        )


def test_a_service_that_came_all_the_same_is_found_before_the_copy_is_complete(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[ContextService] = []
    original = rows.copy_rows

    def copy_rows(*given: Any) -> dict[str, int]:
        with monkeypatch.context() as unlocked:
            unlocked.setattr(places, "opening", lambda _: nullcontext())
            started.append(ContextService.open(source.place.folder))
        return original(*given)

    monkeypatch.setattr(copy, "copy_rows", copy_rows)
    try:
        refused(source.place, target, "is in use")
    finally:
        started[0].close()
    with pytest.raises(DataFolderError, match="a copy that is not complete"):
        ContextService.open(target.folder)


@pytest.mark.parametrize(
    "damage", [lambda pack: pack.unlink(), lambda pack: flipped(pack, 100)], ids=["gone", "flipped"]
)
def test_a_damaged_pack_of_the_source_is_named(source: Source, target: Place, damage: Callable[[Path], object]) -> None:
    pack = packs_of(Path(source.place.folder))[0]
    damage(pack)
    refused(source.place, target, f"not complete: pack {pack.name} is .* in the source '.*source/blobs'")
    with opened(source.place) as door:
        door.data("CheckStore", ReadData=True, Repair=True)
    copy_service(source.place, target)


def test_a_pack_of_which_the_source_has_no_record_is_named(source: Source, target: Place) -> None:
    name = packs_of(Path(source.place.folder))[0].name
    with catalog_of(source.place) as catalog, catalog.write() as connection:
        connection.execute(delete(packs).where(packs.c.id == name))
    refused(source.place, target, f"pack {name} is in the index of the source, which has no record of it")
    with opened(source.place) as door:
        door.data("CheckStore", Repair=True)
    assert copy_service(source.place, target).content.packs_total == 2


def test_a_pack_that_does_not_arrive_as_it_was_sent_is_named(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = BlobStore.put

    def damaging(self: BlobStore, name: str, data: bytes) -> None:
        put(self, name, bytes(data)[:-1] + bytes([data[-1] ^ 1]))

    with monkeypatch.context() as patched:
        patched.setattr(BlobStore, "put", damaging)
        refused(source.place, target, r"pack [0-9a-f]{64} was stored in '.*target/blobs', and is not there as it was")
    assert copy_service(source.place, target).content.stored == 2  # what was damaged is stored anew


def test_a_pack_that_was_damaged_since_it_was_copied_is_stored_anew(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_copy(source.place, target, monkeypatch)
    flipped(packs_of(Path(target.folder))[0], 100)
    assert copy_service(source.place, target).content.stored == 1


def losing(table: Table) -> Callable[..., None]:
    def insert_but_one(connection: Connection, into: Table, given: list[tuple[Any, ...]]) -> None:
        bulk_insert(connection, into, given[1:] if into is table else given)

    return insert_but_one


def changing(table: Table) -> Callable[..., None]:
    def insert_changed(connection: Connection, into: Table, given: list[tuple[Any, ...]]) -> None:
        bulk_insert(connection, into, given)
        if into is table:
            connection.execute(update(table).values(name="other"))

    return insert_changed


@pytest.mark.parametrize(
    ("inserting", "problem"),
    [
        (losing(tasks), r"'tasks' of the copy has \d+ rows, and \d+ were sent"),
        (changing(contexts), r"'contexts' of the copy has 1 rows, as were sent, and they are not the same"),
    ],
    ids=["lost", "changed"],
)
def test_rows_that_are_not_what_was_sent_are_found(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch, inserting: Callable[..., None], problem: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(rows, "bulk_insert", inserting)
        refused(source.place, target, problem)
    with pytest.raises(DataFolderError, match="a copy that is not complete"):
        ContextService.open(target.folder)
    copy_service(source.place, target)


def test_what_a_process_was_running_that_died_has_failed_in_the_copy(source: Source, target: Place) -> None:
    with opened(source.place) as door:
        with busy(door, source.root):
            (task,) = door.data("SyncContext", SessionId=source.session)["TaskIds"]
            unfinished = door.info(source.session, TaskIds=[task])[0]
            assert not unfinished["finishTime"]
            with catalog_of(source.place) as catalog, catalog.read() as connection:
                row = connection.execute(tasks.select().where(tasks.c.id == task)).one()
        door.wait(source.session, [task])
    with catalog_of(source.place) as catalog, catalog.write() as connection:
        connection.execute(tasks.delete().where(tasks.c.id == task))
        connection.execute(insert(tasks).values(row._mapping))
        connection.execute(insert(nodes).values(id=row.node_id, host="here", pid=1, started_ms=1))
    copy_service(source.place, target)
    with catalog_of(target) as catalog, catalog.read() as connection:
        assert connection.execute(nodes.select()).all() == []
    with opened(target) as door:
        (found,) = door.info(source.session, TaskIds=[task])
        assert (found["status"], found["errorMessage"]) == ("Failed", "interrupted: the process that ran it ended")


def test_a_question_that_nobody_waits_for_any_more_stays_behind(source: Source, target: Place) -> None:
    with catalog_of(source.place) as catalog, catalog.write() as connection:
        connection.execute(insert(questions).values(id="q", node_id="node", asked_ms=1, question=b"what?"))
    copy_service(source.place, target)
    with catalog_of(target) as catalog, catalog.read() as connection:
        assert connection.execute(select(questions)).all() == []


def test_a_folder_that_cannot_be_written_is_refused(
    source: Source, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.storage.datafolder._what_keeps_from_writing", lambda _: "it is full")
    refused(source.place, target, "it is full, and a copy has to: it keeps others out")


def test_progress_is_told_by_pack(source: Source, target: Place) -> None:
    told: list[Progress] = []
    copied = copy_service(source.place, target, observe=told.append)
    assert [each.packs_done for each in told] == [0, 1, 2]
    assert {(each.packs_total, each.bytes_total) for each in told} == {(2, copied.content.bytes_total)}
    assert told[-1].bytes_done == copied.content.bytes_total > 20_000
