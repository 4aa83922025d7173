"""A copy that is killed at moments chosen in its code, again and again, goes on each time until it is complete."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ctxmgr.errors import DataFolderError
from ctxmgr.service import ContextService
from ctxmgr.service.copying.copy import copy_service
from ctxmgr.service.copying.ends import Place
from tests.support.servers import Database
from tests.unit.service.copying.original import Original, contents, opened, rows

pytestmark = pytest.mark.slow

# Copies in a process that kills itself at the given call of a function, before or after it; it notes what it stores.
CHILD = """
    import importlib, os, signal, sys
    from ctxmgr.service.copying import content
    from ctxmgr.service.copying.copy import copy_service
    from ctxmgr.service.copying.ends import Place
    from ctxmgr.service.storage.blobstore import BlobStore

    log, module, name, number, when, *ends = sys.argv[1:]
    content._BETWEEN_PROOFS, content._AT_ONCE = 2, 1
    put = BlobStore.put

    def noting(self, name, data):
        put(self, name, data)
        with open(log, "a") as file:
            file.write(name + "\\n")

    BlobStore.put = noting
    left = int(number)

    def die(*args, **kwargs):
        global left
        left -= 1
        result = original(*args, **kwargs) if left or when == "after" else None
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    owner = importlib.import_module("ctxmgr.service." + module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    setattr(owner, last, die)
    copy_service(Place(*ends[:3]), Place(*ends[3:]))
"""

BEFORE_THE_MARK = [
    ("catalog.copymark", "begin", 1, "before"),
    ("catalog.copymark", "begin", 1, "after"),
]
MOMENTS = [
    ("copying.copy", "copy_content", 1, "before"),
    ("storage.blobstore", "BlobStore.put", 1, "before"),
    ("storage.blobstore", "BlobStore.put", 2, "after"),
    ("copying.content", "insert_or_replace", 1, "after"),
    ("copying.copy", "copy_content", 1, "after"),
    ("copying.rows", "bulk_insert", 1, "after"),
    ("copying.rows", "bulk_insert", 4, "before"),
    ("copying.copy", "copy_rows", 1, "after"),
    ("copying.copy", "keep_signing_key", 1, "after"),
    ("catalog.versions", "make_usable", 1, "after"),
]


def killed(source: Place, target: Place, log: Path, moment: tuple[str, str, int, str]) -> None:
    ends = [str(part) for part in (*source, *target)]
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(log), *map(str, moment), *ends]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL, (moment, ended.stderr)


def copied_in_spite_of_kills(source: Place, target: Place, log: Path) -> None:
    """Copy, killed at each moment in turn, and check that no service opens what is there and no pack is sent twice."""
    log.touch()
    for moment in BEFORE_THE_MARK:
        killed(source, target, log, moment)
    for moment in MOMENTS:
        killed(source, target, log, moment)
        with pytest.raises(DataFolderError, match="a copy that is not complete"):
            ContextService.open(target.folder, catalog=target.catalog, store=target.store)
    sent = log.read_text().split()
    copied = copy_service(source, target)
    assert len(sent) == len(set(sent))
    assert len(sent) + copied.content.stored == copied.content.packs_total


def test_a_copy_that_is_killed_goes_on(empty_database: Database, bucket: str, tmp_path: Path) -> None:
    original = Original(tmp_path)
    served, back = Place(tmp_path / "served", empty_database.url, bucket), Place(tmp_path / "back")
    copied_in_spite_of_kills(original.place, served, tmp_path / "sent-there")
    copied_in_spite_of_kills(served, back, tmp_path / "sent-back")
    assert rows(served) == rows(back) == rows(original.place)
    with opened(back) as door:
        assert door.data("CheckStore", ReadData=True)["Damages"] == []
        assert contents(door) == original.contents


def test_a_copy_that_is_killed_when_it_is_complete_is_complete(tmp_path: Path) -> None:
    original = Original(tmp_path)
    target = Place(tmp_path / "target")
    killed(original.place, target, tmp_path / "sent", ("copying.copy", "_copy_catalog", 1, "after"))
    with opened(target) as door:
        assert contents(door) == original.contents
