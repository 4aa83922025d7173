"""A service whose database or object store goes and comes back: nothing is untrue meanwhile, and all goes on after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Event, Semaphore, Thread

import pytest
import requests

from ctxmgr import Client, ContextSyncResult, CtxmgrError, Session
from tests.support.keeping import Elsewhere
from tests.support.servers import PASSWORD, SECRET, PostgreSQLServer, SeaweedServer, postgresql, seaweedfs

from .serving import Serving
from .test_http_command import command
from .test_scale import made_key, served

PATIENCE = 90.0

OUTAGES = int(os.environ.get("CTXMGR_TEST_OUTAGES", "2"))
"""Of each part, while syncs run."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240 + 60 * OUTAGES)]


class Parts:
    """A service with parts of its own, and a directory that it keeps.

    Attributes:
        database, store: the parts.
        server: the service.
        places: where it keeps what it keeps.
        key: opens it.
        directory: what a session's context is synced with.
        session: that session.
    """

    def __init__(self, stack: ExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database: PostgreSQLServer = stack.enter_context(postgresql())
        self.store: SeaweedServer = stack.enter_context(seaweedfs())
        for name, value in self.store.environment.items():
            monkeypatch.setenv(name, value)
        self.places = Elsewhere(catalog=self.database.database().url, store="s3://ctxmgr/away")
        self.key = made_key(folder / "server", self.places)
        self.server: Serving = served(stack, folder / "server", self.places)
        self.directory = folder / "directory"
        self.directory.mkdir()
        self._folder = folder
        self._stack = stack
        self.session = self._session_at(self.directory)

    def sync(self) -> ContextSyncResult:
        return self.session.context.sync()

    def client(self) -> Client:
        return self._stack.enter_context(Client(endpoint=self.server.address, api_key=self.key))

    def restored(self, name: str) -> dict[str, str]:
        """Return what another process finds in the context."""
        there = self._folder / name
        there.mkdir()
        self._session_at(there).context.sync(mode="download").raise_for_error()
        return held(there)

    def _session_at(self, directory: Path) -> Session:
        client = self.client()
        project = client.contexts.get("project", create=True).context
        return client.sessions.create(directory, {"/": project}).raise_for_error().session


def held(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in directory.iterdir()}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:
        yield Parts(stack, tmp_path, monkeypatch)


def test_a_database_that_was_away_costs_time_alone(parts: Parts) -> None:
    (parts.directory / "before").write_text("1")
    parts.sync().raise_for_error()
    parts.database.stop()
    (parts.directory / "meanwhile").write_text("2")
    health = requests.get(f"{parts.server.address}/healthz", timeout=30)
    with pytest.raises(CtxmgrError, match=r"ServiceUnavailable\.NoCatalog") as told:
        parts.sync().raise_for_error()
    assert PASSWORD not in str(told.value)
    parts.database.start()
    assert health.status_code == 503
    parts.sync().raise_for_error()
    assert parts.restored("after") == held(parts.directory) == {"before": "1", "meanwhile": "2"}


def test_a_store_that_was_away_costs_time_alone(parts: Parts) -> None:
    (parts.directory / "before").write_text("1")
    revision = parts.sync().raise_for_error().revision
    parts.store.stop()
    (parts.directory / "meanwhile").write_text("2")
    failed = parts.sync()
    assert not failed.success
    assert "[Content.Unusable]" in failed.error_message
    assert SECRET not in failed.error_message
    parts.store.start()
    assert parts.sync().raise_for_error().revision == revision + 1
    assert parts.restored("after") == held(parts.directory) == {"before": "1", "meanwhile": "2"}


def test_what_was_said_to_be_done_is_there_whatever_went_meanwhile(parts: Parts) -> None:
    done: dict[int, int] = {}
    successes, failures, ends = Semaphore(0), Semaphore(0), Event()

    def keep_syncing() -> None:
        for number in count():
            if ends.is_set():
                return
            (parts.directory / f"{number % 5}").write_text(f"{number}")
            try:
                result = parts.sync()
            except CtxmgrError:
                failures.release()
                continue
            if result.success:
                done[result.revision] = number
            (successes if result.success else failures).release()

    syncing = Thread(target=keep_syncing)
    syncing.start()
    away: list[PostgreSQLServer | SeaweedServer] = [parts.database, parts.store]
    try:
        for part in away * OUTAGES:
            for _ in range(3):
                assert successes.acquire(timeout=PATIENCE)
            while failures.acquire(blocking=False):
                pass
            part.stop()
            assert failures.acquire(timeout=PATIENCE)
            part.start()
            while successes.acquire(blocking=False):
                pass
    finally:
        ends.set()
        syncing.join()
    parts.sync().raise_for_error()
    assert parts.restored("after") == held(parts.directory)
    client = parts.client()
    project = client.contexts.get("project").context
    for revision, number in done.items():
        there = parts.directory.parent / f"revision-{revision}"
        client.contexts.restore(project, there, revision=revision).raise_for_error()
        assert (there / f"{number % 5}").read_text() == f"{number}"
    checked = command(
        "check", "--read-data", CTXMGR_CATALOG=parts.places["catalog"], CTXMGR_STORE=parts.places["store"]
    )
    assert checked.returncode == 0, checked.stdout
