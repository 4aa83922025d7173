"""Any sequence of edits, syncs, reverts, forks, prunes and kills, compared with a model that keeps all revisions whole.

Two directories are synced with three contexts each. A version of a file is its text and its time, as for the engine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ctxmgr.engine.manifest.entries import FILE
from ctxmgr.engine.sync import run
from ctxmgr.service import ContextService
from ctxmgr.service.care import packs, prune
from ctxmgr.service.catalog import chunkindex, revisions
from ctxmgr.service.storage.blobstore import BlobStore
from tests.unit.service.servicedoor import Door, binding

pytestmark = pytest.mark.slow

Version = tuple[str, int]
Content = dict[str, Version]

TEXTS = ["", "1", "2", "3"]
LENGTH = 500
DIGESTS = {blake3((text * LENGTH).encode()).digest(): text for text in TEXTS}
PLACES = st.tuples(st.integers(0, 1), st.integers(0, 2))
EDITS = st.dictionaries(st.sampled_from(["a", "b", "d/a"]), st.sampled_from([None, *TEXTS, *TEXTS]), max_size=3)

SYNC_MOMENTS: list[tuple[Any, str, bool]] = [
    (run, "save_state", False),
    (run, "save_state", True),
    (revisions, "commit", True),
    (chunkindex.CatalogChunkIndex, "add", False),
    (BlobStore, "put", True),
]
PRUNE_MOMENTS: list[tuple[Any, str, bool]] = [
    (prune, "expire", True),
    (prune, "find_loose", True),
    (prune, "condemn", True),
    (prune, "remove_condemned", True),
    (BlobStore, "put", True),
    (packs, "record_pack", True),
    (packs, "_switch", True),
    (packs, "retire_empty", True),
    (BlobStore, "delete", False),
    (BlobStore, "delete", True),
]


class Killed(BaseException):
    """Ends what is being done where it is, as the end of a process would."""


@contextmanager
def killed(moment: tuple[Any, str, bool], error: type[BaseException]) -> Iterator[None]:
    """End whatever comes to a moment: before (False) or after (True) a call."""
    owner, name, after = moment
    original = getattr(owner, name)

    def die(*args: Any, **kwargs: Any) -> None:
        if after:
            original(*args, **kwargs)
        raise error

    setattr(owner, name, die)
    try:
        yield
    except Killed:
        pass
    finally:
        setattr(owner, name, original)


class StoreModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.door = Door(ContextService.open(self.folder / "data"))
        self.contexts = [self.door.context(f"context-{number}") for number in range(3)]
        self.sessions = []
        for number in range(2):
            bound = [binding(context, f"/{at}") for at, context in enumerate(self.contexts)]
            for at in range(3):
                self.root(number, at).mkdir(parents=True)
            self.sessions.append(self.door.session(*bound, Root=str(self.folder / f"w{number}")))
        # What each context held at each revision that is kept, and what each directory had in common with its context.
        self.history: dict[str, dict[int, Content]] = {context: {} for context in self.contexts}
        self.base: dict[tuple[int, int], Content] = {}
        self.unsure: set[tuple[int, int]] = set()
        self.forks = 0

    def root(self, number: int, at: int) -> Path:
        return self.folder / f"w{number}" / str(at)

    def local(self, place: tuple[int, int]) -> Content:
        found = {}
        for parent, _, names in os.walk(self.root(*place)):
            for name in names:
                file = Path(parent) / name
                found[str(file.relative_to(self.root(*place)))] = (file.read_text()[:1], file.stat().st_mtime_ns)
        return found

    def held(self, context: str, revision: int) -> Content:
        """What the catalog says that a context holds, whose paths begin with those of its binding."""
        with self.door.service._runtime.catalog.read() as connection:
            found = revisions.manifest(connection, context, "/", revision=revision)
        entries = {os.fsdecode(path).partition("/")[2]: entry for path, entry in found.items() if entry.kind == FILE}
        return {path: (DIGESTS[entry.digest], entry.mtime_ns) for path, entry in entries.items()}

    def numbers(self, context: str) -> list[int]:
        listed = self.door.data("ListRevisions", ContextId=context, MaxResults=1000)
        return sorted(item["Revision"] for item in listed)

    def head(self, context: str) -> Content:
        return self.history[context][max(self.history[context])] if self.history[context] else {}

    def learn(self, context: str) -> None:
        """Note the revisions that have come."""
        latest = max(self.history[context], default=0)
        for number in self.numbers(context):
            if number > latest:
                self.history[context][number] = self.held(context, number)

    def edit(self, place: tuple[int, int], edits: dict[str, str | None]) -> None:
        for path, text in edits.items():
            file = self.root(*place) / path
            if text is None:
                file.unlink(missing_ok=True)
            else:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text * LENGTH)

    @rule(place=PLACES, edits=EDITS)
    def upload(self, place: tuple[int, int], edits: dict[str, str | None]) -> None:
        self.edit(place, edits)
        self.sync(place, "upload")

    @rule(place=PLACES, edits=EDITS)
    def upload_and_follow(self, place: tuple[int, int], edits: dict[str, str | None]) -> None:
        self.upload(place, edits)
        self.sync((1 - place[0], place[1]), "download")

    @rule(place=PLACES, edits=EDITS)
    def download(self, place: tuple[int, int], edits: dict[str, str | None]) -> None:
        self.edit(place, edits)
        self.sync(place, "download")

    def sync(self, place: tuple[int, int], mode: str) -> None:
        number, at = place
        context = self.contexts[at]
        local, remote = self.local(place), self.head(context)
        # Who downloads into an empty directory wants the files; one that holds a folder is not empty.
        base = self.base.get(place, {}) if mode == "upload" or any(self.root(*place).iterdir()) else {}
        (task,) = self.door.sync(self.sessions[number], mode, ContextId=context, Path=f"/{at}")
        assert task["status"] == "Success", task
        self.learn(context)
        after = self.head(context) if mode == "upload" else self.local(place)
        for path in {*base, *local, *remote, *after}:
            ours, theirs, before = local.get(path), remote.get(path), base.get(path)
            unchanged = theirs if mode == "upload" else ours
            if place not in self.unsure and ours == before:
                assert after.get(path) == theirs, path
            elif place not in self.unsure and theirs == before:
                assert after.get(path) == ours, path
            else:
                assert after.get(path) in (ours, theirs, unchanged), path
        self.agree(place)

    def agree(self, place: tuple[int, int]) -> None:
        """Note what a directory and its context have in common after a sync."""
        local, remote = self.local(place), self.head(self.contexts[place[1]])
        before = self.base.get(place, {})
        same = {path: local[path] for path in local if local[path] == remote.get(path)}
        self.base[place] = same | {p: before[p] for p in before if p not in same and (p in local or p in remote)}
        if local == remote:
            self.unsure.discard(place)
        elif local.keys() - same.keys() or remote.keys() - same.keys():
            # Whoever lost a conflict: what the engine takes for the base of that path is its own affair.
            self.unsure.add(place)

    @rule(place=PLACES, edits=EDITS, moment=st.sampled_from(SYNC_MOMENTS))
    def upload_killed(
        self, place: tuple[int, int], edits: dict[str, str | None], moment: tuple[Any, str, bool]
    ) -> None:
        self.edit(place, edits)
        number, at = place
        context = self.contexts[at]
        local, remote = self.local(place), self.head(context)
        with killed(moment, OSError):
            self.door.sync(self.sessions[number], "upload", ContextId=context, Path=f"/{at}")
        self.learn(context)
        for path, version in self.head(context).items():
            assert version in (local.get(path), remote.get(path))
        self.unsure.add(place)

    @rule(at=st.integers(0, 2), back=st.integers(0, 5))
    def revert(self, at: int, back: int) -> None:
        context = self.contexts[at]
        known = [0, *sorted(self.history[context])]
        target = known[-1 - min(back, len(known) - 1)]
        ids = self.door.data("RestoreContext", Id=context, Revision=target)["TaskIds"]
        self.door.park(ContextId=context, TaskIds=ids, WaitMs=30_000)
        self.learn(context)
        assert self.head(context) == (self.history[context][target] if target else {})

    @rule(at=st.integers(0, 2), back=st.integers(0, 5))
    def fork(self, at: int, back: int) -> None:
        context = self.contexts[at]
        if self.history[context]:
            known = sorted(self.history[context])
            target = known[-1 - min(back, len(known) - 1)]
            self.forks += 1
            made = self.door.data("ForkContext", Id=context, Name=f"fork-{self.forks}", Revision=target)["Id"]
            self.history[made] = {}
            self.learn(made)
            assert self.head(made) == self.history[context][target]

    @rule(which=st.integers(0, 10))
    def delete_fork(self, which: int) -> None:
        forks = [context for context in self.history if context not in self.contexts]
        if forks:
            gone = forks[which % len(forks)]
            self.door.data("DeleteContext", Id=gone)
            del self.history[gone]

    @rule(last=st.integers(1, 4), grace=st.sampled_from([None, 3600]))
    def prune(self, last: int, grace: int | None) -> None:
        more = {} if grace is None else {"GraceSeconds": grace}
        self.door.data("PruneContexts", Retention={"keepLast": last}, **more)
        for context, known in self.history.items():
            self.history[context] = {number: known[number] for number in sorted(known)[-last:]}
        self.check_everything()

    @rule(last=st.integers(1, 4), moment=st.sampled_from(PRUNE_MOMENTS))
    def prune_killed(self, last: int, moment: tuple[Any, str, bool]) -> None:
        with killed(moment, Killed):
            self.door.data("PruneContexts", Retention={"keepLast": last})
        for context, known in self.history.items():
            found = self.numbers(context)
            assert {*sorted(known)[-last:]} <= {*found} <= {*known}
            self.history[context] = {number: known[number] for number in found}
        self.check_everything()

    @rule()
    def open_again(self) -> None:
        self.door.service.close()
        self.door = Door(ContextService.open(self.folder / "data"))

    @invariant()
    def what_is_kept_is_listed_and_nothing_else(self) -> None:
        for context, known in self.history.items():
            assert self.numbers(context) == sorted(known)

    def check_everything(self) -> None:
        """Compare every file of every revision that is kept, and see that the store is whole."""
        for context, known in self.history.items():
            for number, content in known.items():
                assert self.held(context, number) == content
        checked = self.door.data("CheckStore", ReadData=True)
        assert (checked["Damages"], checked["Affected"]) == ([], [])

    def teardown(self) -> None:
        if hasattr(self, "door"):
            self.check_everything()
            self.door.data("PruneContexts", Retention={"keepLast": 1})
            for context, known in self.history.items():
                self.history[context] = {number: known[number] for number in sorted(known)[-1:]}
            self.check_everything()
            assert self.door.data("GetStoreStats")["LooseBytes"] == 0
            self.door.service.close()
            shutil.rmtree(self.folder)


TestStoreModel = pytest.mark.slow(StoreModel.TestCase)
TestStoreModel.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
