"""Directories kept by processes elsewhere, many at once: what they are told is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctxmgr import Client

from .serving import Serving, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "a-key-of-these-tests-that-nobody-guesses"
NODES = 50
FILES = 500
MOST_THREADS = 64
"""Of the service: it has a few for each kind of work, and none for a node that waits."""
MOST_MEMORY = 512 << 20


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))
    with serving(tmp_path / "data", CTXMGR_API_KEY=KEY) as server:
        yield server


def keep(client: Client, number: int, folder: Path) -> dict[str, int]:
    """Make a directory of this process's, sync it as its node, and return what its context holds then."""
    for name in range(FILES):
        file = folder / str(name % 10) / str(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d of %d" % (name, number) * (1 + name))
    context = client.contexts.create(f"kept {number}").context
    session = client.sessions.create(folder, {"/": context}, wait=False).session
    result = session.context.sync(retry_interval=100, max_retries=3_000).raise_for_error()
    assert (result.success, result.files) == (True, FILES)
    found = client.files.iter(context, "/", recursive=True)
    return {file.path: file.size for file in found if file.type == "file"}


def test_fifty_nodes_at_once_are_all_told_the_truth(server: Serving, tmp_path: Path) -> None:
    with ExitStack() as opened, ThreadPoolExecutor(NODES) as threads:
        clients = [opened.enter_context(Client(endpoint=server.address, api_key=KEY)) for _ in range(NODES)]
        folders = [tmp_path / f"directory {number}" for number in range(NODES)]
        found = list(threads.map(keep, clients, range(NODES), folders))
        status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert found == [
        {f"/{file.relative_to(folder)}": file.stat().st_size for file in folder.rglob("*") if file.is_file()}
        for folder in folders
    ]
    threads_used, memory = (int(re.findall(rf"{name}:\s+(\d+)", status)[0]) for name in ("Threads", "VmHWM"))
    assert threads_used <= MOST_THREADS
    assert memory * 1024 <= MOST_MEMORY
