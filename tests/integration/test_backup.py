"""Backups that are taken while directories are synced, by the lines of docs/operations.md, and restored elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ctxmgr import Client
from ctxmgr.service.storage.objectstore import open_store
from tests.support.servers import PASSWORD, USER, Database, PostgreSQLServer

from .documented import blocks_under, run
from .serving import serving

pytestmark = pytest.mark.slow

KEY = "a-key-of-these-tests-that-nobody-guesses"
WRITERS = 3
FILES = 40
BACK_UP_FOLDER, RESTORE_FOLDER, BACK_UP_DATABASE, RESTORE_DATABASE = blocks_under("Back up, and restore")


class Writer(threading.Thread):
    """Has all files of a directory say the same number, syncs, and goes on to the next number."""

    def __init__(self, address: str, number: int, place: Path) -> None:
        super().__init__(daemon=True)
        self.context = f"context-{number}"
        self.failure: Exception | None = None
        self.stopping = threading.Event()
        self._address = address
        self._root = place / f"root-{number}"
        self._root.mkdir()
        self._changed = threading.Condition()
        self._proven = 0

    def run(self) -> None:
        try:
            with Client(endpoint=self._address, api_key=KEY) as client:
                context = client.contexts.create(self.context).context
                session = client.sessions.create(self._root, {"/": context}).session
                while not self.stopping.is_set():
                    for name in range(FILES):
                        (self._root / f"{name}").write_text(f"{self._proven + 1}\n" * 100 * (name + 1))
                    session.context.sync().raise_for_error()
                    with self._changed:
                        self._proven += 1
                        self._changed.notify_all()
        except Exception as error:
            self.failure = error
            with self._changed:
                self._changed.notify_all()

    def wait_until_proven(self, number: int) -> int:
        """Wait until a number is proven to be kept, and return the one that is."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.failure or self._proven >= number, 60)
            assert self.failure is None, self.failure
            return self._proven


@contextmanager
def writing(address: str, place: Path) -> Iterator[list[tuple[str, int]]]:
    """Have directories synced for the time of a ``with`` statement; give each context, and what was proven before."""
    writers = [Writer(address, number, place) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        before = [(writer.context, writer.wait_until_proven(2)) for writer in writers]
        yield before
        for writer, (_, number) in zip(writers, before, strict=True):
            writer.wait_until_proven(number + 2)
    finally:
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join()


def check_restored(client: Client, before: list[tuple[str, int]], place: Path) -> None:
    """Check that each context is of one moment, and of none before the backup was begun."""
    for name, number in before:
        root = place / f"restored-{name}"
        root.mkdir()
        client.sessions.create(root, {"/": client.contexts.get(name).context}).raise_for_error()
        assert len(list(root.iterdir())) == FILES
        said = {line for file in root.iterdir() for line in file.read_text().split()}
        assert len(said) == 1
        assert int(said.pop()) >= number


def test_a_data_folder_is_backed_up_while_directories_are_synced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        serving(data, CTXMGR_API_KEY=KEY) as server,
        writing(server.address, tmp_path) as before,
    ):
        for _ in range(2):  # the second adds to the first
            run(BACK_UP_FOLDER, tmp_path, CTXMGR_HOME=str(data))
    assert "all is whole: " in run(RESTORE_FOLDER, tmp_path, CTXMGR_HOME=str(tmp_path / "unused"))
    with Client.local(tmp_path / "restored") as client:
        check_restored(client, before, tmp_path)


def test_postgresql_and_a_store_are_backed_up_while_directories_are_synced(
    database: Database, bucket: str, postgresql_server: PostgreSQLServer, tmp_path: Path
) -> None:
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(postgresql_server.port), "PGUSER": USER, "PGPASSWORD": PASSWORD}
    other = f"{bucket}-other"
    restored = f"{database.name}_restored"
    with ExitStack() as stack:
        server = stack.enter_context(
            serving(tmp_path / "one", CTXMGR_API_KEY=KEY, CTXMGR_CATALOG=database.url, CTXMGR_STORE=bucket)
        )
        before = stack.enter_context(writing(server.address, tmp_path))
        run(BACK_UP_DATABASE.replace(" ctxmgr\n", f" {database.name}\n"), tmp_path, **place)
        copy(bucket, other)
    catalog = database.url.replace(database.name, restored)
    place |= {"CTXMGR_HOME": str(tmp_path / "two"), "CTXMGR_CATALOG": catalog, "CTXMGR_STORE": other}
    try:
        assert "all is whole: " in run(RESTORE_DATABASE.replace("restored", restored), tmp_path, **place)
        with Client.local(tmp_path / "two", catalog=catalog, store=other) as client:
            check_restored(client, before, tmp_path)
    finally:
        postgresql_server.drop(Database(postgresql_server, restored))


def copy(source: str, target: str) -> None:
    """Copy the objects of a store, as its own tools would."""
    here, there = open_store(source), open_store(target)
    for page in here.list():
        for item in page:
            there.put(item["path"], here.get(item["path"]).bytes())
