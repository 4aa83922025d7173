"""Runs the code blocks of a Markdown file, one after the other, as a reader who types them in would.

It needs nothing but Python, so that it runs with any interpreter: ``python run_blocks.py FILE [LINE …]`` leaves out the
blocks that begin at the lines. Python blocks share their names and may await; sh blocks are given to the shell.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Block", "blocks_of"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: the number of its first line of code.
    """

    language: str
    line: int
    code: str


def blocks_of(file: Path) -> Iterator[Block]:
    """Yield the blocks of a file."""
    text = file.read_text()
    for found in _FENCE.finditer(text):
        yield Block(found[1], text.count("\n", 0, found.start(2)) + 1, found[2])


def main(file: Path, left_out: frozenset[int]) -> None:
    loop = asyncio.new_event_loop()
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(file):
        if block.line in left_out:
            continue
        if block.language == "sh":
            subprocess.run(["sh", "-eu", "-c", block.code], check=True)
        elif block.language == "python":
            # Blank lines before it, so that a traceback names the line in the document.
            padded = "\n" * (block.line - 1) + block.code
            awaited = eval(compile(padded, file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            if inspect.iscoroutine(awaited):
                loop.run_until_complete(awaited)
        sys.stdout.flush()
    loop.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), frozenset(map(int, sys.argv[2:])))
