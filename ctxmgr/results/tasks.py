"""The tasks of a session, and the conflicts they tell."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .response import Result

__all__ = ["Conflict", "ContextInfoResult", "ContextStatusData", "SyncProgress", "conflicts_of"]


@attrs.frozen(kw_only=True)
class Conflict:
    """A path that a sync found changed on both sides, differently.

    The winner's version has the name now, on the side that was synced to. Where ``revision`` and ``context_path`` are
    set and ``kind`` is ``file``, ``client.files.download(context_id, context_path, target, revision=revision)`` fetches
    the other one.

    Attributes:
        path: below the mount.
        winner: ``local`` or ``context``; without a choice ``local`` in an upload, ``context`` in a download. Empty in a
            sync that was refused for its conflicts.
        kind: what the other version is: ``file``, ``dir`` or ``link``; empty if that side had deleted the path.
        revision: the context's revision that holds the other version; 0 if there is none, or (in a plan) none yet.
        context_path: absolute in the context, where the revision has it; empty if it is inside an archive there.
        context_id: the context concerned.
        mount: where the context is bound in the session.
        copy: where below the mount a copy of the other version lies, with ``keep-both``; empty if there is none.
    """

    path: str
    winner: str
    kind: str = ""
    revision: int = 0
    context_path: str = ""
    context_id: str = ""
    mount: str = ""
    copy: str = ""


@attrs.frozen(kw_only=True)
class SyncProgress:
    """How far a sync is, all its tasks together (ctxmgr's own service only; elsewhere all is 0).

    Attributes:
        files_done, bytes_done: files and links, and content bytes, that have been dealt with.
        files_total, bytes_total: what there is to deal with in all; 0 while that is not known.
    """

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0

    @classmethod
    def of(cls, tasks: Iterable[ContextStatusData]) -> SyncProgress:
        """Add up what tasks tell."""
        tasks = tuple(tasks)
        return cls(
            files_done=sum(task.files_done for task in tasks),
            files_total=sum(task.files_total for task in tasks),
            bytes_done=sum(task.bytes_done for task in tasks),
            bytes_total=sum(task.bytes_total for task in tasks),
        )


@attrs.frozen(kw_only=True)
class ContextStatusData:
    """One task of a session: an upload or a download of one context at one path.

    The first seven fields are AgentBay's; the others are told by ctxmgr's own service, and are defaults elsewhere.

    Attributes:
        status: ``Success`` and ``Failed`` are final; anything else is still going on.
        start_time: epoch seconds; 0 while unknown.
        finish_time: epoch seconds; 0 while unknown.
        task_type: ``upload`` or ``download``.
        task_id: names the task; empty on a server without task ids.
        revision: the context's revision this task made (upload) or brought (download).
        files: files and links that travelled.
        deleted: entries removed on the receiving side.
        bytes: content bytes that travelled.
        unchanged: entries that were the same on both sides.
        files_total, files_done, bytes_total, bytes_done: progress of a running task.
        skipped: pairs of path and reason for what can't be kept, such as sockets.
        nothing_to_sync: whether there was nothing to change on the receiving side.
        kept_local: paths that a download left as only the directory has them, because only it had changed them.
        conflicts: what both sides had changed; of more than 10,000 only the first.
        conflicts_total: how many conflicts there were.
    """

    context_id: str = ""
    path: str = ""
    error_message: str = ""
    status: str = ""
    start_time: int = 0
    finish_time: int = 0
    task_type: str = ""
    task_id: str = ""
    revision: int = 0
    files: int = 0
    deleted: int = 0
    bytes: int = 0
    unchanged: int = 0
    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    nothing_to_sync: bool = False
    kept_local: int = 0
    conflicts: tuple[Conflict, ...] = ()
    conflicts_total: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether the task has ended: exactly on ``Success`` or ``Failed`` (AgentBay's protocol)."""
        return self.status in ("Success", "Failed")


def conflicts_of(tasks: Iterable[ContextStatusData]) -> list[Conflict]:
    """Return the conflicts that tasks tell."""
    return [conflict for task in tasks for conflict in task.conflicts]


@attrs.define(kw_only=True)
class ContextInfoResult(Result):
    """The tasks of a session.

    Attributes:
        context_status_data: one entry a task; empty if the session has none.
    """

    success: bool = True
    context_status_data: list[ContextStatusData] = attrs.Factory(list)
