"""One run of the command: the options every command has, and what it answers with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

import attrs

from ctxmgr.oserrors import described

from .wording import one_line

__all__ = ["Failure", "Invocation", "Unread", "complain", "discard", "note"]


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


@attrs.define
class Invocation:
    """One run of the command.

    Attributes:
        data: the data folder that was named on the command line.
        endpoint: the server that was named on the command line.
        json: whether the answer is one JSON object.
        facts: what the JSON object holds, as far as it is known: a failure shows it too.
    """

    data: str | None = None
    endpoint: str | None = None
    json: bool = False
    facts: dict[str, Any] = attrs.Factory(dict)
    _failed: bool = attrs.field(default=False, init=False)

    def answer(self, lines: Iterable[str], **facts: Any) -> None:
        """Report that the command succeeded: by lines for people, by facts as JSON.

        Raises:
            Unread: nobody reads it any more.
            Failure: it can't be written.
        """
        self.facts |= facts
        if self.json:
            lines = [json.dumps({"success": True, **self.facts, "error": None})]
        _answer("\n".join(lines))

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
