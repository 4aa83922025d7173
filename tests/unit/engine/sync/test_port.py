"""What every ``ContextStore`` has to keep to, whatever it is made of."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.content.packs import Located, seal
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry, Manifest
from ctxmgr.engine.manifest.errors import ContentError, HeadMoved
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.engine.sync.conflicts import Conflicts, MergeConflict
from ctxmgr.engine.sync.port import ContextStore
from ctxmgr.engine.sync.task import Outcome, Progress, Task, TaskInterrupted
from ctxmgr.errors import ServiceError
from tests.support.contextstores import ACCOUNT, ADAPTERS, Keeper

FOLDER = Entry(DIRECTORY, 0o755, 1)
CHUNKS = [b"one", b"two", b"three"]
A = Entry(FILE, 0o644, 2, 3, blake3(CHUNKS[0]).digest(), (blake3(CHUNKS[0]).digest(),))
B = Entry(FILE, 0o600, 4, 8, blake3(b"twothree").digest(), tuple(blake3(chunk).digest() for chunk in CHUNKS[1:]))


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    opened = Keeper(tmp_path)
    yield opened
    opened.catalog.close()


@pytest.fixture(params=list(ADAPTERS))
def store(request: pytest.FixtureRequest, keeper: Keeper) -> Iterator[ContextStore]:
    with ADAPTERS[request.param](keeper, ACCOUNT) as opened:
        yield opened


@pytest.fixture
def another(request: pytest.FixtureRequest, store: ContextStore, keeper: Keeper) -> Iterator[ContextStore]:
    """The store of another account."""
    with ADAPTERS[request.node.callspec.params["store"]](keeper, "another") as opened:
        yield opened


@pytest.fixture
def context(keeper: Keeper) -> str:
    return keeper.context()


@pytest.fixture
def running(store: ContextStore, keeper: Keeper, context: str) -> Task:
    """A task that runs, where the chunks of A and B are stored."""
    stored(store, *CHUNKS)
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


def stored(store: ContextStore, *chunks: bytes) -> Entry:
    """Store the chunks of a file, and return its entry."""
    writer = PackWriter(store.content)
    digests = tuple(writer.add(chunk) for chunk in chunks)
    writer.flush()
    whole = b"".join(chunks)
    return Entry(FILE, 0o644, 2, len(whole), blake3(whole).digest(), digests)


def content(store: ContextStore, **files: Entry) -> dict[str, bytes]:
    found = BlobReader(store.content).contents({os.fsencode(path): entry for path, entry in files.items()})
    return {os.fsdecode(path): b"".join(pieces) for path, pieces in found}


def damage(keeper: Keeper) -> None:
    """Change a byte of each pack that is stored."""
    for file in keeper.stored():
        data = bytearray(file.read_bytes())
        data[0] ^= 1
        file.write_bytes(data)


class TestContent:
    def test_what_is_stored_is_read_back(self, store: ContextStore) -> None:
        small, large = stored(store, b"content"), stored(store, b"a" * 100_000, b"b" * 200_000, b"a" * 100_000)
        assert content(store, small=small, large=large) == {
            "small": b"content",
            "large": b"a" * 100_000 + b"b" * 200_000 + b"a" * 100_000,
        }

    def test_a_chunk_is_missing_until_its_pack_is_stored(self, store: ContextStore) -> None:
        writer = PackWriter(store.content)
        chunk = writer.add(b"content")
        assert store.content.missing([chunk, b"x" * 32]) == {chunk, b"x" * 32}
        assert store.content.locate([chunk, b"x" * 32]) == {}
        writer.flush()
        assert store.content.missing([chunk, b"x" * 32]) == {b"x" * 32}
        assert store.content.locate([chunk, b"x" * 32]).keys() == {chunk}

    def test_of_no_chunks_none_is_missing(self, store: ContextStore) -> None:
        assert (store.content.missing([]), store.content.locate([]), list(store.content.read([]))) == (set(), {}, [])

    def test_more_chunks_than_fit_in_one_question_are_found(self, store: ContextStore) -> None:
        entry = stored(store, *(b"%d" % number for number in range(1_500)))
        assert store.content.locate(entry.chunks).keys() == set(entry.chunks)
        assert store.content.missing(entry.chunks) == set()

    def test_a_pack_that_is_stored_twice_is_stored(self, store: ContextStore) -> None:
        digest = blake3(b"content").digest()
        pack = seal([b"content"], [(digest, 0, 7, 7)])
        for _ in range(2):
            store.content.put(pack)
        assert store.content.locate([digest]) == {digest: Located(pack.name, 0, 7, 7)}
        assert content(store, a=Entry(FILE, 0o644, 0, 7, digest, (digest,))) == {"a": b"content"}

    def test_chunks_are_read_as_they_are_stored_and_in_the_order_asked_for(self, store: ContextStore) -> None:
        noise = random.Random(1)
        chunks = [noise.randbytes(size) for size in (10, 300_000, 20, 5)]
        for chunk in chunks[:2]:
            stored(store, chunk)
        stored(store, *chunks[2:])
        wanted = [chunks[at] for at in (3, 0, 1, 2, 0)]
        places = store.content.locate([blake3(chunk).digest() for chunk in wanted])
        read = store.content.read([places[blake3(chunk).digest()] for chunk in wanted])
        assert [bytes(piece) for piece in read] == wanted

    def test_a_pack_that_is_not_there_is_an_error(self, store: ContextStore) -> None:
        with pytest.raises(ContentError):
            store.content.read([Located("0" * 64, 0, 1, 1)])

    def test_a_read_past_the_end_of_a_pack_is_an_error(self, store: ContextStore) -> None:
        entry = stored(store, b"content")
        (place,) = store.content.locate(entry.chunks).values()
        with pytest.raises(ContentError):
            store.content.read([place._replace(stored=1_000_000, length=1_000_000)])

    def test_what_another_account_has_stored_is_missing(self, store: ContextStore, another: ContextStore) -> None:
        entry = stored(another, b"content")
        assert store.content.missing(entry.chunks) == set(entry.chunks)
        assert store.content.locate(entry.chunks) == {}
        with pytest.raises(ContentError, match="is not stored"):
            content(store, a=entry)

    def test_what_two_accounts_store_alike_is_had_by_both(self, store: ContextStore, another: ContextStore) -> None:
        for each in (store, another):
            assert content(each, a=stored(each, b"content")) == {"a": b"content"}

    def test_what_is_damaged_is_missing_until_it_is_stored_again(self, store: ContextStore, keeper: Keeper) -> None:
        lost = stored(store, b"content")
        damage(keeper)
        kept = stored(store, b"more")
        assert store.content.missing([*lost.chunks, *kept.chunks]) == set(lost.chunks)
        with pytest.raises(ContentError, match="'a' is damaged"):
            content(store, a=lost)
        stored(store, b"content")
        assert store.content.missing([*lost.chunks, *kept.chunks]) == set()
        assert content(store, a=lost) == {"a": b"content"}

    def test_what_is_deleted_is_missing_until_it_is_stored_again(self, store: ContextStore, keeper: Keeper) -> None:
        lost = stored(store, b"content")
        for file in keeper.stored():
            file.unlink()
        assert store.content.missing(lost.chunks) == set(lost.chunks)
        with pytest.raises(ContentError, match="'a' can't be read"):
            content(store, a=lost)
        stored(store, b"content")
        assert content(store, a=lost) == {"a": b"content"}


class TestLost:
    def test_nothing_is_lost_that_is_there(self, store: ContextStore, context: str, running: Task) -> None:
        assert store.lost(context, ["/"]) == set()
        store.commit(running, [change({b"a": stored(store, b"1", b"2"), b"d": FOLDER})], head=0)
        assert store.lost(context, ["/"]) == set()

    def test_what_is_damaged_is_lost_until_it_is_stored_again(
        self, store: ContextStore, keeper: Keeper, context: str, running: Task
    ) -> None:
        store.commit(running, [change({b"a": stored(store, b"1", b"2"), b"b": stored(store, b"3")})], head=0)
        damage(keeper)
        digests = [blake3(chunk).digest() for chunk in (b"1", b"2", b"3")]
        assert store.lost(context, ["/"]) == set(digests)
        stored(store, b"2")
        assert store.lost(context, ["/"]) == {digests[0], digests[2]}

    def test_only_what_the_head_has_below_the_paths_counts(
        self, store: ContextStore, keeper: Keeper, context: str, running: Task
    ) -> None:
        files = {name: stored(store, name) for name in (b"one/a", b"two/b", b"two/c", b"three/d")}
        store.commit(running, [change(files), change({}, b"two/c", current=(b"two/c",))], head=0)
        damage(keeper)
        assert store.lost(context, ["/one", "/two"]) == {blake3(name).digest() for name in (b"one/a", b"two/b")}


class TestUnchanged:
    def unchanged(self, store: ContextStore, context: str, key: str, revision: int = 1) -> bool:
        packs = store.content.holders({blake3(b"1").digest()})
        assert packs is not None
        return store.is_unchanged(context, ["/"], revision=revision, key=key, packs=packs)

    @pytest.fixture
    def key(self, store: ContextStore, context: str, running: Task) -> str:
        store.commit(running, [change({b"a": stored(store, b"1")})], head=0)
        return store.key(context, 1) or ""

    def test_a_head_is_unchanged_until_the_next_revision(
        self, store: ContextStore, keeper: Keeper, context: str, key: str
    ) -> None:
        assert self.unchanged(store, context, key)
        assert not self.unchanged(store, context, "another")
        store.commit(begun(store, keeper, context), [change({b"b": A})], head=1)
        assert not self.unchanged(store, context, key)
        assert key not in ("", store.key(context, 2))

    def test_what_is_damaged_is_not_unchanged(
        self, store: ContextStore, keeper: Keeper, context: str, key: str
    ) -> None:
        damage(keeper)
        assert not self.unchanged(store, context, key)

    def test_a_revision_that_is_not_there_has_no_key(self, store: ContextStore, context: str) -> None:
        assert store.key(context, 5) == ""

    def test_a_chunk_that_is_not_stored_is_held_by_no_packs(self, store: ContextStore, key: str) -> None:
        assert store.content.holders({blake3(b"1").digest(), b"x" * 32}) is None


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
        stored(store, *CHUNKS)
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

    def test_an_entry_refers_to_no_chunk_that_is_not_stored(
        self, store: ContextStore, another: ContextStore, context: str, running: Task
    ) -> None:
        theirs = stored(another, b"what only another account has stored")
        whole = change({b"a": A}), change({b"theirs": theirs}, mount="/sub")
        with pytest.raises(ServiceError, match="theirs") as refused:
            store.commit(running, whole, head=0)
        assert refused.value.code == "InvalidChunk.NotFound"
        assert theirs.chunks[0].hex() in refused.value.message
        assert held(store, context) == (0, {})

    def test_an_entry_that_a_later_change_replaces_refers_to_what_is_stored_too(
        self, store: ContextStore, context: str, running: Task
    ) -> None:
        unstored = Entry(FILE, 0o644, 2, 1, b"x" * 32, (b"x" * 32,))
        with pytest.raises(ServiceError, match=(b"x" * 32).hex()):
            store.commit(running, [change({b"a": unstored}), change({b"a": A}, current=(b"a",))], head=0)
        assert held(store, context) == (0, {})

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
