"""What every ``ContextStore`` has to keep to, whatever it is made of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry, Manifest
from ctxmgr.engine.manifest.errors import ContentError, HeadMoved
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.engine.sync.conflicts import Conflicts, MergeConflict
from ctxmgr.engine.sync.port import ContextStore
from ctxmgr.engine.sync.task import Outcome, Progress, Task, TaskInterrupted
from ctxmgr.errors import ServiceError
from tests.support.contextstores import ADAPTERS, Keeper

FOLDER = Entry(DIRECTORY, 0o755, 1)
A = Entry(FILE, 0o644, 2, 3, b"a" * 32, (b"a" * 32,))
B = Entry(FILE, 0o600, 4, 5, b"b" * 32, (b"b" * 32, b"c" * 32))


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    opened = Keeper(tmp_path)
    yield opened
    opened.catalog.close()


@pytest.fixture(params=list(ADAPTERS))
def store(request: pytest.FixtureRequest, keeper: Keeper) -> Iterator[ContextStore]:
    with ADAPTERS[request.param](keeper) as opened:
        yield opened


@pytest.fixture
def context(keeper: Keeper) -> str:
    return keeper.context()


@pytest.fixture
def running(store: ContextStore, keeper: Keeper, context: str) -> Task:
    return begun(store, keeper, context)


def begun(store: ContextStore, keeper: Keeper, context: str) -> Task:
    task = keeper.task(context)
    store.start(task)
    return task


def change(
    put: Manifest, *drop: bytes, mount: str = "/", current: tuple[bytes, ...] = (), workspace: str = ""
) -> RowChange:
    return RowChange(mount, put, list(drop), {*current, *drop}, "test", workspace)


def held(store: ContextStore, context: str, path: str = "/") -> tuple[int, dict[bytes, Entry]]:
    origins = store.origins(context, [path])
    return origins.head, origins.rows[0]


class TestContent:
    def test_what_is_stored_is_read_back(self, store: ContextStore) -> None:
        writer = PackWriter(store.packs, store.chunks)
        digest = writer.add(b"content")
        writer.flush()
        entry = Entry(FILE, 0o644, 0, 7, digest, (digest,))
        found = BlobReader(store.packs, store.chunks).contents({b"a": entry})
        assert [(path, b"".join(pieces)) for path, pieces in found] == [(b"a", b"content")]

    def test_a_chunk_is_missing_until_its_pack_is_stored(self, store: ContextStore) -> None:
        writer = PackWriter(store.packs, store.chunks)
        digest = writer.add(b"content")
        assert store.chunks.locate([digest, b"x" * 32]) == {}
        writer.flush()
        assert store.chunks.locate([digest, b"x" * 32]).keys() == {digest}

    def test_more_chunks_than_fit_in_one_question_are_found(self, store: ContextStore) -> None:
        writer = PackWriter(store.packs, store.chunks)
        digests = [writer.add(b"%d" % number) for number in range(1_500)]
        writer.flush()
        assert store.chunks.locate(digests).keys() == set(digests)

    def test_a_pack_that_is_not_there_is_an_error(self, store: ContextStore) -> None:
        with pytest.raises(ContentError):
            store.packs.read("0" * 64, 0, 1)

    def test_a_read_past_the_end_of_a_pack_is_an_error(self, store: ContextStore) -> None:
        writer = PackWriter(store.packs, store.chunks)
        digest = writer.add(b"content")
        writer.flush()
        place = store.chunks.locate([digest])[digest]
        with pytest.raises(ContentError):
            store.packs.read(place.pack, place.offset, place.offset + 1_000_000)


class TestOrigins:
    def test_a_new_context_is_empty_at_revision_0(self, store: ContextStore, context: str) -> None:
        assert held(store, context) == (0, {})

    def test_paths_are_relative_to_the_one_that_was_asked_for(
        self, store: ContextStore, context: str, running: Task
    ) -> None:
        store.commit(running, [change({b"d": FOLDER, b"d/a": A}, mount="/data")], head=0)
        assert held(store, context) == (1, {b"data": Entry(DIRECTORY, 0o755), b"data/d": FOLDER, b"data/d/a": A})
        assert held(store, context, "/data") == (1, {b"d": FOLDER, b"d/a": A})
        assert held(store, context, "/dat") == (1, {})

    def test_several_paths_are_told_apart(self, store: ContextStore, context: str, running: Task) -> None:
        store.commit(running, [change({b"one/a": A, b"two/b": B})], head=0)
        origins = store.origins(context, ["/two", "/one", "/three"])
        assert (origins.head, origins.paths) == (1, ("/two", "/one", "/three"))
        assert origins.rows == ({b"b": B}, {b"a": A}, {})

    def test_a_file_in_the_place_of_one_of_several_paths_is_told(
        self, store: ContextStore, context: str, running: Task
    ) -> None:
        store.commit(running, [change({b"one": A, b"two/b": B})], head=0)
        assert store.origins(context, ["/one/deep", "/two"]).in_the_way == (b"/one",)

    def test_head_and_content_are_of_one_revision(
        self, store: ContextStore, keeper: Keeper, context: str, running: Task
    ) -> None:
        def commit_on_and_on() -> None:
            for head in range(40):
                current = (b"a", b"b") if head else ()
                entry = msgspec.structs.replace(A, mode=head + 1)
                store.commit(running, [change({b"a": entry, b"b": entry}, current=current)], head=head)

        writing = threading.Thread(target=commit_on_and_on)
        writing.start()
        seen = []
        while writing.is_alive():
            seen.append(store.origins(context, ["/"]))
        writing.join()
        torn = [o for o in seen if {entry.mode for entry in o.rows[0].values()} - {o.head}]
        assert (held(store, context)[0], torn) == (40, [])

    def test_names_that_are_not_utf8_are_kept(self, store: ContextStore, context: str, running: Task) -> None:
        store.commit(running, [change({b"\xff\xfe": A})], head=0)
        assert held(store, context) == (1, {b"\xff\xfe": A})

    def test_a_context_that_is_not_there_is_refused(self, store: ContextStore) -> None:
        with pytest.raises(ServiceError, match=r"there is no context"):
            store.origins("SdkCtx-unknown", ["/"])


class TestCommit:
    def test_a_change_becomes_the_next_revision(self, store: ContextStore, context: str, running: Task) -> None:
        store.commit(running, [change({b"a": A, b"b": B})], head=0)
        store.commit(running, [change({b"a": B}, b"b", current=(b"a",))], head=1)
        assert held(store, context) == (2, {b"a": B})

    def test_several_changes_become_revisions_one_after_another(
        self, store: ContextStore, context: str, running: Task
    ) -> None:
        store.commit(running, [change({b"a": A}), change({b"a": B}, current=(b"a",))], head=0)
        assert held(store, context) == (2, {b"a": B})

    def test_a_change_of_an_earlier_head_changes_nothing(
        self, store: ContextStore, keeper: Keeper, context: str, running: Task
    ) -> None:
        store.commit(running, [change({b"a": A})], head=0)
        late = begun(store, keeper, context)
        with pytest.raises(HeadMoved):
            store.commit(late, [change({b"b": B}), change({b"c": B})], head=0, outcome=Outcome(2))
        assert held(store, context) == (1, {b"a": A})
        assert keeper.row(late)["status"] == "Running"

    def test_of_many_that_commit_on_one_head_one_wins(self, store: ContextStore, keeper: Keeper, context: str) -> None:
        contenders = [begun(store, keeper, context) for _ in range(8)]
        lost: list[Task] = []

        def contend(task: Task) -> None:
            try:
                store.commit(task, [change({task.id.encode(): A})], head=0, outcome=Outcome(1))
            except HeadMoved:
                lost.append(task)

        threads = [threading.Thread(target=contend, args=[task]) for task in contenders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = (task for task in contenders if task not in lost)
        assert held(store, context) == (1, {winner.id.encode(): A})
        assert [task for task in contenders if keeper.row(task)["status"] == "Success"] == [winner]

    def test_the_revision_and_the_success_of_its_task_are_one(
        self, store: ContextStore, keeper: Keeper, context: str, running: Task
    ) -> None:
        keeper.fail(running)
        with pytest.raises(TaskInterrupted):
            store.commit(running, [change({b"a": A})], head=0, outcome=Outcome(1))
        assert held(store, context) == (0, {})

    def test_what_a_task_met_is_kept_with_the_versions_it_is_about(
        self, store: ContextStore, keeper: Keeper, running: Task
    ) -> None:
        met = Conflicts()
        met.add([MergeConflict("a", "context", "file", 1, "/a")])
        store.commit(replace(running, conflicts=met), [change({b"a": A})], head=0)
        assert keeper.row(running)["conflicts_total"] == 1
        late = replace(running, conflicts=Conflicts())
        with pytest.raises(HeadMoved):
            store.commit(late, [change({b"b": B})], head=0)
        assert keeper.row(running)["conflicts_total"] == 1

    def test_an_outcome_is_kept(self, store: ContextStore, keeper: Keeper, running: Task) -> None:
        outcome = Outcome(
            1, files=2, deleted=3, bytes=4, unchanged=5, skipped='[["a", "b"]]', progress=Progress(2, 2, 4, 4)
        )
        store.commit(running, [change({b"a": A})], head=0, outcome=outcome)
        row = keeper.row(running)
        assert row["status"] == "Success"
        assert [row[name] for name in ("revision", "files", "deleted", "bytes", "unchanged", "skipped")] == [
            *(1, 2, 3, 4, 5, '[["a", "b"]]')
        ]
        assert (row["files_done"], row["bytes_total"]) == (2, 4)

    def test_without_a_change_any_head_will_do(self, store: ContextStore, keeper: Keeper, running: Task) -> None:
        store.commit(running, [], head=7, outcome=Outcome(7, nothing_to_sync=True))
        assert (keeper.row(running)["status"], keeper.row(running)["nothing_to_sync"]) == ("Success", True)

    def test_a_context_that_was_deleted_is_not_made_again(
        self, store: ContextStore, keeper: Keeper, context: str, running: Task
    ) -> None:
        keeper.remove(context)
        with pytest.raises(ServiceError, match="there is no context"):
            store.commit(running, [change({b"a": A})], head=0, outcome=Outcome(1))


class TestUploadedSince:
    def test_a_workspace_learns_what_it_put_and_ended(self, store: ContextStore, context: str, running: Task) -> None:
        store.commit(running, [change({b"d/a": A, b"d/b": B}, workspace="w")], head=0)
        store.commit(running, [change({b"d/c": A}, b"d/b", workspace="w")], head=1)
        found = store.uploaded_since(context, "/d", workspace="w", revision=1)
        assert found == {b"b": None, b"c": A}
        assert store.uploaded_since(context, "/d", workspace="w", revision=0) == {b"a": A, b"b": None, b"c": A}

    def test_what_others_uploaded_is_not_its_own(self, store: ContextStore, context: str, running: Task) -> None:
        store.commit(running, [change({b"a": A}, workspace="other")], head=0)
        assert store.uploaded_since(context, "/", workspace="w", revision=0) == {}


class TestTask:
    def test_a_task_begins_once(self, store: ContextStore, keeper: Keeper, running: Task) -> None:
        assert keeper.row(running)["status"] == "Running"
        with pytest.raises(TaskInterrupted):
            store.start(running)

    def test_a_task_that_has_ended_does_not_begin(self, store: ContextStore, keeper: Keeper, context: str) -> None:
        task = keeper.task(context)
        keeper.fail(task)
        with pytest.raises(TaskInterrupted):
            store.start(task)

    def test_a_task_of_another_node_does_not_begin(self, store: ContextStore, keeper: Keeper, context: str) -> None:
        task = keeper.task(context)
        with pytest.raises(TaskInterrupted):
            store.start(replace(task, node_id="node-of-another"))

    def test_others_see_how_far_it_is(self, store: ContextStore, keeper: Keeper, running: Task) -> None:
        store.report(running, Progress(4, 1, 100, 25))
        row = keeper.row(running)
        assert [row[name] for name in ("files_total", "files_done", "bytes_total", "bytes_done")] == [4, 1, 100, 25]

    def test_who_reports_learns_that_it_was_ended(self, store: ContextStore, keeper: Keeper, running: Task) -> None:
        keeper.fail(running)
        with pytest.raises(TaskInterrupted):
            store.report(running, Progress())

    def test_the_policy_is_that_of_the_binding(self, store: ContextStore, keeper: Keeper, context: str) -> None:
        task = keeper.task(context, mount="/data", policy='{"mappingPolicy": {"path": "/elsewhere"}}')
        assert store.policy(task).origins == ("/elsewhere",)

    def test_a_binding_that_ended_has_no_policy(self, store: ContextStore, keeper: Keeper, context: str) -> None:
        task = keeper.task(context)
        keeper.fail(task)
        keeper.unbind(task)
        with pytest.raises(ServiceError, match="does not bind"):
            store.policy(task)
