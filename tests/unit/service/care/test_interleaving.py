"""A sync and a prune, step by step in every order: nothing that a commit refers to is ever lost.

The steps of an upload are those of the engine: it asks what is missing, stores that, and commits. Those of a prune are
the transactions and removals that it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
from blake3 import blake3

from ctxmgr.engine.content.packs import SealedPack, seal
from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from ctxmgr.service.api.transfer import read_file
from ctxmgr.service.care import packs
from ctxmgr.service.care.prune import free_room
from ctxmgr.service.care.references import condemn, find_loose, remove_condemned
from ctxmgr.service.catalog import contextfiles, contexts
from ctxmgr.service.catalog.chunkindex import check_stored
from ctxmgr.service.tasks.runtime import Runtime

CONTENT = b"what is stored, and belongs to nothing at first"
DIGEST = blake3(CONTENT).digest()
FOREVER = 2**60


def sealed() -> SealedPack:
    return seal([CONTENT], [(DIGEST, 0, len(CONTENT), len(CONTENT))])


class Scene:
    """One account with one context, and a chunk that nothing refers to, if it is there at all."""

    def __init__(self, runtime: Runtime, account: str) -> None:
        self.runtime = runtime
        self.account = account
        self.content = runtime.store(account).content
        with runtime.catalog.write() as connection:
            self.context = contexts.create(connection, account, "project").id
        self.refused = False

    def upload(self) -> Iterator[None]:
        """The steps of an upload; its commit may be refused."""
        missing = self.content.missing([DIGEST])
        yield
        if missing:
            self.content.put(sealed())
        yield
        try:
            self.commit()
        except ServiceError as error:
            self.refused = error.code == "InvalidChunk.NotFound"
        yield

    def commit(self) -> None:
        entry = Entry(FILE, 0o644, 0, len(CONTENT), DIGEST, (DIGEST,))
        with self.runtime.catalog.write() as connection:
            check_stored(connection, self.account, [(b"/file", entry)])
            contextfiles.put(connection, self.context, b"/file", entry, note="file")

    def prune(self, grace_ms: int) -> Iterator[None]:
        """The steps of a prune at the end of time, so that whatever has a grace period of less has had it."""
        catalog, store = self.runtime.catalog, self.runtime._packs
        with catalog.read() as connection:
            loose = find_loose(connection, self.account)
        yield
        condemn(catalog, loose, FOREVER, young=())
        yield
        remove_condemned(catalog, loose, FOREVER - grace_ms)
        yield
        packs.retire_empty(catalog, FOREVER)
        yield
        packs.remove_retired(catalog, store, FOREVER - grace_ms)
        yield
        packs.remove_orphans(catalog, store, FOREVER if not grace_ms else 0)
        yield

    def read(self) -> bytes:
        return b"".join(read_file(self.runtime, self.account, self.context, b"/file").content)

    def end(self) -> None:
        """Upload again what was refused, read it, and see that all of it goes with its context."""
        if self.refused:
            for _ in self.upload():
                pass
        assert self.read() == CONTENT
        report = self.runtime.care.check(read_data=False, mend=False)
        assert (report.damages, report.affected) == ([], [])
        with self.runtime.catalog.write() as connection:
            contexts.remove(connection, self.account, self.context)
        free_room(self.runtime.catalog, self.runtime._packs, alone=lambda: True, clock=lambda: FOREVER)
        assert list(self.runtime._packs.packs()) == []


def orders(first: int, second: int) -> Iterator[list[bool]]:
    """Every order in which the steps of two can come, each one's own in order; True is a step of the first."""
    for places in combinations(range(first + second), first):
        yield [place in places for place in range(first + second)]


def nothing(scene: Scene) -> None:
    """The chunk is not there."""


def loose(scene: Scene) -> None:
    """It is stored, and nothing refers to it."""
    scene.content.put(sealed())


def condemned(scene: Scene) -> None:
    """It is also condemned already."""
    loose(scene)
    with scene.runtime.catalog.read() as connection:
        found = find_loose(connection, scene.account)
    condemn(scene.runtime.catalog, found, FOREVER, young=())


def orphaned(scene: Scene) -> None:
    """Its pack was stored by a writer that was killed before it could record it."""
    scene.runtime._packs.put(sealed().name, sealed().data)


def retired(scene: Scene) -> None:
    """Its pack was emptied, and is about to be removed."""
    condemned(scene)
    with scene.runtime.catalog.read() as connection:
        found = find_loose(connection, scene.account)
    remove_condemned(scene.runtime.catalog, found, FOREVER)
    packs.retire_empty(scene.runtime.catalog, FOREVER)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    service = ContextService.open(tmp_path_factory.mktemp("interleaved") / "data")
    yield service._runtime
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize("before", [nothing, loose, condemned, orphaned, retired], ids=lambda before: before.__name__)
@pytest.mark.parametrize("grace_ms", [0, 1000], ids=["without grace", "with grace"])
def test_whatever_the_order_of_their_steps_nothing_is_lost(
    runtime: Runtime, before: Callable[[Scene], None], grace_ms: int
) -> None:
    for order in orders(3, 6):
        scene = Scene(runtime, "interleaved")
        before(scene)
        upload, prune = scene.upload(), scene.prune(grace_ms)
        for of_upload in order:
            next(upload if of_upload else prune)
        if before is loose and grace_ms:
            assert not scene.refused, "whoever was told that it is there has the grace to commit"
        scene.end()


def test_without_a_grace_a_commit_is_refused_rather_than_left_without_content(runtime: Runtime) -> None:
    scene = Scene(runtime, "refused")
    loose(scene)
    upload = scene.upload()
    next(upload)
    for _ in scene.prune(0):
        pass
    next(upload)
    next(upload)
    assert scene.refused
    scene.end()


def test_a_pack_that_vanishes_while_it_is_stored_is_stored_again(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the file and its record, whoever removes packs that nobody recorded may take it for an old one."""
    scene = Scene(runtime, "vanished")
    store = runtime._packs
    stored = store.put
    times = []

    def put(name: str, data: bytes) -> None:
        stored(name, data)
        times.append(name)
        if len(times) == 1:
            packs.remove_orphans(runtime.catalog, store, FOREVER)

    monkeypatch.setattr(store, "put", put)
    scene.content.put(sealed())
    assert len(times) == 2
    scene.commit()
    scene.end()


def test_a_reader_has_a_grace_after_its_pack_was_written_anew(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(runtime, "reader")
    scene.content.put(sealed())
    scene.commit()
    places = scene.content.locate([DIGEST])
    monkeypatch.setattr(packs, "FEWEST_SMALL", 1)
    assert packs.repack(runtime.catalog, runtime._packs).packs == 1
    packs.retire_empty(runtime.catalog, FOREVER)
    packs.remove_retired(runtime.catalog, runtime._packs, FOREVER - 1)
    (data,) = scene.content.read([places[DIGEST]])
    assert bytes(data) == CONTENT
    scene.end()
