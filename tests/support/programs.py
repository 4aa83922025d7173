"""Runs small programs in an interpreter of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ctxmgr

from .scripted import PATIENCE

__all__ = ["output_of"]


def output_of(program: str, *arguments: str, options: tuple[str, ...] = (), cwd: Path | None = None) -> str:
    """Run a program with this ctxmgr, and return what it printed.

    Args:
        options: of the interpreter.
    """
    command = [sys.executable, *options, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(ctxmgr.__file__).parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=cwd, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
