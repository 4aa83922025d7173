"""Syncs of a workspace that was in step with its context: what they cost, and that they are no different otherwise."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from ctxmgr.engine.content.throttle import TokenBucket
from ctxmgr.engine.manifest.entries import Entry, fingerprint
from ctxmgr.engine.sync import narrow, run
from ctxmgr.engine.sync.options import NO_OPTIONS, SyncOptions
from ctxmgr.engine.sync.port import ContextStore
from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.workspace.narrowscan import scan_differences
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.errors import ServiceError
from ctxmgr.node.contextstore import HttpContextStore
from ctxmgr.service.catalog.schema import revisions
from ctxmgr.service.tasks.contextstore import CatalogContextStore
from tests.support.contextstores import ACCOUNT, ADAPTERS, Keeper
from tests.unit.engine.workspace.test_apply import edits, perform

OUTCOME = ("revision", "files", "deleted", "bytes", "unchanged", "skipped", "nothing_to_sync", "kept_local")


class Side:
    """Syncs with the contexts of one catalog."""

    def __init__(self, keeper: Keeper, store: ContextStore) -> None:
        self.keeper = keeper
        self.store = store
        self.syncs = Syncs(store, NodeFolder(keeper.folder / "node"), ACCOUNT)
        (keeper.folder / "node/locks").mkdir(parents=True, exist_ok=True)
        self.context = self.keeper.context()

    def sync(
        self,
        root: Path,
        mode: str = "upload",
        *,
        context: str = "",
        policy: str = "",
        options: SyncOptions = NO_OPTIONS,
    ) -> dict[str, Any]:
        task = self.keeper.task(context or self.context, mode=mode, policy=policy)
        task = replace(task, options=options)
        self.syncs.run(task, str(root), Monitor(lambda progress: None))
        row = self.keeper.row(task)
        return {name: row[name] for name in OUTCOME}

    def held(self, context: str = "") -> dict[bytes, Entry]:
        return self.store.origins(context or self.context, ["/"]).rows[0]


@contextmanager
def opened(folder: Path, adapter: str) -> Iterator[Side]:
    keeper = Keeper(folder)
    with ADAPTERS[adapter](keeper, ACCOUNT) as store:
        yield Side(keeper, store)
    keeper.catalog.close()


@pytest.fixture(params=ADAPTERS)
def side(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Side]:
    with opened(tmp_path, request.param) as side:
        yield side


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("a", "d/b", "d/e/c", "f/g"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    age(root)
    return root


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """An empty directory that is another workspace of the context."""
    other = tmp_path / "other"
    other.mkdir()
    return other


def age(root: Path) -> None:
    """Wait until what is written next has another time than what is there."""
    probe = root.parent / "probe"
    newest = max(os.lstat(os.path.join(place, name)).st_ctime_ns for place, _, names in os.walk(root) for name in names)
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > newest + 25_000_000:
            return


@pytest.fixture
def nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the whole workspace is scanned nor the whole context read."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("everything is looked at")

    monkeypatch.setattr(run, "scan", refuse)
    for store in (CatalogContextStore, HttpContextStore):
        monkeypatch.setattr(store, "origins", refuse)


@pytest.fixture
def in_step(side: Side, root: Path) -> None:
    side.sync(root)


@pytest.mark.usefixtures("in_step", "nothing_more")
@pytest.mark.parametrize("mode", ["upload", "download"])
def test_where_nothing_changed_nothing_is_read_nor_written(side: Side, root: Path, tmp_path: Path, mode: str) -> None:
    (state,) = (tmp_path / "node/workspaces").iterdir()
    before = fingerprint(state.stat())
    outcome = side.sync(root, mode)
    assert outcome == {
        **dict.fromkeys(("files", "deleted", "bytes", "kept_local"), 0),
        "revision": 1,
        "unchanged": 4,
        "skipped": "[]",
        "nothing_to_sync": True,
    }
    assert fingerprint(state.stat()) == before


@pytest.mark.usefixtures("in_step", "nothing_more")
def test_of_an_edit_only_what_changed_is_uploaded(side: Side, root: Path) -> None:
    (root / "d/b").write_bytes(b"edited")
    (root / "new").write_bytes(b"new")
    (root / "f/g").unlink()
    told = side.sync(root)
    assert (told["files"], told["deleted"], told["unchanged"], told["revision"]) == (2, 1, 2, 2)
    assert side.sync(root)["nothing_to_sync"]


@pytest.mark.usefixtures("in_step")
def test_after_a_restore_that_had_nothing_to_write_nothing_more_is_looked_at(
    side: Side, other: Path, request: pytest.FixtureRequest
) -> None:
    side.sync(other, "download")
    side.sync(other, "download")
    request.getfixturevalue("nothing_more")
    assert side.sync(other, "download")["unchanged"] == 4


@pytest.mark.usefixtures("in_step")
def test_what_another_workspace_uploaded_is_seen(side: Side, root: Path, other: Path) -> None:
    side.sync(other, "download")
    (other / "theirs").write_bytes(b"1")
    side.sync(other)
    assert side.sync(root, "download")["files"] == 1
    assert (root / "theirs").read_bytes() == b"1"


@pytest.mark.usefixtures("in_step")
def test_another_life_of_the_catalog_is_seen(side: Side, root: Path) -> None:
    with side.keeper.catalog.write() as connection:
        connection.execute(update(revisions).values(created_ms=revisions.c.created_ms - 1))
    with (
        patch.object(run, "scan", side_effect=AssertionError("everything is looked at")),
        pytest.raises(AssertionError),
    ):
        side.sync(root)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("since", [0, 1, 2])
def test_what_a_backup_of_the_catalog_did_not_have_is_uploaded_again(
    root: Path, other: Path, tmp_path: Path, adapter: str, ignoring: bool, since: int
) -> None:
    if ignoring:
        (root / ".ctxignore").write_text("*.log")
    data, backup = tmp_path / "data", tmp_path / "backup"
    with opened(data, adapter) as side:
        context = side.context
        side.sync(root)
        with closing(sqlite3.connect(data / "catalog.db")) as catalog:
            catalog.execute("VACUUM INTO ?", (str(backup),))
        (root / "a").write_bytes(b"newer")
        (root / "new").write_bytes(b"new")
        side.sync(root)
    for file in data.glob("catalog.db*"):
        file.unlink()
    backup.rename(data / "catalog.db")
    with opened(data, adapter) as side:
        for number in range(since):
            side.sync(other, "download", context=context)
            (other / "theirs").write_bytes(b"%d" % number)
            side.sync(other, context=context)
        side.sync(root, context=context)
        held = side.held(context)
        assert {name: held[name].size for name in (b"a", b"new")} == {b"a": 5, b"new": 3}
        assert (b"theirs" in held) == (since > 0)


@pytest.mark.usefixtures("in_step")
@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_content_that_was_lost_is_stored_again_though_nothing_changed(side: Side, root: Path, damage: str) -> None:
    (pack,) = side.keeper.stored()
    if damage == "removed":
        pack.unlink()
    else:
        pack.write_bytes(bytes(pack.stat().st_size))
    assert side.sync(root)["nothing_to_sync"]
    assert side.store.lost(side.context, ["/"]) == set()


@pytest.mark.usefixtures("in_step")
def test_a_directory_that_was_emptied_is_filled_by_a_download(side: Side, root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert side.sync(root, "download")["files"] == 4


@pytest.mark.usefixtures("in_step", "nothing_more")
def test_what_can_not_be_synced_is_told_every_time(side: Side, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as special:
        special.bind(os.path.relpath(root / "d/socket"))
        for _ in range(2):
            assert "d/socket" in side.sync(root)["skipped"]


@pytest.mark.usefixtures("in_step")
def test_a_head_that_moves_meanwhile_is_merged_with(side: Side, root: Path, other: Path) -> None:
    side.sync(other, "download")
    (other / "theirs").write_bytes(b"1")
    (root / "mine").write_bytes(b"2")
    plain = scan_differences

    def scan_while_another_uploads(*arguments: Any, **options: Any) -> Any:
        with patch.object(narrow, "scan_differences", plain):
            side.sync(other)
        return plain(*arguments, **options)

    with patch.object(narrow, "scan_differences", scan_while_another_uploads):
        assert side.sync(root)["revision"] == 3
    assert {b"mine", b"theirs"} <= side.held().keys()


@pytest.mark.usefixtures("in_step")
def test_what_is_ignored_from_now_on_stays_in_the_context(side: Side, root: Path) -> None:
    (root / "d/.ctxignore").write_text("*.log\n")
    (root / "d/new.log").write_bytes(b"1")
    (root / "d/b").write_bytes(b"edited")
    for _ in range(2):
        side.sync(root)
        assert side.held().keys() == {b"a", b"d", b"d/.ctxignore", b"d/b", b"d/e", b"d/e/c", b"f", b"f/g"}


@pytest.mark.usefixtures("in_step")
def test_patterns_of_the_request_are_heeded(side: Side, root: Path) -> None:
    (root / "new.log").write_bytes(b"1")
    assert side.sync(root, options=SyncOptions(exclude=("*.log",)))["nothing_to_sync"]
    assert side.sync(root)["files"] == 1


@pytest.mark.usefixtures("in_step")
@pytest.mark.parametrize("left", [False, True])
def test_an_upload_that_would_delete_most_is_refused_where_that_is_guarded(side: Side, root: Path, left: bool) -> None:
    for number in range(40):
        (root / f"d/{number}").write_bytes(b"1")
    side.sync(root)
    shutil.rmtree(root / "d")
    if not left:
        shutil.rmtree(root / "f")
        (root / "a").unlink()
    with pytest.raises(ServiceError, match=r"\[Sync.MassDelete\]"):
        side.sync(root, options=SyncOptions(guard=True))
    assert len(side.held()) == 47
    side.sync(root)
    assert len(side.held()) == (3 if left else 0)


@pytest.mark.usefixtures("in_step", "nothing_more")
def test_a_limit_of_the_rate_is_kept(side: Side, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(TokenBucket, "take", lambda self, size: taken.append(size))
    (root / "a").write_bytes(os.urandom(100_000))
    side.sync(root, options=SyncOptions(limit=1_000_000))
    assert sum(taken) > 100_000


@pytest.mark.usefixtures("in_step")
def test_an_upload_that_deletes_nothing_keeps_what_is_gone(side: Side, root: Path) -> None:
    keeping = '{"uploadPolicy": {}, "deletePolicy": {"syncLocalFile": false}}'
    (root / "a").unlink()
    for _ in range(2):
        assert side.sync(root, policy=keeping)["deleted"] == 0
    assert b"a" in side.held()


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(edits(), min_size=1, max_size=4), st.booleans())
def test_a_narrow_sync_does_and_tells_what_one_of_everything_does(
    steps: list[list[tuple[str, bytes, bytes, int]]], aged: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), "in this process") as side:
        root = Path(folder, "root")
        root.mkdir()
        (root / "always").write_bytes(b"")
        whole = side.keeper.context()
        for changes in [[], *steps, []]:
            perform(os.fsencode(root), changes)
            if aged:
                age(root)
            told = side.sync(root)
            with patch.object(narrow, "_is_in_step", return_value=False):
                expected = side.sync(root, context=whole)
            assert told == expected
            assert side.held() == side.held(whole)
