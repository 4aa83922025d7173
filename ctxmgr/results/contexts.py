"""Contexts, what became of them, and their history."""

from __future__ import annotations

import attrs

from .response import ListResult, Result
from .syncs import ContextSyncResult

__all__ = ["Context", "ContextChangeResult", "ContextListResult", "ContextResult", "Revision", "RevisionListResult"]


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
    """How a clear or a revert of a context ended, or with ``wait=False``, that it was accepted.

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
        workspace: names the directory and its binding that were uploaded; the same for all uploads of the same.
        directory: where that directory is, while its session is known.
        host: the machine that ran the task, if one did.
        added, changed, deleted: files and links that it added, changed and deleted; told by ``history``.
        bytes: of the files that it added and changed; told by ``history``.
    """

    number: int
    create_time: str = ""
    note: str = ""
    task_id: str = ""
    current: bool = False
    workspace: str = ""
    directory: str = ""
    host: str = ""
    added: int = 0
    changed: int = 0
    deleted: int = 0
    bytes: int = 0


@attrs.define(kw_only=True)
class RevisionListResult(ListResult):
    """One page of a context's revisions, latest first."""

    revisions: list[Revision] = attrs.Factory(list)


@attrs.define(kw_only=True)
class ContextListResult(ListResult):
    """One page of contexts.

    Attributes:
        total_count: how many there are in all, as far as the service tells.
    """

    contexts: list[Context] = attrs.Factory(list)
    total_count: int = 0
