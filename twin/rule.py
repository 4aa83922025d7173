"""unasync's rule turned round: the same file handling and matching, but the tokens gain `async` and `await`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unasync  # type: ignore[import-untyped]  # it has no types
from tokenize_rt import Token  # type: ignore[import-untyped]  # it has no types

from .changes import ASYNC_NAMES
from .edits import Edits

__all__ = ["Rewrite", "TwinRule", "note_for"]


def note_for(source: str) -> str:
    """Give the last line of the file generated from a source."""
    return f"# Generated from {source} by twin; do not edit: change the source and rebuild.\n"


@dataclass(frozen=True)
class Rewrite:
    """What becomes of one file: its changes, and the path that its note names."""

    edits: Edits
    source: str


class TwinRule(unasync.Rule):  # type: ignore[misc]  # unasync has no types
    """Twins the files of one folder into another.

    Args:
        source: the blocking files' folder.
        target: the twins' folder; made where it is missing.
        rewrites: what becomes of each file, by its path below the source. Other files have no twin.
    """

    def __init__(self, source: Path, target: Path, rewrites: Mapping[str, Rewrite]) -> None:
        # Whole paths, because the base class replaces every occurrence of the one by the other.
        super().__init__(f"{source.resolve()}{os.sep}", f"{target.resolve()}{os.sep}")
        self.token_replacements = dict(ASYNC_NAMES)
        self.rewrites = rewrites
        self._current: Rewrite | None = None

    def _relative(self, filepath: str) -> str:
        return Path(filepath).resolve().relative_to(self.fromdir).as_posix()

    def _match(self, filepath: str) -> Any:
        found = super()._match(str(Path(filepath).resolve()))
        return found if found and self._relative(filepath) in self.rewrites else False

    def _unasync_file(self, filepath: str) -> None:
        self._current = self.rewrites[self._relative(filepath)]
        try:
            super()._unasync_file(str(Path(filepath).resolve()))
        finally:
            self._current = None

    def _unasync_tokens(self, tokens: Iterable[Token]) -> Iterator[Token]:
        assert self._current is not None, "tokens are only changed for a file of the rule"
        edits = self._current.edits
        last = "\n"
        for token in edits.apply(tokens):
            last = token.src or last
            yield token
        lost = edits.left_over()
        if lost:
            raise AssertionError(f"{self._current.source}: no token starts at {lost}; this is a fault in twin")
        yield Token("CODE", ("" if last.endswith("\n") else "\n") + note_for(self._current.source))
