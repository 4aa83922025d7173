"""What a commit tells people beside its changes: as much of it as one message holds, and the rest counted."""

from __future__ import annotations

import json
from typing import Any, Final

from msgspec.structs import replace

from ctxmgr import nodewire

__all__ = ["fitted"]

_ROOM: Final = nodewire.MAX_BODY - 100_000
"""Bytes for it: the names and numbers of the message take a part of the rest."""


def fitted(message: nodewire.Commit) -> nodewire.Commit:
    """Return a commit whose conflicts and skipped paths fit into a message.

    The conflicts are counted in any case. Of paths that were skipped and are not named, the last entry tells how many
    there are.
    """
    if _size(message) <= _ROOM:
        return message
    message = replace(message, conflicts=json.dumps(_first(json.loads(message.conflicts), _ROOM // 2)))
    if message.outcome is None or _size(message) <= _ROOM:
        return message
    skipped = json.loads(message.outcome.skipped)
    told = _first(skipped, _ROOM // 2)
    told.append(["", f"and {len(skipped) - len(told)} more paths"])
    return replace(message, outcome=replace(message.outcome, skipped=json.dumps(told)))


def _size(message: nodewire.Commit) -> int:
    return len(nodewire.encode(replace(message, changes=b"")))


def _first(items: list[Any], most: int) -> list[Any]:
    """Return the first items, so many that they take that many bytes at most."""
    size = 0
    for count, item in enumerate(items):
        size += len(json.dumps(item)) + 2
        if size > most:
            return items[:count]
    return list(items)
