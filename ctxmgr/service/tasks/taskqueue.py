"""The way in which tasks are queued: in the transaction that asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ctxmgr.engine.sync.options import NO_OPTIONS, SyncOptions
from ctxmgr.service.catalog import tasks
from ctxmgr.service.catalog.sessions import BindingRow, SessionRow

from .resuming import NOBODY, Queued

__all__ = ["Queue"]


@dataclass(frozen=True)
class Queue:
    """An open write transaction in which tasks can be queued; they begin when it is committed.

    Attributes:
        node_id: the node that runs what no other has the directory for.
        home: the data folder whose directories that node reaches.
        added: the tasks that are new.
    """

    connection: Connection
    node_id: str
    home: str
    added: list[Queued]

    def add(
        self,
        session: SessionRow,
        binding: BindingRow,
        mode: str,
        path: str = "",
        *,
        discard: bool = False,
        options: SyncOptions = NO_OPTIONS,
    ) -> str:
        """Queue a sync of one of a session's bindings, or of a path below its mount path; return its task's id."""
        path = path or binding.path
        node_id = session.node_id or (self.node_id if session.home == self.home else NOBODY)
        task, new = tasks.queue(
            self.connection, node_id, session.account, binding, mode, path, discard=discard, options=options
        )
        if new:
            self.added.append(Queued(session.account, task, session.root))
        return task.id

    def add_change(self, account: str, context_id: str, mode: str, *, revision: int = 0) -> str:
        """Queue a clear or a restore of a context, and return its task's id."""
        task = tasks.queue_change(self.connection, self.node_id, account, context_id, mode, revision=revision)
        self.added.append(Queued(account, task, context_id))
        return task.id
