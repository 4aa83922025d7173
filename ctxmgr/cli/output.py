"""What the command writes: the answer, the one sentence of a failure, and how names, sizes and times look in them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

from ctxmgr.oserrors import described

__all__ = [
    "Failure",
    "Invocation",
    "Unread",
    "complain",
    "counted",
    "discard",
    "moment",
    "note",
    "one_line",
    "quoted",
    "shown",
    "size_of",
]

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONGEST = 80


class Unread(Exception):
    """Whoever read the answer has gone. Not a BrokenPipeError, which click would make an ending of its own."""


class Failure(Exception):
    """The command failed; the text is the one sentence that says why and what to do."""


def complain(sentence: str) -> None:
    """Print a failure to standard error, on one line."""
    note(f"ctxmgr: {one_line(sentence)}")


def note(line: str) -> None:
    """Print something beside the answer to standard error, if it is open."""
    with suppress(OSError, ValueError):
        _write(sys.stderr, line)


def discard(stream: TextIO | None) -> None:
    """Let what a stream still holds go nowhere: the interpreter would complain of it at its exit."""
    if stream is None:
        return
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Invocation:
    """One run of the command.

    Attributes:
        data: the data folder that was named on the command line.
        endpoint: the server that was named on the command line.
        catalog, store: the URLs that were given on the command line; the first may hold a password.
        json: whether the answer is one JSON object.
        quiet: whether only a failure is told of.
        verbose: whether progress is told in lines, and lists in full.
        facts: what the JSON object holds, as far as it is known: a failure shows it too.
    """

    def __init__(self) -> None:
        self.data: str | None = None
        self.endpoint: str | None = None
        self.catalog: str | None = None
        self.store: str | None = None
        self.json = False
        self.quiet = False
        self.verbose = False
        self.facts: dict[str, Any] = {}
        self._failed = False

    def answer(self, lines: Iterable[str], **facts: Any) -> None:
        """Report that the command succeeded: by lines for people, by facts as JSON.

        Raises:
            Unread: nobody reads it any more.
            Failure: it can't be written.
        """
        self.facts |= facts
        if self.json:
            lines = [json.dumps({"success": True, **self.facts, "error": None})]
        elif self.quiet:
            return
        _answer("\n".join(lines))

    def tell(self, line: str, event: str, **facts: Any) -> None:
        """Report something while the command goes on: by a line for people, or as a JSON object on a line.

        Raises:
            Unread, Failure: as ``answer``.
        """
        _answer(json.dumps({"event": event, **facts}) if self.json else line)

    def fail(self, sentence: str) -> None:
        """Report that the command failed, once.

        Raises:
            Unread, Failure: as ``answer``.
        """
        if self._failed:
            return
        self._failed = True
        complain(sentence)
        if self.json:
            _answer(json.dumps({"success": False, **self.facts, "error": one_line(sentence)}))


def _answer(text: str) -> None:
    try:
        if text:
            _write(sys.stdout, text)
    except BrokenPipeError as error:
        discard(sys.stdout)
        raise Unread from error
    except OSError as error:
        discard(sys.stdout)
        raise Failure(f"the answer can't be written to the standard output: {described(error)}") from error


def _write(stream: TextIO | None, text: str) -> None:
    if stream is not None:
        stream.write(f"{text}\n")
        stream.flush()


def shown(name: str) -> str:
    """Return a path or name on one line, as C would write it: no control sequence of it reaches a terminal.

    A byte that is not UTF-8 is ``\\xff``, any other character that can't be seen ``\\u202e``.
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_SHORT.get(character) or _visible(character) for character in name)


def quoted(name: str) -> str:
    """Return a name in quotes for a sentence, cut short if it is very long."""
    text = shown(name)
    return f"'{text}'" if len(text) <= _LONGEST else f"'{text[:_LONGEST]}…'"


def one_line(text: str) -> str:
    """Return a message as one line without control sequences."""
    return "".join(_visible(character) for character in " ".join(text.split()))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode gives it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def size_of(number: int) -> str:
    """Return a number of bytes to three digits or so, in powers of 1000."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} PB"


def counted(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def moment(epoch: int) -> str | None:
    """Return epoch seconds as ISO 8601 in UTC, as the service writes its times; ``None`` for none."""
    if not epoch:
        return None
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    except (OverflowError, OSError, ValueError):
        return str(epoch)
