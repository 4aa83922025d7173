"""Runs the command: in this process where that is the same, else as a process of its own, or on a terminal."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from ctxmgr.cli import main

__all__ = ["Command", "Ended", "Terminal", "tree"]

PATIENCE = 30.0
REPOSITORY = Path(__file__).resolve().parents[2]


@attrs.frozen
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object on the standard output."""
        assert self.out.count("\n") == 1, self.out
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    @property
    def sentence(self) -> str:
        """The one line on the standard error stream that a failure leaves."""
        assert "Traceback" not in self.err, self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("ctxmgr: "), self.err
        assert self.err[:-1].isprintable(), self.err
        return self.err.removeprefix("ctxmgr: ").removesuffix("\n")

    def failed(self, status: int = 1) -> str:
        """Check that it failed with that status and told nothing but one sentence; return the sentence."""
        assert (self.status, self.out) == (status, ""), self
        return self.sentence

    def succeeded(self) -> str:
        """Check that it succeeded and complained of nothing; return what it answered."""
        assert (self.status, self.err) == (0, ""), self
        return self.out


@attrs.define
class Command:
    """The command with a data folder of its own.

    Attributes:
        home: the data folder; it is not made.
        place: the working directory.
    """

    home: Path
    place: Path
    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Ended:
        """Run it in this process."""
        self.captured.readouterr()
        status = main([str(each) for each in arguments])
        out, err = self.captured.readouterr()
        return Ended(status, out, err)

    def sync(self, *arguments: str | Path) -> Ended:
        """Run ``sync`` with the context ``project``."""
        return self("sync", "--context", "project", *arguments)

    def process(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start it as a process of its own.

        Args:
            options: those of Popen; ``env`` is added to the environment, and ``by`` is a command line that runs it.
        """
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environ = {**os.environ, **environment(), **options.pop("env", {})}
        line = [*options.pop("by", ()), *_line(arguments)]
        return subprocess.Popen(line, cwd=self.place, env=environ, **options)

    def separately(self, *arguments: str | Path, **options: Any) -> Ended:
        """Run it as a process of its own."""
        with self.process(*arguments, **options) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, _text(out), _text(err))


def environment() -> Mapping[str, str]:
    return {"PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "error"}


def _line(arguments: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-m", "ctxmgr", *(str(each) for each in arguments)]


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "surrogateescape")


# A process of its own takes the terminal as its controlling one, so that a typed Ctrl-C is a signal to it.
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """The command on a terminal of its own, where a person sits."""

    def __init__(self, *arguments: str | Path, place: Path) -> None:
        self.seen = ""
        self._descriptor, end = os.openpty()
        environ = {**os.environ, **environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "24"}
        line = [sys.executable, "-c", _TAKE_TERMINAL, *_line(arguments)]
        self._process = subprocess.Popen(line, cwd=place, env=environ, stdin=end, stdout=end, stderr=end)
        os.close(end)

    def wait_for(self, text: str) -> None:
        """Read what the terminal shows until that text is there."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.plain:
            assert time.monotonic() < deadline, self.seen
            assert self._read(), f"ended without showing {text!r}: {self.seen!r}"

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C until that ends it: Python's input() misses one that comes just as its question appears."""
        while True:
            self.type("\x03")
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                continue
            return

    def end(self) -> int:
        """Read on to the end, and return the exit status."""
        while self._read():
            pass
        os.close(self._descriptor)
        return self._process.wait()

    @property
    def plain(self) -> str:
        """What was shown, without the terminal's control sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen)

    @property
    def left(self) -> list[str]:
        """The lines that are left on the screen: a bar that was drawn over has gone."""
        after = self.seen.rpartition("\x1b[1A\x1b[2K")[2]
        return [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", after).splitlines() if line.strip()]

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ready, f"nothing more was shown: {self.seen!r}"
        try:
            data = os.read(self._descriptor, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux tells that the other end of a terminal is closed
                raise
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


def tree(folder: Path) -> dict[bytes, bytes]:
    """Return the files below a folder with their content, by relative path."""
    top = os.fsencode(folder)
    found: dict[bytes, bytes] = {}
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, top)] = file.read()
    return found
