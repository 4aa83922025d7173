"""Messages about a task, from its start to what it came to."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ctxmgr.engine.manifest.entries import Entry

from .limits import ACCEPTED_PATHS
from .message import Message, Number

__all__ = [
    "Commit",
    "Fail",
    "OutcomeMessage",
    "PolicyOf",
    "PolicyText",
    "Report",
    "RowBlock",
    "Start",
]

_FEW: Final = msgspec.Meta(max_length=ACCEPTED_PATHS)


class Start(Message):
    """Begin a task that is waiting."""

    node: str
    task: str
    again: bool = False


class Report(Message):
    """Show others how far a running task is."""

    node: str
    task: str
    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0


class Fail(Message):
    """End a task with the reason it failed for; one that has ended stays as it is."""

    node: str
    task: str
    error: str


class PolicyOf(Message):
    """Ask for the policy of the binding that a task syncs."""

    node: str
    task: str


class PolicyText(Message):
    """The policy as the binding has it."""

    policy: str


class OutcomeMessage(Message):
    """What a task that succeeded has done: the engine's ``Outcome``, with its progress and conflicts laid out flat."""

    revision: int
    files: int = 0
    deleted: int = 0
    bytes: int = 0
    unchanged: int = 0
    skipped: str = "[]"
    nothing_to_sync: bool = False
    kept_local: int = 0
    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0


class RowBlock(Message):
    """A part of one revision's changes: blocks with the same ``change`` belong to one revision, in ascending order.

    The other fields are those of the engine's ``RowChange``; ``mount``, ``note`` and ``workspace`` are the same in all
    blocks of a change. No path is in two blocks of a change.
    """

    change: int
    mount: str
    put: Annotated[list[tuple[bytes, Entry]], _FEW] = msgspec.field(default_factory=list)
    drop: Annotated[list[bytes], _FEW] = msgspec.field(default_factory=list)
    current: Annotated[list[bytes], _FEW] = msgspec.field(default_factory=list)
    note: str = ""
    workspace: str = ""


class Commit(Message):
    """Make revisions and record what the task came to, all of it or nothing.

    Attributes:
        changes: `pack_blocks` of ``RowBlock``; or empty, and ``staged`` is the name of what was staged; or both empty.
        head: the context's head that the first change was planned on; without changes it is not compared.
        outcome: None if the task goes on.
        conflicts, conflicts_total: the task's, JSON as in its row.
    """

    node: str
    task: str
    head: Number
    changes: bytes = b""
    staged: str = ""
    outcome: OutcomeMessage | None = None
    conflicts: str = "[]"
    conflicts_total: int = 0
    again: bool = False
