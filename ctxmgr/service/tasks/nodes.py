"""The processes that use one data folder, each known alive by the lock it holds, and the end of those that died."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, delete, insert, select

from ctxmgr.engine.workspace.locks import lock_of
from ctxmgr.service.catalog import tasks
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.identifiers import new_id
from ctxmgr.service.catalog.retries import Retries
from ctxmgr.service.catalog.schema import nodes

__all__ = ["Node", "users_of"]

DIED = "interrupted: the process that ran it ended"
GUARD_TIMEOUT = 30.0


class Node:
    """This process among those that use one data folder.

    A node's lock is taken, and a dead one's is tried, only under the folder's guard lock: so a lock that can be taken
    is one whose process has ended, never one that is just beginning.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder
        self.id = new_id("node-")
        self._lock = self._lock_of(self.id)
        self._retries = Retries("find out whether the process of the node {} has ended")
        with self._guard():
            self._lock.acquire(blocking=False)
            with catalog.write() as connection:
                row = {"id": self.id, "host": socket.gethostname(), "pid": os.getpid(), "started_ms": now_ms()}
                connection.execute(insert(nodes).values(row))

    def end_dead_ones(self, *, wait: bool = False) -> None:
        """Fail the tasks of nodes whose process has ended, and forget those nodes.

        Args:
            wait: wait for another process that is doing the same; otherwise leave it to that one.
        """
        with self._catalog.read() as connection:
            of_the_folder = select(nodes.c.id).where(nodes.c.id != self.id, nodes.c.account == "")
            others = connection.execute(of_the_folder).scalars().all()
        if not others:
            return
        with suppress(Timeout), self._guard(wait=wait):
            # One whose lock can't be tried must not keep the tasks of the others running for ever.
            self._retries.each(others, self._end_if_dead)

    def others(self) -> bool:
        """Whether other processes use the same data folder; one about which that can't be told counts."""
        self.end_dead_ones(wait=True)
        with self._catalog.read() as connection:
            return connection.execute(select(nodes.c.id).where(nodes.c.id != self.id).limit(1)).first() is not None

    def leave(self, settle: Callable[[Connection], None]) -> None:
        """Forget this node.

        Args:
            settle: decides, in the same transaction, what becomes of the node's tasks that have not ended.
        """
        with self._catalog.write() as connection:
            settle(connection)
            connection.execute(delete(nodes).where(nodes.c.id == self.id))
        self._lock.release()
        self._lock_file(self.id).unlink(missing_ok=True)

    def _end_if_dead(self, node_id: str) -> None:
        lock = self._lock_of(node_id)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return
        try:
            with self._catalog.write() as connection:
                tasks.fail_all_of(connection, node_id, DIED)
                connection.execute(delete(nodes).where(nodes.c.id == node_id))
            self._lock_file(node_id).unlink(missing_ok=True)
        finally:
            lock.release()

    def _guard(self, *, wait: bool = True) -> FileLock:
        timeout = GUARD_TIMEOUT if wait else 0
        return lock_of(self._folder / "guard.lock", timeout=timeout)

    def _lock_file(self, node_id: str) -> Path:
        return self._folder / f"{node_id}.lock"

    def _lock_of(self, node_id: str) -> FileLock:
        return lock_of(self._lock_file(node_id))


def users_of(connection: Connection, folder: Path) -> list[str]:
    """Return, for people, the processes that use a data folder."""
    found = []
    for node_id, host, pid in connection.execute(select(nodes.c.id, nodes.c.host, nodes.c.pid)).all():
        file = folder / f"{node_id}.lock"
        if not file.exists():
            continue
        lock = lock_of(file)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            found.append(f"pid {pid} on {host}")
        else:
            lock.release()
    return found
