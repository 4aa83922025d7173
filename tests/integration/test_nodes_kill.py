"""A service that is killed while a node stores and commits: whatever the node sends again, nothing is done twice."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import requests

from ctxmgr import nodewire
from tests.support import points

from .asking import PATIENCE, Asker
from .nodeasking import SpeakingNode, changing, file_of, one_pack
from .serving import environment_with

KEY = "akm-0123456789"
NODE = "node-" + "0" * 32
KILLS = 24
FILES = 3_000
CONTENT = b"content" * 10_000
A = file_of(CONTENT)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def counted(folder: Path, last: int = 0) -> Iterator[Asker]:
    """Run a server that ends as a kill does at the n-th thing that it does to files or to the catalog."""
    told = folder.parent / "passed"
    command = points.counted(["serve", "--data", str(folder), "--port", "0"], last, told)
    with subprocess.Popen(
        command,
        env=environment_with(CTXMGR_API_KEY=KEY),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            with Asker(process.stdout.readline().strip(), KEY) as asker:
                yield asker
            process.send_signal(signal.SIGTERM)
            process.wait(2 * PATIENCE)
        finally:
            process.kill()


def passed(folder: Path) -> int:
    return int((folder.parent / "passed").read_text())


def begun(folder: Path) -> tuple[str, str, str]:
    """Have a task at a node, and return the ids of context, session and task."""
    with counted(folder) as asker:
        node = SpeakingNode(asker, NODE)
        session = node.session()
        return asker.context(), session, node.begun(session)


def carry_out(asker: Asker, task: str, *, again: bool = False) -> None:
    """Do what a node does, from the first piece to the commit."""
    node = SpeakingNode(asker, NODE)
    node.take(running=[task])
    pack = one_pack(CONTENT)
    middle = len(pack.data) // 2
    for start, end in ((0, middle), (middle, len(pack.data))):
        node.say(nodewire.Stage(pack.name, len(pack.data), start, pack.data[start:end]), nodewire.Staged)
    node.do(nodewire.StorePack(pack.name, len(pack.data)))
    put = {b"f%05d" % number: msgspec.structs.replace(A, mtime_ns=number) for number in range(FILES)}
    node.commit(task, changing(put), again=again)


def check(asker: Asker, context: str, session: str, task: str) -> None:
    node = SpeakingNode(asker, NODE)
    page, told = node.changes(context)
    assert (page.head, len(told)) == (1, FILES)
    assert asker.wait(session, task)["status"] == "Success"
    place = node.locate(A.digest)[A.digest]
    assert node.raw(nodewire.Read([(place.pack, place.offset, place.stored)]))


def test_a_commit_is_made_once_wherever_the_service_is_killed(tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "data"
    whole.parent.mkdir()
    ids = begun(whole)
    with counted(whole) as asker:
        carry_out(asker, ids[2])
    ended = passed(whole)
    assert ended > KILLS
    died = 0
    for number in range(KILLS):
        folder = tmp_path / str(number) / "data"
        folder.parent.mkdir()
        context, session, task = begun(folder)
        try:
            with counted(folder, 1 + ended * number // KILLS) as asker:
                carry_out(asker, task)
        except (requests.RequestException, AssertionError):
            died += 1
        with counted(folder) as asker:
            carry_out(asker, task, again=True)
            check(asker, context, session, task)
    assert died > KILLS // 4
