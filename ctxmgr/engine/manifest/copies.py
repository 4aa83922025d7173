"""The copies that keep versions which lost a conflict beside those that won: their names, and how many there are."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from typing import Final

from .entries import DIRECTORY, Manifest, parent, tree_order

__all__ = ["MAX_COPIES", "copies_of", "is_copy"]

MAX_COPIES: Final = 10
"""Copies beside one file; versions that lose when there are as many are in the context's history alone."""

MAX_NAME: Final = 255
_COPY: Final = re.compile(rb"(.+)\.conflict-[A-Za-z0-9_-]*-[0-9]{8}T[0-9]{4}(?:-[0-9]+)?(\.[^./]*)?", re.DOTALL)


def is_copy(path: bytes) -> bool:
    """Whether a path has the name of a copy."""
    return _COPY.fullmatch(path) is not None


def copies_of(
    lost: Collection[bytes], losing: Manifest, target: Manifest, taken: Collection[bytes], stamp: str
) -> dict[bytes, bytes]:
    """Return by path where the losing versions of conflicts get a copy: files and links do, and no copy does.

    Args:
        lost: the conflicts that the side to be changed has lost.
        losing: what that side has.
        target: what it is going to have.
        taken: the paths that are in use.
        stamp: what the names say of their origin.
    """
    if not lost:
        return {}
    taken = {*taken, *target}
    there = Counter(match[1] + (match[2] or b"") for path in taken if (match := _COPY.fullmatch(path)) is not None)
    copies: dict[bytes, bytes] = {}
    for path in sorted(lost, key=tree_order):
        version, above = losing.get(path), parent(path)
        if version is None or version.kind == DIRECTORY or is_copy(path) or there[path] >= MAX_COPIES:
            continue
        if above and (above not in target or target[above].kind != DIRECTORY):
            continue
        copy = _free_name(path, stamp, taken)
        if copy is not None:
            copies[path] = copy
            taken.add(copy)
    return copies


def _free_name(path: bytes, stamp: str, taken: Collection[bytes]) -> bytes | None:
    """Return a name that sorts beside the path's own; None where that would be too long.

    The mark stands before the suffix, which programs go by.
    """
    stem, suffix = os.path.splitext(path)
    number = 1
    while True:
        mark = f".conflict-{stamp}{f'-{number}' if number > 1 else ''}".encode()
        copy = stem + mark + suffix
        if len(copy.rpartition(b"/")[2]) > MAX_NAME:
            return None
        if copy not in taken:
            return copy
        number += 1
