"""What pathspec reads otherwise than git in a gitignore pattern: brackets, tabs at the end, and long runs of stars.

They are taken out before pathspec translates a pattern, each with a NUL in its place, and their expressions put in
afterwards. They are read as git's ``wildmatch.c`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["MARK", "put_in", "taken_out"]

MARK: Final = b"\0"
"""Stands for what was taken out. No path has it, and git takes a line to end there."""

_ASCII: Final = tuple(map(chr, range(128)))
_CLASSES: Final = {
    b"alnum": str.isalnum,
    b"alpha": str.isalpha,
    b"blank": " \t".__contains__,
    b"cntrl": lambda each: not each.isprintable(),
    b"digit": str.isdigit,
    b"graph": lambda each: each.isprintable() and each != " ",
    b"lower": str.islower,
    b"print": str.isprintable,
    b"punct": lambda each: each.isprintable() and not each.isalnum() and each != " ",
    b"space": " \t\n\r".__contains__,
    b"upper": str.isupper,
    b"xdigit": "0123456789abcdefABCDEF".__contains__,
}
_SLASH: Final = ord("/")
_TRAILING_SPACES: Final = re.compile(rb"((?:[^\\]|\\.)*?) *", re.DOTALL)
_TOKEN: Final = re.compile(rb"\*{3,}|\\?[\t\v\f\r]|\\.|[^\\]", re.DOTALL)


class _NeverMatches(Exception):
    """A bracket is not closed, or names a class that there is not."""


def taken_out(pattern: bytes) -> tuple[bytes, list[bytes]] | None:
    """Return a pattern with marks, and the expressions for them; None for one that git never finds to match.

    Args:
        pattern: a line of an ignore file.
    """
    line = pattern.partition(MARK)[0]
    if line.startswith(b"#"):
        return line, []
    if trimmed := _TRAILING_SPACES.fullmatch(line):
        line = trimmed[1]
    left, expressions, anchored, at = b"", [], False, 0
    while at < len(line):
        if line[at : at + 1] == b"[":
            try:
                end, members = _bracket(line, at + 1)
            except (_NeverMatches, IndexError):
                return None
            left += MARK
            expressions.append(_expression_of(members))
            anchored |= b"/" in line[at:end]
            at = end
            continue
        token = _TOKEN.match(line, at)
        if token is None:
            return None  # a backslash at the end
        at = token.end()
        if token[0][-1:] in b"\t\v\f\r":
            left += MARK
            expressions.append(_expression_of({token[0][-1]}))
        elif token[0] == b"\\/":
            # At the end it is a directory's, behind a backslash that escapes nothing; and no path begins with one.
            if at == len(line) or left in (b"", b"!"):
                return None
            left += b"/"
        else:
            left += b"**" if token[0].startswith(b"***") else token[0]
    # A slash in a bracket matches nothing, but ties the pattern to its directory as any other does.
    if anchored and not left.startswith((b"/", b"!/")):
        left = b"!/" + left[1:] if left.startswith(b"!") else b"/" + left
    return None if left == b"!/" else (left, expressions)


def put_in(expression: bytes, expressions: Iterable[bytes]) -> bytes:
    """Return what pathspec made of a pattern with marks, with their expressions."""
    remaining: Iterator[bytes] = iter(expressions)
    return re.sub(re.escape(MARK), lambda mark: next(remaining), expression)


def _bracket(line: bytes, at: int) -> tuple[int, set[int]]:
    """Read a bracket, from behind its "["; return where it ends, and which bytes it matches."""
    negated = line[at] in b"!^"
    at += negated
    found: set[int] = set()
    before: int | None = None
    first = True
    while first or line[at] != ord("]"):
        first = False
        each: int | None = line[at]
        if each == ord("\\"):
            at += 1
            each = line[at]
            found.add(each)
        elif each == ord("-") and before is not None and line[at + 1] != ord("]"):
            at += 1
            if line[at] == ord("\\"):
                at += 1
            found.update(range(before, line[at] + 1))
            each = None
        elif line[at : at + 2] == b"[:" and line[(end := line.index(b"]", at + 2)) - 1 : end] == b":" and end > at + 2:
            found |= _class(line[at + 2 : end - 1])
            at = end
            each = None
        else:
            found.add(line[at])
        before = each
        at += 1
    return at + 1, (set(range(256)) - found if negated else found) - {_SLASH}


def _class(name: bytes) -> set[int]:
    if name not in _CLASSES:
        raise _NeverMatches
    return {ord(each) for each in _ASCII if _CLASSES[name](each)}


def _expression_of(members: set[int]) -> bytes:
    ranges: list[list[int]] = []
    for each in sorted(members):
        if ranges and ranges[-1][1] == each - 1:
            ranges[-1][1] = each
        else:
            ranges.append([each, each])
    if not ranges:
        return rb"[^\x00-\xff]"
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % (low, high) for low, high in ranges) + b"]"
