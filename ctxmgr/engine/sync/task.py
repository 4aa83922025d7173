"""What a sync is asked to do, how far it is, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass, field

from .conflicts import Conflicts
from .options import SyncOptions

__all__ = ["DOWNLOAD", "UPLOAD", "Outcome", "Progress", "Task", "TaskInterrupted"]

UPLOAD, DOWNLOAD = "upload", "download"


class TaskInterrupted(Exception):
    """The task was ended from outside; what runs it stops, and leaves nothing behind that claims otherwise."""


@dataclass(frozen=True)
class Task:
    """What a task is to do.

    Attributes:
        path: the mount path as the client spelled it, or the path below it that alone is to be synced.
        session_id: whose it is; the context's own id for one that changes a context without a session.
        revision: what a restore goes back to.
        discard: whether a download gives up what only the workspace changed.
        conflicts: those that it met before it was taken over.
        node_id: the node that runs it.
        options: its own choices, beside the policy's.
    """

    id: str
    session_id: str
    context_id: str
    mount: str
    path: str
    mode: str
    delete: bool
    revision: int = 0
    node_id: str = ""
    discard: bool = False
    conflicts: Conflicts = field(default_factory=Conflicts)
    options: SyncOptions = field(default_factory=SyncOptions)


@dataclass
class Progress:
    """How far a task has come; the totals are 0 until they are known."""

    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a task that succeeded has done.

    Attributes:
        revision: the context's revision that the workspace was synced with.
        files: files and links transferred.
        deleted: paths deleted, in the context by an upload, in the workspace by a download.
        bytes: the transferred files' content.
        unchanged: files and links that were the same on both sides.
        skipped: the JSON list of [path, reason] of what can't be synced.
        nothing_to_sync: both sides were the same already.
        kept_local: paths that a download left as only the workspace has them.
        conflicts: the paths that both sides had changed.
    """

    revision: int
    files: int = 0
    deleted: int = 0
    bytes: int = 0
    unchanged: int = 0
    skipped: str = "[]"
    nothing_to_sync: bool = False
    progress: Progress = field(default_factory=Progress)
    kept_local: int = 0
    conflicts: Conflicts = field(default_factory=Conflicts)
