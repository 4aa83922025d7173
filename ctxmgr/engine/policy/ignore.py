"""What a binding leaves out: patterns in gitignore's syntax, of its policy, of one sync, and of a workspace's files.

pathspec reads the syntax, and RE2 runs the patterns: on bytes, as git does, and in a time that is linear in the path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxmgr.engine.manifest.entries import DIRECTORY, Entry, parent
from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.errors import ServiceError

from .brackets import put_in, taken_out
from .values import malformed
from .whitelist import Selection

__all__ = ["IGNORE_FILE", "MAX_IGNORE_FILE", "IgnoreRule", "Ignores", "Unignored", "check_patterns"]

IGNORE_FILE: Final = b".ctxignore"
MAX_IGNORE_FILE: Final = 1 << 20
MAX_PATTERN: Final = 1000
MAX_PROGRAM_BYTES: Final = 64 << 20
_BOM: Final = b"\xef\xbb\xbf"
# What pathspec ends its expressions with; a path is matched as a whole here, directories with a slash at their end.
_OR_BELOW: Final = rb"(?:(?P<ps_d>/)|$)"
_BELOW: Final = rb"(?P<ps_d>/)"
_DIRECTORIES_BELOW: Final = re.compile(rb"/(?:\*\*/)+$")


@dataclass(frozen=True)
class IgnoreRule:
    """One pattern, and where it stands.

    Attributes:
        pattern: as it was written.
        source: the file it stands in, relative to the mount path; empty for one that a policy or a sync names.
        line: its line there, from 1; 0 for the others.
        negated: it brings back what an earlier one excludes.
    """

    pattern: str
    source: str = ""
    line: int = 0
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.pattern!r} ({f'{self.source}, line {self.line}' if self.source else 'exclude'})"


def check_patterns(name: str, patterns: Sequence[str]) -> None:
    """Check that patterns of a policy or a request can be honoured.

    Args:
        name: of the parameter, for the error.

    Raises:
        ServiceError: one can't; the message says why.
    """
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN:
            raise malformed(name, pattern, f"a pattern of at most {MAX_PATTERN} characters")
        expression, _ = _expression(os.fsencode(pattern), name)
        if expression is None:
            wanted = r"a pattern of gitignore's syntax, such as *.log, build/ or !keep.log; \# begins one with a #"
            raise malformed(name, pattern, wanted)


class Ignores:
    """The rules that hold for one sync. Used by one thread.

    As in git, of the patterns that match a path the last one in the deepest file decides, and nothing in an excluded
    directory comes back. Those of the policy and of the request come before any file's.

    Args:
        patterns: those of the policy and of the request.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        lines = [(IgnoreRule(pattern), os.fsencode(pattern)) for pattern in patterns]
        self._named = _Patterns(0, lines) if lines else None
        self._files: dict[bytes, _Patterns] = {}
        self._lists: dict[bytes, tuple[_Patterns, ...]] = {}
        self._directories: dict[bytes, IgnoreRule | None] = {b"": None}
        self._included: Mapping[bytes, Entry] = {}

    def __bool__(self) -> bool:
        return self._named is not None or bool(self._files)

    def add(self, directory: bytes, text: bytes) -> None:
        """Add what the ignore file of a directory says, before anything in the directory is asked about.

        Raises:
            WorkspaceError: it is too long, or a line of it is.
        """
        path = directory + b"/" + IGNORE_FILE if directory else IGNORE_FILE
        if len(text) > MAX_IGNORE_FILE:
            raise WorkspaceError(path, f"has more than {MAX_IGNORE_FILE} bytes, and an ignore file can't: shorten it")
        source = os.fsdecode(path)
        lines = []
        for number, line in enumerate(text.removeprefix(_BOM).split(b"\n"), 1):
            pattern = line.removesuffix(b"\r")
            if len(pattern) > MAX_PATTERN:
                raise WorkspaceError(path, f"has more than {MAX_PATTERN} characters in line {number}: shorten it")
            lines.append((IgnoreRule(os.fsdecode(pattern), source, number), pattern))
        patterns = _Patterns(len(directory) + 1 if directory else 0, lines)
        if patterns:
            self._files[directory] = patterns
            self._lists.clear()

    def trust(self, included: Mapping[bytes, Entry]) -> None:
        """Take the files of a manifest, all of which were asked about, as included from now on."""
        self._included = included

    def rule(self, path: bytes, directory: bool) -> IgnoreRule | None:
        """Return the rule that excludes a path, or a directory above it; None where it is included."""
        above = self._directory(parent(path))
        if above is not None:
            return above
        if directory:
            return self._directory(path)
        known = self._included.get(path)
        return None if known is not None and known.kind != DIRECTORY else self._decide(path, path)

    def _directory(self, path: bytes) -> IgnoreRule | None:
        below = []
        while path not in self._directories:
            below.append(path)
            path = parent(path)
        found = self._directories[path]
        for at in reversed(below):
            found = self._directories[at] = found or self._decide(at, at + b"/")
        return found

    def _decide(self, path: bytes, spelled: bytes) -> IgnoreRule | None:
        for patterns in self._patterns(parent(path)):
            rule = patterns.last(spelled)
            if rule is not None:
                return None if rule.negated else rule
        return None

    def _patterns(self, directory: bytes) -> tuple[_Patterns, ...]:
        """Return what decides about the entries of a directory, the first to decide first."""
        found = self._lists.get(directory)
        if found is None:
            at, files = directory, []
            while True:
                if at in self._files:
                    files.append(self._files[at])
                if not at:
                    break
                at = parent(at)
            found = self._lists[directory] = (*filter(None, (self._named,)), *files)
        return found


class Unignored(Selection):
    """What a selection, or everything, holds of what is not ignored."""

    def __init__(self, ignores: Ignores, selection: Selection | None) -> None:
        self._ignores = ignores
        self._selection = selection

    def includes(self, path: bytes, directory: bool = False) -> bool:
        if self._ignores.rule(path, directory) is not None:
            return False
        return self._selection is None or self._selection.includes(path, directory)

    def may_hold(self, path: bytes) -> bool:
        if self._ignores.rule(path, True) is not None:
            return False
        return self._selection is None or self._selection.may_hold(path)


class _Patterns:
    """The patterns of one source, as one expression that finds out whether any matches, and one each for which."""

    def __init__(self, start: int, lines: Iterable[tuple[IgnoreRule, bytes]]) -> None:
        self._start = start
        self._rules: list[tuple[IgnoreRule, bytes]] = []
        for rule, pattern in lines:
            expression, excludes = _expression(pattern, rule.source)
            if expression is not None:
                self._rules.append((rule if excludes else _negated(rule), expression))
        self._any = _compiled(b"|".join(expression for _, expression in self._rules))
        self._each: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def last(self, path: bytes) -> IgnoreRule | None:
        """Return the last rule that matches a path, which has a slash at its end if it is a directory's."""
        below = path[self._start :]
        if self._any.fullmatch(below) is None:
            return None
        for at in range(len(self._rules) - 1, -1, -1):
            each = self._each.get(at)
            if each is None:
                each = self._each[at] = _compiled(self._rules[at][1])
            if each.fullmatch(below) is not None:
                return self._rules[at][0]
        raise AssertionError("what one of the expressions matches, all of them together match")


def _negated(rule: IgnoreRule) -> IgnoreRule:
    return IgnoreRule(rule.pattern, rule.source, rule.line, negated=True)


def _expression(pattern: bytes, name: str) -> tuple[bytes | None, bool]:
    """Return the expression for a whole path, and whether it excludes; None where git takes a line for no pattern."""
    try:
        from pathspec.patterns.gitignore import GitIgnorePatternError
        from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern
    except ImportError as error:
        raise ServiceError(
            "UnsupportedPolicy", f"the patterns of {name} need pathspec: pip install ctxmgr[local]"
        ) from error
    read = taken_out(pattern)
    if read is None:
        return None, False
    try:
        found, excludes = GitIgnoreSpecPattern.pattern_to_regex(_DIRECTORIES_BELOW.sub(rb"/**/*/", read[0]))
    except GitIgnorePatternError:
        return None, False
    if found is None:
        return None, False
    return b"(?:" + put_in(_whole(found), read[1]) + b")", bool(excludes)


def _whole(expression: bytes) -> bytes:
    if expression == b".":
        return b".+"
    if expression == b"/":
        return b".+/.+"
    if expression.endswith(_OR_BELOW):
        return expression.removesuffix(_OR_BELOW) + b"/?"
    if expression.endswith(_BELOW):
        return (expression.removesuffix(_BELOW) or b".*") + b"/"
    assert expression.endswith(b"/"), f"pathspec writes expressions of another form: {expression!r}"
    return expression + b".+"


def _compiled(expression: bytes) -> Any:
    import re2  # type: ignore[import-untyped]  # it has no annotations

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = MAX_PROGRAM_BYTES
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    return re2.compile(expression, options)
