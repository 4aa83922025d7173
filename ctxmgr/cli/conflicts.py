"""How conflicts are told: which side won, and the command that gets the other version."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from ctxmgr.results import Conflict

from .invocation import Invocation
from .wording import counted, shown

__all__ = ["conflict_facts", "conflict_lines"]

_SHOWN = 20


def conflict_lines(invocation: Invocation, name: str, conflicts: Sequence[Conflict], total: int) -> Iterator[str]:
    """Return a line for each conflict; of many, for the first, and how many more there are.

    Args:
        invocation: where the contexts are, so that a command can say so.
        name: the context's.
        total: how many conflicts there are, of which the service may not tell all.
    """
    for conflict in conflicts[:_SHOWN]:
        line = f"conflict in {shown(conflict.path)}: {conflict.winner} wins, {_other_version(conflict)}"
        if conflict.kind == "file" and conflict.revision and conflict.context_path:
            line += f"; to get it: {_command(invocation, name, conflict)}"
        yield line
    more = total - min(len(conflicts), _SHOWN)
    if more > 0:
        named = "all" if total <= len(conflicts) else f"the first {len(conflicts)}"
        yield f"and {counted(more, 'more conflict')}: --json names {named}"


def _other_version(conflict: Conflict) -> str:
    """Return where the version that lost is."""
    other = "the context" if conflict.winner == "local" else "the directory"
    if not conflict.kind:
        return f"{other} had deleted it"
    what = {"dir": "a folder", "link": "a link"}.get(conflict.kind, "another version")
    kept = f"is in revision {conflict.revision}" if conflict.revision else "goes to the context's history"
    inside = "" if conflict.context_path else ", inside an archive"
    return f"{other} had {what}, which {kept}{inside}"


def conflict_facts(conflicts: Sequence[Conflict]) -> list[dict[str, Any]]:
    """Return the same as JSON has it."""
    return [
        {
            "path": each.path,
            "winner": each.winner,
            "kind": each.kind or None,
            "revision": each.revision or None,
            "context_path": each.context_path or None,
        }
        for each in conflicts
    ]


def _command(invocation: Invocation, name: str, conflict: Conflict) -> str:
    base = conflict.path.rpartition("/")[2]
    target = f"{'./' if base.startswith('-') else ''}{base}.revision-{conflict.revision}"
    words = ["ctxmgr", "file", "get"]
    for option, value in (("--data", invocation.data), ("--endpoint", invocation.endpoint)):
        if value is not None:
            words += [option, value]
    words += ["--revision", str(conflict.revision), "--", name, conflict.context_path, target]
    return " ".join(_word(word) for word in words)


def _word(text: str) -> str:
    """Return a word as a shell reads it; one that can't be shown as bash, ksh and zsh read it."""
    if text.isprintable():
        return shlex.quote(text)
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /._-+=:,@%"
    escaped = "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in os.fsencode(text))
    return f"$'{escaped}'"
