"""Eight processes write into one context at once: a model of the merge predicts every head and every directory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import attrs
import pytest

from ctxmgr import Client
from tests.support.keeping import Elsewhere

from .serving import environment_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WRITERS = 8
STEPS = 8

Files = dict[str, str]


@attrs.frozen
class Sync:
    """What a writer has done.

    Attributes:
        before, after: what its directory held.
        revision: what it was told.
        made: the revisions that its task made.
        conflicts: the paths that it was told.
    """

    writer: str
    mode: str
    before: Files
    after: Files
    revision: int
    made: list[int]
    conflicts: list[str]


class Model:
    """What the rules of docs/sync.md make of a context and of directories, one sync after the other.

    Attributes:
        heads: what the context holds, by revision.
    """

    def __init__(self) -> None:
        self.heads: list[Files] = [{}]
        self._common: dict[str, Files] = defaultdict(dict)

    def upload(self, writer: str, local: Files) -> tuple[Files, list[str]]:
        """Upload a directory; return what it holds then, and the paths in conflict."""
        remote = self.heads[-1]
        common = self._common[writer]
        conflicts = [name for name in _names(local, remote, common) if _differ(name, common, local, remote)]
        head = dict(remote)
        for name in _names(local, common):
            if local.get(name) != common.get(name):
                _put(head, name, local.get(name))
                _put(common, name, local.get(name))
        if head != remote:
            self.heads.append(head)
        return local, conflicts

    def download(self, writer: str, local: Files) -> tuple[Files, list[str]]:
        """Download into a directory; return what it holds then, and the paths in conflict."""
        remote = self.heads[-1]
        if not local:
            # Who downloads into an empty directory has not deleted what was there.
            self._common[writer] = {}
        common = self._common[writer]
        conflicts = [name for name in _names(local, remote, common) if _differ(name, common, local, remote)]
        after = dict(local)
        for name in _names(local, remote, common):
            if remote.get(name) != common.get(name):
                _put(after, name, remote.get(name))
                _put(common, name, remote.get(name))
        if lost := {name: local[name] for name in conflicts if name in local}:
            # What only the directory had goes into the history before it goes.
            self.heads += [{**remote, **lost}, remote]
        return after, conflicts


def _names(*sides: Files) -> list[str]:
    return sorted(set().union(*sides))


def _differ(name: str, common: Files, local: Files, remote: Files) -> bool:
    """Whether both sides changed a file, differently."""
    return len({side.get(name) for side in (common, local, remote)}) == 3


def _put(side: Files, name: str, content: str | None) -> None:
    if content is None:
        side.pop(name, None)
    else:
        side[name] = content


@pytest.fixture
def client(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Client]:
    with closing(Client.local(tmp_path / "data", **elsewhere)) as client:
        yield client


def written(client: Client, folder: Path, elsewhere: Elsewhere) -> tuple[str, list[Sync]]:
    """Have all writers write at once; return the context and their syncs, in the order in which those happened."""
    context = client.contexts.create("shared").context
    environment = environment_with(**{f"CTXMGR_{name.upper()}": str(url) for name, url in elsewhere.items()})
    told = []
    with ExitStack() as stack:
        writers = []
        for number in range(WRITERS):
            data = folder / (f"data-{number}" if elsewhere else "data")
            arguments = [str(data), str(folder / f"directory-{number}"), f"writer-{number}", str(STEPS)]
            command = [sys.executable, "-m", "tests.integration.writer", *arguments]
            writer = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            )
            stack.callback(writer.kill)
            writers.append(writer)
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in writers:
            assert writer.stdout is not None
            told += [json.loads(line) for line in writer.stdout]
            assert writer.wait() == 0
    makers = {revision.number: revision.task_id for revision in client.contexts.iter_revisions(context)}
    syncs = []
    for each in told:
        tasks = each.pop("tasks")
        syncs.append(Sync(**each, made=sorted(number for number, task in makers.items() if task in tasks)))
    return context.id, sorted(syncs, key=lambda sync: (sync.revision, not sync.made))


def test_a_model_of_the_merge_predicts_every_head(client: Client, tmp_path: Path, elsewhere: Elsewhere) -> None:
    context, syncs = written(client, tmp_path, elsewhere)
    model = Model()
    for sync in syncs:
        head = len(model.heads)
        run = model.upload if sync.mode == "upload" else model.download
        after, conflicts = run(sync.writer, sync.before)
        assert sync.made == list(range(head, len(model.heads))), sync
        assert sync.revision == len(model.heads) - 1, sync
        assert sync.after == after, sync
        assert sync.conflicts == conflicts, sync
    assert len(syncs) == WRITERS * STEPS
    assert sum(bool(sync.conflicts) for sync in syncs) > WRITERS
    for revision, expected in enumerate(model.heads[1:], start=1):
        there = tmp_path / "heads" / str(revision)
        client.contexts.restore(context, there, revision=revision).raise_for_error()
        assert {file.name: file.read_text() for file in there.iterdir()} == expected, revision
