"""Disks that are really full, where content is kept and where a node remembers: clear errors, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctxmgr import Client, Session
from tests.support.elsewhere import small_disk

from .serving import Serving, environment_with, serving

pytestmark = pytest.mark.slow

KEY = "a-key-of-these-tests-that-nobody-guesses"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "a.txt").write_text("one")
    return root


class TestService:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        data = tmp_path / "data"
        data.mkdir()
        return data

    @pytest.fixture
    def server(self, data: Path) -> Iterator[Serving]:
        with serving(data, by=small_disk(data, "24m"), CTXMGR_API_KEY=KEY) as server:
            yield server

    @pytest.fixture
    def client(self, server: Serving) -> Iterator[Client]:
        with Client(endpoint=server.address, api_key=KEY) as client:
            yield client

    @pytest.fixture
    def session(self, client: Client, root: Path) -> Session:
        session = client.sessions.create(root, {"/": client.contexts.create("project").context}).session
        session.context.sync().raise_for_error()
        return session

    def test_what_has_no_room_fails_and_says_so_and_what_has_goes_on(
        self, session: Session, client: Client, root: Path, tmp_path: Path
    ) -> None:
        (root / "large").write_bytes(os.urandom(40_000_000))
        refused = session.context.sync()
        assert "[InsufficientStorage]" in refused.error_message
        assert "make room on that disk, and try again" in refused.error_message
        assert [task.status for task in session.context.info(task_type="upload").context_status_data] == ["Failed"]
        assert read(client, tmp_path / "first") == {"a.txt": b"one"}
        (root / "large").unlink()
        (root / "a.txt").write_text("two")
        session.context.sync().raise_for_error()
        assert read(client, tmp_path / "second") == {"a.txt": b"two"}

    def test_a_disk_that_others_filled_to_the_last_byte_is_named_and_costs_nothing_else(
        self, server: Serving, session: Session, client: Client, root: Path, tmp_path: Path, data: Path
    ) -> None:
        (root / "a.txt").write_text("two")
        with filled(Path(f"/proc/{server.process.pid}/root{data}/of others")):
            assert session.context.sync().error_message.startswith("[ServiceUnavailable.DiskFull] the catalog ")
            assert [file.name for file in client.files.iter(client.contexts.get("project").context)] == ["a.txt"]
        session.context.sync().raise_for_error()
        assert read(client, tmp_path / "read") == {"a.txt": b"two"}


class TestNode:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Serving]:
        with serving(tmp_path / "data", CTXMGR_API_KEY=KEY) as server:
            yield server

    def test_an_upload_says_so_and_the_next_one_with_room_goes_on(
        self, server: Serving, tmp_path: Path, root: Path
    ) -> None:
        (root / "b.txt").write_text("content")
        home = tmp_path / "small"
        home.mkdir()
        there = {"CTXMGR_ENDPOINT": server.address, "CTXMGR_API_KEY": KEY, "CTXMGR_HOME": str(home)}
        command = [sys.executable, "-m", "ctxmgr", "sync", str(root), "-c", "project"]
        small = [*small_disk(home, "8k"), *command]
        failed = subprocess.run(small, env=environment_with(**there), capture_output=True, text=True, check=False)
        assert failed.returncode == 1
        assert "what is about to be uploaded: No space left on device; make room on that disk" in failed.stderr
        done = subprocess.run(command, env=environment_with(**there), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "uploaded 2 files (10 B); revision 1 of project\n")

    @pytest.mark.parametrize(
        ("size", "files", "told"),
        [
            ("8k", 10, "which files are about to be written: No space left on device; make room on that disk"),
            ("8k", 2_500, "which files are about to be written: No space left on device; make room on that disk"),
            ("545k", 6_000, "what was synced: No space left on device; make room on that disk, and try again"),
        ],
        ids=["no room to begin", "no room to begin with processes", "no room to remember"],
    )
    def test_a_download_says_so_and_the_next_one_with_room_goes_on(
        self, server: Serving, tmp_path: Path, root: Path, size: str, files: int, told: str
    ) -> None:
        for number in range(files):
            (root / f"{number:0100}").write_bytes(os.urandom(20))
        back, home = tmp_path / "back", tmp_path / "small"
        home.mkdir()
        there = {"CTXMGR_ENDPOINT": server.address, "CTXMGR_API_KEY": KEY, "CTXMGR_HOME": str(home)}

        def sync(folder: Path, mode: str, *by: str) -> subprocess.CompletedProcess[str]:
            command = [*by, sys.executable, "-m", "ctxmgr", "sync", str(folder), "-c", "project", "--mode", mode]
            return subprocess.run(command, env=environment_with(**there), capture_output=True, text=True, check=False)

        assert sync(root, "upload").returncode == 0
        failed = sync(back, "download", *small_disk(home, size))
        assert (failed.returncode, failed.stderr.startswith("ctxmgr: the download failed: can't ")) == (1, True)
        assert told in failed.stderr
        assert sync(back, "download").returncode == 0
        assert contents(back) == contents(root)


def read(client: Client, target: Path) -> dict[str, bytes]:
    """Return what the context holds, as a download to an empty directory has it."""
    target.mkdir()
    client.sessions.create(target, {"/": client.contexts.get("project").context}).raise_for_error()
    return contents(target)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@contextmanager
def filled(file: Path) -> Iterator[None]:
    """Have a file take all the room of its disk for the time of a ``with`` statement."""
    with file.open("wb", buffering=0) as filler:
        for size in (1 << 20, 1):
            while True:
                try:
                    filler.write(bytes(size))
                except OSError:
                    break
    try:
        yield
    finally:
        file.unlink()
