"""The processes of a service on several machines, each known alive while it renews its lease.

Only the clock of the database counts.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import BigInteger, Connection, cast, delete, func, insert, select, update

from ctxmgr.errors import ServiceError
from ctxmgr.reasons import reason
from ctxmgr.service.catalog import tasks
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.identifiers import new_id
from ctxmgr.service.catalog.schema import nodes
from ctxmgr.service.catalog.sessions import SessionRow

__all__ = ["ServiceProcess", "check_reached", "users"]

logger = logging.getLogger(__name__)

RENEWALS: Final = 6
"""In the time of a lease: some of them may fail."""
STOP_TIMEOUT: Final = 3.0
_NOW = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
_OWN = nodes.c.account == ""
_EXPIRED = nodes.c.lease_until_ms < _NOW


class ServiceProcess:
    """This process among those that use one catalog.

    What it does between renewals, ``tick``, is due as soon as they are: the end of dead nodes, and what they left.
    """

    def __init__(self, catalog: Catalog, home: str, *, seconds: float) -> None:
        self._catalog = catalog
        self._home = home
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._steady_since = time.monotonic()
        self._renewed = self._steady_since
        self.id = new_id("node-")
        self._renew()

    def begin(self, tick: Callable[[], object]) -> None:
        """Renew the lease from now on, and tick at each renewal."""
        self._thread = threading.Thread(target=self._run, args=(tick,), name="ctxmgr-lease", daemon=True)
        self._thread.start()

    def end_dead_ones(self, *, wait: bool = False) -> None:
        """Fail the tasks of nodes whose lease is over, and forget those nodes.

        Others may only have been kept from renewing by what kept this node from it, such as a database that was away:
        so it judges nobody before it has itself renewed without a gap for the time of a lease.
        """
        if time.monotonic() - self._steady_since < self._seconds:
            return
        with self._catalog.read() as connection:
            dead = connection.execute(select(nodes.c.id).where(_OWN, _EXPIRED).order_by(nodes.c.id)).scalars().all()
        for node_id in dead:
            with self._catalog.write(node_id) as connection:
                expired = select(nodes).where(nodes.c.id == node_id, _EXPIRED)
                if (row := connection.execute(expired).one_or_none()) is not None:
                    who = f"the process that ran it (pid {row.pid} on {row.host})"
                    error = f"interrupted: {who} has not been heard of for {self._seconds:g} s"
                    tasks.fail_all_of(connection, node_id, error)
                    connection.execute(delete(nodes).where(nodes.c.id == node_id))

    def others(self) -> bool:
        """Whether other processes, or nodes of other processes, use the same catalog."""
        with self._catalog.read() as connection:
            return connection.execute(select(nodes.c.id).where(nodes.c.id != self.id).limit(1)).first() is not None

    def leave(self, settle: Callable[[Connection], None]) -> None:
        """Forget this node.

        Args:
            settle: decides, in the same transaction, what becomes of the node's tasks that have not ended.
        """
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)
        with self._catalog.write(self.id) as connection:
            settle(connection)
            connection.execute(delete(nodes).where(nodes.c.id == self.id))

    def _run(self, tick: Callable[[], object]) -> None:
        while not self._stopped.wait(self._seconds / RENEWALS):
            try:
                self._renew()
                tick()
            except Exception as error:
                if not self._stopped.is_set():
                    logger.warning("can't renew the lease of this process: %s", reason(error))

    def _renew(self) -> None:
        until = _NOW + int(self._seconds * 1000)
        with self._catalog.write(self.id) as connection:
            renewed = update(nodes).where(nodes.c.id == self.id).values(lease_until_ms=until)
            # Taken for dead, it was forgotten: its tasks have failed, and those that come are a living node's again.
            if not connection.execute(renewed).rowcount:
                who = {"host": socket.gethostname(), "pid": os.getpid(), "started_ms": now_ms(), "home": self._home}
                connection.execute(insert(nodes).values(id=self.id, lease_until_ms=until, **who))
        now = time.monotonic()
        if now - self._renewed > self._seconds / 2:
            self._steady_since = now
        self._renewed = now


def check_reached(connection: Connection, session: SessionRow, home: str, *, here: bool = False) -> None:
    """Check that a service reaches a session's directory: one of this data folder or, unless ``here``, of another.

    Raises:
        ServiceError: ``ServiceUnavailable.Elsewhere``.
    """
    if session.node_id or session.home == home:
        return
    alive = select(nodes.c.host).where(_OWN, nodes.c.home == session.home, ~_EXPIRED).limit(1)
    host = connection.execute(alive).scalar_one_or_none()
    if host is None:
        raise ServiceError(
            "ServiceUnavailable.Elsewhere",
            f"the directory of the session {session.id!r} is on a machine where no service runs now: start it there",
        )
    if here:
        raise ServiceError(
            "ServiceUnavailable.Elsewhere",
            f"the directory of the session {session.id!r} is on {host}: ask the service that runs there",
        )


def users(connection: Connection) -> list[str]:
    """Return, for people, the processes that use the catalog."""
    rows = connection.execute(
        select(nodes.c.pid, nodes.c.host).where(_OWN, ~_EXPIRED).order_by(nodes.c.host, nodes.c.pid)
    )
    return [f"pid {pid} on {host}" for pid, host in rows]
