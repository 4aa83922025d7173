"""How a sync ended, and what one would do."""

from __future__ import annotations

import attrs

from .response import Result
from .tasks import Conflict, ContextStatusData, conflicts_of

__all__ = ["ContextPlanResult", "ContextSyncResult", "ExcludedPath", "PlannedChange"]


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


@attrs.frozen(kw_only=True)
class ExcludedPath:
    """A path of the directory that a sync would leave out.

    Attributes:
        path: below the mount; with a slash at its end it is a directory, and stands for all that is in it.
        pattern: what excludes it; empty where the white lists do.
        source: the ``.ctxignore`` that the pattern stands in, below the mount; empty for one of the policy or the call.
        line: its line there; 0 for the others.
        mount: where the context is bound in the session.
    """

    path: str
    pattern: str = ""
    source: str = ""
    line: int = 0
    mount: str = ""


@attrs.define(kw_only=True)
class ContextPlanResult(Result):
    """What a sync would do, without its being done.

    Attributes:
        unchanged: entries that are the same on both sides.
        skipped: pairs of path and reason for what can't be kept, such as sockets.
        kept_local: paths that a download would leave as only the directory has them.
        conflicts: what both sides have changed.
        excluded: what it would leave out, and why; of more than 10,000 paths only the first.
        excluded_total: how many there are.
        refusal: why the sync would be refused, such as for deleting most of a context; empty if it would not.
    """

    changes: list[PlannedChange] = attrs.Factory(list)
    unchanged: int = 0
    skipped: list[tuple[str, str]] = attrs.Factory(list)
    kept_local: int = 0
    conflicts: list[Conflict] = attrs.Factory(list)
    excluded: list[ExcludedPath] = attrs.Factory(list)
    excluded_total: int = 0
    refusal: str = ""
