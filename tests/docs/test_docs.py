"""Every code block of README.md and docs/ runs as it stands, in a copy of this repository, against a real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
import trustme

from ctxmgr.testing import Service
from tests.support.answers import entry, listed, started
from tests.support.scripted import ScriptedServer

from . import run_blocks
from .run_blocks import Block, blocks_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUNNABLE = ("python", "sh")

#: Blocks that are left out, by what is in them, and why.
LEFT_OUT: Mapping[str, str] = {
    "python -m twin && pytest": "it runs all tests, this one among them",
}
#: Documents that are run elsewhere, and where.
ELSEWHERE: Mapping[str, str] = {
    "docs/agentbay.md": "tests/integration/test_agentbay_sdk.py, with the interpreter that has AgentBay's SDK",
    "docs/operations.md": "tests/integration/test_backup.py and test_moving.py, with servers",
}
DOCUMENTS = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    if any(block.language in RUNNABLE for block in blocks_of(file))
)

# What pip would install is what is being tested. A server would run for ever, and at a port that may be taken.
COMMANDS = {
    "pip": "exit 0",
    "python": f'exec {sys.executable} "$@"',
    "ctxmgr": f"""
        [ "$1" = serve ] || exec {sys.executable} -m ctxmgr "$@"
        mkfifo address
        {sys.executable} -m ctxmgr "$@" --port 0 > address & server=$!
        read -r told < address; rm address
        kill $server; wait $server""",
}


@attrs.frozen
class World:
    """Where a reader works: a clone, with a directory to keep, a certificate and a home of their own."""

    place: Path
    environment: Mapping[str, str]

    def run(self, document: str) -> str:
        """Run a document's blocks; return what they printed."""
        left_out = [str(block.line) for block in blocks_of(ROOT / document) if why_left_out(block)]
        ran = subprocess.run(
            [sys.executable, run_blocks.__file__, str(ROOT / document), *left_out],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.stdout


def why_left_out(block: Block) -> str:
    """Return why a block does not run; empty if it does."""
    return next((reason for text, reason in LEFT_OUT.items() if text in block.code), "")


@pytest.fixture
def world(tmp_path: Path, ctxmgr_service: Service, server: ScriptedServer) -> World:
    place = tmp_path / "clone"
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist"))
    (place / "workspace").mkdir()
    (place / "workspace" / "kept.txt").write_text("kept")
    (place / "notes.txt").write_text("noted")
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(place / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(place / "cert.pem"))
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/sh -eu\n{script}\n")
        (commands / name).chmod(0o700)
    # AgentBay's cloud, as far as a client can tell: a server that names no tasks.
    server.script("SyncContext", started())
    server.script("GetContextInfo", listed(), listed(entry()))
    return World(
        place,
        {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(place),
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path / "home" / "share"),
            "AGENTBAY_API_KEY": "akm-0123456789",
            "AGENTBAY_ENDPOINT": server.url,
        },
    )


def test_the_readme(world: World) -> None:
    printed = world.run("README.md")
    assert re.search(r"^~ /.+ to 7 B\)$", printed, re.MULTILINE)
    assert re.search(r"^- /", printed, re.MULTILINE)
    (restored,) = re.findall(r"^the same as before: (.+)$", printed, re.MULTILINE)
    assert (Path(restored) / "start.md").read_bytes() == (ROOT / "docs" / "start.md").read_bytes()
    assert "\nTrue 1 1\n" in printed
    assert printed.count("done: True\n") == 2
    assert "done: False" not in printed


def test_files(world: World, ctxmgr_service: Service) -> None:
    place = world.place
    with ctxmgr_service.client() as client:
        context = client.contexts.create("by-url").context
        client.files.upload(context, "/notes.txt", b"before").raise_for_error()
        put = client.files.upload_url(context, "/notes.txt").url
        get = client.files.download_url(context, "/notes.txt").url
    environment = {"CTXMGR_ENDPOINT": ctxmgr_service.endpoint, "CTXMGR_API_KEY": ctxmgr_service.api_key}
    urls = {"UPLOAD_URL": put, "DOWNLOAD_URL": get}
    attrs.evolve(world, environment={**world.environment, **environment, **urls}).run("docs/files.md")
    for copy in ("copy.txt", "old.txt", "by-url.txt"):
        assert (place / copy).read_text() == "noted"


def test_policies(world: World) -> None:
    world.run("docs/policies.md")


@pytest.mark.parametrize(
    "document", sorted(set(DOCUMENTS) - {"README.md", "docs/files.md", "docs/policies.md"} - {*ELSEWHERE})
)
def test_the_other_documents(world: World, document: str) -> None:
    world.run(document)


def test_nothing_is_left_out_that_is_not_there() -> None:
    codes = [block.code for document in DOCUMENTS for block in blocks_of(ROOT / document)]
    assert all(any(text in code for code in codes) for text in LEFT_OUT)
    assert set(ELSEWHERE) <= set(DOCUMENTS)


def test_every_block_says_what_it_is_in() -> None:
    languages = {block.language for file in (ROOT / "docs").glob("*.md") for block in blocks_of(file)}
    languages |= {block.language for block in blocks_of(ROOT / "README.md")}
    assert languages <= {*RUNNABLE, "text"}
