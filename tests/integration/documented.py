"""The lines of docs/operations.md, run as an operator would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.run_blocks import blocks_of

from .serving import REPOSITORY, environment_with

__all__ = ["blocks_under", "refusal", "run"]

_DOCUMENT = REPOSITORY / "docs/operations.md"


def blocks_under(heading: str) -> list[str]:
    """Return the sh blocks of one chapter, in order."""
    lines = _DOCUMENT.read_text().splitlines()
    headings = [number for number, line in enumerate(lines, 1) if line.startswith("## ")]
    first = lines.index(f"## {heading}") + 1
    end = min((number for number in headings if number > first), default=len(lines))
    return [block.code for block in blocks_of(_DOCUMENT) if block.language == "sh" and first < block.line < end]


def run(code: str, place: Path, **environment: str) -> str:
    """Run a block of the document as a reader would, and return what it printed."""
    ended = _ended(code, place, environment)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def refusal(code: str, place: Path, **environment: str) -> str:
    """Run a block that fails, and return what it complained of."""
    ended = _ended(code, place, environment)
    assert ended.returncode == 1, f"{ended.stdout}\n{ended.stderr}"
    return ended.stderr


def _ended(code: str, place: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    programs = place / "programs"
    programs.mkdir(exist_ok=True)
    for name, command in {"ctxmgr": f"{sys.executable} -m ctxmgr", "python": sys.executable}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-eu", "-c", code],
        cwd=place,
        env=environment_with(PATH=path, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
