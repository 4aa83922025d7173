"""A process that is killed while it prunes, at each step, and what the next one finds and carries on."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from tests.unit.service.care.stored import Stored, noise, packs_of
from tests.unit.service.servicedoor import Door

pytestmark = pytest.mark.slow

# Prunes in a process that kills itself before or after a call: (module, function, when, which call).
CHILD = """
    import importlib, os, signal, sys
    from ctxmgr.service import ContextService

    data, module, name, when, which = sys.argv[1:]
    service = ContextService.open(data)
    owner = importlib.import_module("ctxmgr.service." + module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    calls = 0

    def die(*args, **kwargs):
        global calls
        calls += 1
        if when == "after" or calls < int(which):
            result = original(*args, **kwargs)
        if calls == int(which):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, last, die)
    service.handle("PruneContexts", {"Retention": '{"keepLast": 2}'})
    raise SystemExit("it was not killed")
"""

MOMENTS = [
    ("care.prune", "expire", "before", 1),
    ("care.prune", "expire", "after", 1),
    ("care.care", "apply_retention", "after", 1),
    ("care.prune", "find_loose", "after", 1),
    ("care.prune", "condemn", "after", 1),
    ("care.references", "exclude", "after", 2),
    ("care.prune", "remove_condemned", "after", 1),
    ("storage.blobstore", "BlobStore.put", "before", 1),
    ("storage.blobstore", "BlobStore.put", "after", 1),
    ("care.packs", "record_pack", "after", 1),
    ("care.packs", "_switch", "after", 1),
    ("care.packs", "repack", "after", 1),
    ("care.packs", "retire_empty", "after", 1),
    ("storage.blobstore", "BlobStore.delete", "before", 1),
    ("storage.blobstore", "BlobStore.delete", "after", 1),
    ("storage.blobstore", "BlobStore.delete", "after", 3),
    ("care.packs", "remove_retired", "after", 1),
    ("care.packs", "remove_orphans", "after", 1),
]


@pytest.fixture(scope="module")
def versions() -> list[dict[str, str]]:
    """What the context holds at each revision; revisions 5 and 6 are kept, and packs of all kinds come of it."""
    shared = {f"shared-{number}": noise() for number in range(3)}
    return [{**shared, "changing": noise(), f"only-{number}": noise(60_000)} for number in range(6)]


def built(folder: Path, versions: list[dict[str, str]]) -> Stored:
    stored = Stored(folder)
    for files in versions:
        stored.sync(files)
    stored.close()
    return stored


@pytest.fixture(scope="module")
def freed(tmp_path_factory: pytest.TempPathFactory, versions: list[dict[str, str]]) -> int:
    """The bytes of the packs after a prune that nobody kills."""
    stored = built(tmp_path_factory.mktemp("whole"), versions)
    service = ContextService.open(stored.data)
    Door(service).data("PruneContexts", Retention={"keepLast": 2})
    service.close()
    return sum(file.stat().st_size for file in packs_of(stored.data))


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: "-".join(map(str, moment)))
def test_a_prune_that_is_killed_loses_nothing_and_is_carried_on(
    moment: tuple[str, str, str, int], tmp_path: Path, versions: list[dict[str, str]], freed: int
) -> None:
    stored = built(tmp_path, versions)
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(stored.data), *map(str, moment)]
    child = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr

    stored.door = Door(ContextService.open(stored.data))
    try:
        stored.assert_whole()
        for _ in range(2):
            for number in (5, 6):
                for path, text in versions[number - 1].items():
                    assert stored.read(f"/{path}", number) == text.encode()
            assert stored.restored() == versions[5]
            stored.door.data("PruneContexts", Retention={"keepLast": 2})
            stored.assert_whole()
        assert stored.numbers() == [5, 6]
        assert sum(file.stat().st_size for file in packs_of(stored.data)) <= freed * 1.02
        stored.sync({"new": "after all"})
        assert stored.restored() == {"new": "after all"}
    finally:
        stored.close()
