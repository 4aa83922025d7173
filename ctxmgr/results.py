"""What calls give back: plain attrs classes, the same objects in ctxmgr and ctxmgr_async."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from .errors import error_for

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "ApiResponse",
    "BindResult",
    "Conflict",
    "Context",
    "ContextBinding",
    "ContextBindingsResult",
    "ContextChangeResult",
    "ContextFile",
    "ContextInfoResult",
    "ContextListResult",
    "ContextPlanResult",
    "ContextResult",
    "ContextStatusData",
    "ContextSyncResult",
    "FileListResult",
    "FileResult",
    "FileTransferResult",
    "FileUrlResult",
    "LabelsResult",
    "OperationResult",
    "PlannedChange",
    "Revision",
    "RevisionListResult",
    "SessionInfo",
    "SessionListResult",
    "conflicts_of",
]


@attrs.define(kw_only=True)
class ApiResponse:
    """What every answer carries.

    Attributes:
        request_id: the id under which the service logged the request.
    """

    request_id: str = ""


@attrs.define(kw_only=True)
class Result(ApiResponse):
    """An answer that may be a failure.

    Attributes:
        success: whether the service did what was asked.
        error_message: ``[Code] Message`` when it did not, otherwise empty.

    A result is true exactly if it is a success.
    """

    success: bool = False
    error_message: str = ""

    def __bool__(self) -> bool:
        return self.success

    def raise_for_error(self) -> Self:
        """Return this result if it is a success.

        Raises:
            ApiError: the result is a failure; the subclass tells its kind (see ``ctxmgr.errors``).
        """
        if self.success:
            return self
        code, message = _code_and_message(self.error_message)
        raise error_for(code, message, request_id=self.request_id)


def _code_and_message(text: str) -> tuple[str, str]:
    if text.startswith("[") and "] " in text:
        code, _, message = text[1:].partition("] ")
        return code, message
    return "", text or "the service gave no reason"


@attrs.define(kw_only=True)
class OperationResult(Result):
    """The answer to a change that has nothing to show but its success."""


@attrs.define(kw_only=True)
class BindResult(OperationResult):
    """How a bind ended, or with ``wait=False``, that it was accepted.

    Attributes:
        conflicts: the local versions that the downloads replaced.
    """

    conflicts: list[Conflict] = attrs.Factory(list)


@attrs.frozen(kw_only=True)
class Conflict:
    """A path that a sync found changed on both sides, differently.

    The winner's version is what both sides have now. Where ``context_path`` is set and ``kind`` is ``file``,
    ``client.files.download(context_id, context_path, target, revision=revision)`` fetches the other one.

    Attributes:
        path: below the mount.
        winner: ``local`` in an upload, ``context`` in a download.
        kind: what the other version is: ``file``, ``dir`` or ``link``; empty if that side had deleted the path.
        revision: the context's revision that holds the other version; 0 if there is none, or (in a plan) none yet.
        context_path: absolute in the context, where the revision has it; empty if it is inside an archive there.
        context_id: the context concerned.
        mount: where the context is bound in the session.
    """

    path: str
    winner: str
    kind: str = ""
    revision: int = 0
    context_path: str = ""
    context_id: str = ""
    mount: str = ""


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


@attrs.define(kw_only=True)
class ContextSyncResult(Result):
    """How a sync ended, or with ``callback=``, how it began.

    Attributes:
        success: ``True`` only on evidence for this very sync; with ``callback=``, that the service accepted it.
        pending: whether the outcome is still open (only with ``callback=``).
        nothing_to_sync: whether the sync ended without anything to do.
        tasks: the tasks that were waited for, as last seen.
        note: what a success has to say beside that, such as that no context is bound; mostly empty.
    """

    pending: bool = False
    nothing_to_sync: bool = False
    tasks: tuple[ContextStatusData, ...] = ()
    note: str = ""

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The ids of the tasks, where the server has them."""
        return tuple(task.task_id for task in self.tasks if task.task_id)

    @property
    def revision(self) -> int:
        """The highest revision that a task made or brought; 0 on a server that does not tell."""
        return max((task.revision for task in self.tasks), default=0)

    @property
    def files(self) -> int:
        """Files and links that travelled."""
        return sum(task.files for task in self.tasks)

    @property
    def deleted(self) -> int:
        """Entries removed on the receiving side."""
        return sum(task.deleted for task in self.tasks)

    @property
    def bytes(self) -> int:
        """Content bytes that travelled."""
        return sum(task.bytes for task in self.tasks)

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Pairs of path and reason for what can't be kept, such as sockets."""
        return tuple(pair for task in self.tasks for pair in task.skipped)

    @property
    def kept_local(self) -> int:
        """Paths that a download left as only the directory has them; ``discard_local=True`` gives those up."""
        return sum(task.kept_local for task in self.tasks)

    @property
    def conflicts(self) -> list[Conflict]:
        """What both sides had changed; of more than 10,000 in one binding only the first."""
        return conflicts_of(self.tasks)

    @property
    def conflicts_total(self) -> int:
        """How many conflicts there were."""
        return sum(task.conflicts_total for task in self.tasks)


@attrs.frozen(kw_only=True)
class PlannedChange:
    """One change a sync would make.

    Attributes:
        path: the file's path below its mount.
        action: ``put`` and ``drop`` change the context; ``write`` and ``remove`` change the directory; ``conflict``
            changes the receiving side, whose version is kept in the context's history.
        size: bytes of the file that would travel; 0 for the others.
        kind: ``file``, ``dir`` or ``link`` for what would travel; empty for what would only go away.
        context_id: the context concerned.
        mount: where the context is bound in the session.
    """

    path: str
    action: str
    size: int = 0
    kind: str = ""
    context_id: str = ""
    mount: str = ""


@attrs.define(kw_only=True)
class ContextPlanResult(Result):
    """What a sync would do, without its being done.

    Attributes:
        unchanged: entries that are the same on both sides.
        skipped: pairs of path and reason for what can't be kept, such as sockets.
        kept_local: paths that a download would leave as only the directory has them.
        conflicts: what both sides have changed.
    """

    changes: list[PlannedChange] = attrs.Factory(list)
    unchanged: int = 0
    skipped: list[tuple[str, str]] = attrs.Factory(list)
    kept_local: int = 0
    conflicts: list[Conflict] = attrs.Factory(list)


@attrs.frozen(kw_only=True)
class Context:
    """A directory that outlives the sessions that work in it.

    Attributes:
        state: ``available``, ``in-use``, ``clearing`` or ``pre-available``.
        create_time, last_used_time: as the service writes them (ISO 8601).
    """

    id: str
    name: str = ""
    state: str = ""
    os_type: str = ""
    create_time: str = ""
    last_used_time: str = ""


@attrs.define(kw_only=True)
class ContextResult(Result):
    """A context, or why there is none."""

    _context: Context | None = attrs.field(default=None, alias="context")

    @property
    def context(self) -> Context:
        """The context.

        Raises:
            ApiError: the result is a failure, so that ``client.contexts.get(…).context`` tells why.
        """
        self.raise_for_error()
        assert self._context is not None, "a successful ContextResult holds a context"
        return self._context


@attrs.define(kw_only=True)
class ContextChangeResult(ContextSyncResult):
    """How a clear or a restore of a context ended, or with ``wait=False``, that it was accepted.

    ``deleted`` counts what is no longer in the context, ``files`` what is in it again, and ``revision`` is the one that
    says so: going back to the one before it undoes the change. A server that tells none of that leaves them 0.
    """


@attrs.frozen(kw_only=True)
class Revision:
    """What a context was from one change to the next (ctxmgr's own service only).

    Attributes:
        number: counts from 1; 0 is the empty context that each begins as.
        create_time: when it was made (ISO 8601).
        note: what made it, such as ``upload``, ``file``, ``delete`` or ``clear``.
        task_id: the task that made it, if one did.
        current: whether it is the context's latest.
    """

    number: int
    create_time: str = ""
    note: str = ""
    task_id: str = ""
    current: bool = False


@attrs.define(kw_only=True)
class RevisionListResult(Result):
    """One page of a context's revisions, latest first."""

    revisions: list[Revision] = attrs.Factory(list)
    next_token: str = ""


@attrs.define(kw_only=True)
class ContextListResult(Result):
    """One page of contexts.

    Attributes:
        next_token: asks for the next page; empty on the last.
        total_count: how many there are in all, as far as the service tells.
    """

    contexts: list[Context] = attrs.Factory(list)
    next_token: str = ""
    total_count: int = 0


@attrs.frozen(kw_only=True)
class ContextFile:
    """A file or folder of a context.

    Attributes:
        path: absolute in the context.
        type: ``file``, ``folder`` or ``link``.
        size: bytes.
        revision: the context's revision that brought it as it is; 0 where the server does not tell.
        mode, digest, target: octal permission bits, BLAKE3 of the content in hexadecimal, and where a link points;
            told of one file by ``client.files.stat`` (ctxmgr's own service only).
    """

    id: str = ""
    name: str = ""
    path: str = ""
    type: str = ""
    size: int = 0
    create_time: str = ""
    modify_time: str = ""
    status: str = ""
    revision: int = 0
    mode: str = ""
    digest: str = ""
    target: str = ""


@attrs.define(kw_only=True)
class FileResult(Result):
    """A file of a context, or why there is none."""

    _file: ContextFile | None = attrs.field(default=None, alias="file")

    @property
    def file(self) -> ContextFile:
        """The file.

        Raises:
            ApiError: the result is a failure, so that ``client.files.stat(…).file`` tells why.
        """
        self.raise_for_error()
        assert self._file is not None, "a successful FileResult holds a file"
        return self._file


@attrs.define(kw_only=True)
class FileUrlResult(Result):
    """A URL for one file, good for one method: whoever holds it needs no key.

    Attributes:
        url: takes a plain PUT, or answers a plain GET. Not shown: it is a secret while it is valid.
        expire_time: epoch seconds until which it is valid.
    """

    url: str = attrs.field(default="", repr=False)
    expire_time: int = 0


@attrs.define(kw_only=True)
class FileTransferResult(Result):
    """A file that was uploaded or downloaded, or why it was not.

    Attributes:
        size: bytes that travelled.
        digest: BLAKE3 of the content in hexadecimal; empty where the server does not tell.
        revision: the context's revision that holds it; 0 where the server does not tell.
        verified: whether a digest proves that what came is what was sent. A file that fails the proof is never taken;
            ``False`` says that the server announced no digest which can be computed here.
    """

    size: int = 0
    digest: str = ""
    revision: int = 0
    verified: bool = False


@attrs.define(kw_only=True)
class FileListResult(Result):
    """One page of a context's files."""

    files: list[ContextFile] = attrs.Factory(list)
    next_token: str = ""
    total_count: int = 0


@attrs.frozen(kw_only=True)
class ContextBinding:
    """A context bound at a path of a session."""

    context_id: str = ""
    context_name: str = ""
    path: str = ""
    policy: str = ""
    bind_time: str = ""


@attrs.define(kw_only=True)
class ContextBindingsResult(Result):
    """The bindings of a session."""

    bindings: list[ContextBinding] = attrs.Factory(list)


@attrs.define(kw_only=True)
class LabelsResult(Result):
    """The labels of a session."""

    labels: dict[str, str] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class SessionInfo:
    """A session as a list shows it."""

    session_id: str = ""
    status: str = ""


@attrs.define(kw_only=True)
class SessionListResult(Result):
    """One page of sessions."""

    sessions: list[SessionInfo] = attrs.Factory(list)
    next_token: str = ""
    total_count: int = 0
