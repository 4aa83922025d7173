"""Tries an installed ctxmgr: keeps a tree and restores it, blocking, in asyncio and from the command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
from pathlib import Path

import ctxmgr
import ctxmgr_async


def main(work: Path) -> None:
    for package in (ctxmgr, ctxmgr_async):
        assert package.__file__ is not None
        assert Path(package.__file__).is_relative_to(sysconfig.get_path("purelib")), package.__file__
    source = work / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("kept")
    (source / "link").symlink_to("deep/file")
    blocking(work, source)
    asyncio.run(twin(work))
    command(work, source)
    print("smoke: done")


def blocking(work: Path, source: Path) -> None:
    with ctxmgr.Client.local(work / "data") as client:
        context = client.contexts.get("smoke", create=True).context
        with client.sessions.create(root=source, bind={"/": context}).session as session:
            assert session.context.sync().files == 2


async def twin(work: Path) -> None:
    (work / "twin").mkdir()
    async with ctxmgr_async.Client.local(work / "data") as client:
        context = (await client.contexts.get("smoke")).context
        async with (await client.sessions.create(root=work / "twin", bind={"/": context})).session:
            assert (work / "twin" / "link").read_text() == "kept"


def command(work: Path, source: Path) -> None:
    ctxmgr_command = Path(sysconfig.get_path("scripts")) / "ctxmgr"
    for arguments in (
        ("sync", source, "--context", "smoke"),
        ("sync", work / "restored", "--context", "smoke", "--mode", "download"),
    ):
        subprocess.run([ctxmgr_command, "--data", work / "data", *arguments], check=True)
    assert (work / "restored" / "deep" / "file").read_text() == "kept"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
