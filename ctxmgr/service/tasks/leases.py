"""Leases: which nodes elsewhere are there, and what becomes of the tasks and sessions of those that are gone.

A lease is measured by this process's monotonic clock from the moment at which the node was heard of here. Of a node
that talks to another process of the service, or talked to an earlier one, the catalog tells only that its row was
renewed: it is gone when the row has not changed for a lease, by the same clock. So no wall clock ends a lease, neither
the node's nor the service's. Only a session's lingering is told by the wall clock too, since it may outlast a process.

A node may call any process, and each call another one. So each renews the rows of those that it hears several times a
lease, and forgets a node whose row is gone: it has left, or was ended, elsewhere.

To hear a node writes nothing, and so waits for no other who writes: its row is written when it gets a session, and by
the next look. While this process stood still nobody could be heard, and while the catalog was away no row could be
renewed: that time counts for nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import leases, sessions, tasks
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog

from .questions import Questions
from .watch import Listeners

__all__ = ["LEASE_SECONDS", "LINGERING_LEASES", "NOBODY", "Holder", "Leases"]

logger = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
LINGERING_LEASES = 10
MOST_SECONDS_BETWEEN_LOOKS = 1.0
RENEWALS = 6
"""In the time of a lease: a process may hear a node, and be killed before it has renewed."""
STOP_TIMEOUT = 3.0

SILENT = "interrupted: the process that had the directory ({host}, pid {pid}) has not been heard of for {seconds:g} s"
LEFT = "interrupted: the process that had the directory left"
GIVEN_UP = "interrupted: the process that had the directory gave the task up"
NOBODY = "no process has the directory of this session: run 'ctxmgr attach' there"
ENDED = "the session ended: the process that had its directory has been gone for {seconds:g} s"


@dataclass(frozen=True)
class _Heard:
    """A node that talks to this process, and when it last did."""

    account: str
    host: str
    pid: int
    when: float


@dataclass(frozen=True)
class Holder:
    """A node that is there: who it is, and how many seconds of its lease are left."""

    host: str
    pid: int
    seconds_left: float


class Leases:
    """See the module. Can be used from any thread; its own is there as soon as there is a node.

    Args:
        listeners: those of a node's id are notified when there is something to do for it, those of a session's id when
            a task of it has ended.
        questions: looked at as well.
        seconds: how long a lease is.
        clock: the time in seconds, which never goes back.

    Attributes:
        seconds: as given; to be changed before there is a node.
    """

    def __init__(
        self,
        catalog: Catalog,
        listeners: Listeners,
        questions: Questions,
        *,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._listeners = listeners
        self._questions = questions
        self._clock = clock
        self.seconds = seconds
        self._guard = threading.Lock()
        self._heard: dict[str, _Heard] = {}
        self._written: dict[str, int] = {}  # what was in a node's row when this process heard it, or put it there
        self._renewed = clock()
        self._seen: dict[str, tuple[object, float]] = {}  # by node, session or task: what was seen, and since when
        self._unnamed: dict[str, set[str]] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def lease_ms(self) -> int:
        """How long a lease is, in milliseconds."""
        return int(self.seconds * 1000)

    def __len__(self) -> int:
        """Return how many nodes talk to this process."""
        return len(self._heard)

    def __contains__(self, node_id: str) -> bool:
        """Whether a node talks to this process."""
        return node_id in self._heard

    def hear(self, account: str, node_id: str, host: str, pid: int) -> None:
        """Note that a node is there.

        Raises:
            ServiceError: ``Forbidden.Node``: it is another account's.
        """
        known = self._heard.get(node_id)
        row, owner = (None, known.account) if known is not None else self._row(node_id)
        if owner not in (None, account):
            raise _foreign(node_id)
        with self._guard:
            self._heard[node_id] = _Heard(account, host, pid, self._clock())
            if row is not None:
                self._written[node_id] = row.lease_until_ms
            elif known is None:
                self._written.pop(node_id, None)
        self.begin()

    def check(self, account: str, node_id: str) -> None:
        """Check that a node is an account's and there; a call of it is heard like any other sign of life.

        Raises:
            ServiceError: ``Node.NotFound``.
        """
        known = self._heard.get(node_id)
        row = known or self._row(node_id)[0]
        if row is None or row.account != account:
            raise ServiceError("Node.NotFound", f"there is no node {node_id[:80]!r} here, or its lease is over")
        self.hear(account, node_id, row.host, row.pid)

    def record(self, connection: Connection, account: str, node_id: str, host: str, pid: int) -> None:
        """Write the row of a node that was heard, in the transaction that gives it a session.

        Raises:
            ServiceError: ``Forbidden.Node``: it is another account's.
        """
        until = now_ms() + self.lease_ms
        if not leases.record(connection, account, node_id, host, pid, until):
            raise _foreign(node_id)
        # Where the transaction fails, the next look finds no row, and forgets the node until it is heard again.
        with self._guard:
            self._written[node_id] = until

    def holder(self, connection: Connection, node_id: str) -> Holder | None:
        """Return who a node is, if it is there."""
        found = self._found(connection, node_id)
        return found if found is not None and found.seconds_left > 0 else None

    def end(self, connection: Connection, node_id: str) -> list[str]:
        """End a node whose lease is over, if it has not been ended yet; return the sessions to be notified after that.

        Args:
            connection: a write transaction.
        """
        found = self._found(connection, node_id)
        if found is None or found.seconds_left > 0:
            return []
        silent = SILENT.format(host=found.host, pid=found.pid, seconds=self.seconds)
        self._drop(node_id)
        return leases.forget(connection, node_id, silent)

    def leave(self, connection: Connection, account: str, node_id: str) -> list[str]:
        """End a node of an account that says so; return the sessions to be notified after the transaction."""
        owner = self._heard.get(node_id) or self._row(node_id)[0]
        if owner is None or account != owner.account:
            return []
        self._drop(node_id)
        return leases.forget(connection, node_id, LEFT)

    def given_up(self, node_id: str, unnamed: set[str]) -> set[str]:
        """Return which tasks a node has given up: those that it did not name twice in a row.

        One request proves nothing: a later one, at another process, may have overtaken it.

        Args:
            unnamed: those that run there, and that it did not name now.
        """
        with self._guard:
            before = self._unnamed.pop(node_id, set())
            if unnamed:
                self._unnamed[node_id] = unnamed
        return unnamed & before

    def look(self) -> None:
        """Renew in the catalog the nodes that were heard of, and end those that were not."""
        self._record()
        self._renew()
        written = set(self._written)
        notified: list[str] = []
        with self._catalog.read() as connection:
            rows = leases.elsewhere(connection)
            over = [row.id for row in rows if self._left(row) <= 0]
            orphaned = leases.orphans(connection)
            waiting = leases.wait_for_nobody(connection)
            waited_for = leases.waited_for(connection)
        for node_id in written - {row.id for row in rows}:
            self._drop(node_id)
        for node_id in over:
            with self._catalog.write() as connection:
                notified += self.end(connection, node_id)
        self._forget_seen({row.id for row in rows} | {row.id for row in orphaned} | set(waiting))
        late = [task_id for task_id in waiting if self._seen_for(task_id) >= self.seconds]
        ending = [row for row in orphaned if self._has_lingered(row)]
        for task_id in late:
            with self._catalog.write() as connection:
                notified += tasks.fail_waiting(connection, task_id, NOBODY)
        for row in ending:
            with self._catalog.write() as connection:
                notified += self._end_session(connection, row.id)
        for session_id in dict.fromkeys(notified):
            self._listeners.notify(session_id)
        # Another process may have queued a task for a node that talks to this one.
        for node_id in waited_for & self._heard.keys():
            self._listeners.notify_here(node_id)
        self._questions.look()

    def begin(self) -> None:
        """Look now and then from now on; again is allowed."""
        if self._thread is not None:
            return
        with self._guard:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="ctxmgr-leases", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Look no more, and wait a moment for a look that runs."""
        with self._guard:
            self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)

    def forgive(self, seconds: float) -> None:
        """Have some time count for nothing, since nobody could be heard in it."""
        with self._guard:
            self._heard = {node_id: replace(heard, when=heard.when + seconds) for node_id, heard in self._heard.items()}
            self._seen = {what: (state, since + seconds) for what, (state, since) in self._seen.items()}

    def _run(self) -> None:
        since = self._clock()
        while True:
            pause = min(MOST_SECONDS_BETWEEN_LOOKS, self.seconds / 10)
            if self._stopped.wait(pause):
                return
            late = self._clock() - since - pause
            if late > pause:
                self.forgive(late)
            since = self.look_once(since)

    def look_once(self, since: float) -> float:
        """Look, and if that fails have the time since the last look count for nothing; return when that was over."""
        try:
            self.look()
        except Exception:
            self.forgive(self._clock() - since)
            if not self._stopped.is_set():
                logger.warning("can't look after the nodes, and will try again", exc_info=True)
        return self._clock()

    def _found(self, connection: Connection, node_id: str) -> Holder | None:
        row = leases.find(connection, node_id)
        if row is not None:
            return Holder(row.host, row.pid, self._left(row)) if row.account else None
        known = self._heard.get(node_id)
        if known is None or node_id in self._written:  # it had a row, and has left or was ended elsewhere
            return None
        return Holder(known.host, known.pid, known.when + self.seconds - self._clock())

    def _row(self, node_id: str) -> tuple[Row[Any] | None, str | None]:
        """Return the row of a node, and whose it is: also of one that is gone and whose sessions wait for it."""
        with self._catalog.read() as connection:
            row = leases.find(connection, node_id)
            return row, leases.account_of(connection, node_id) if row is None else row.account

    def _record(self) -> None:
        """Write the rows of nodes that were heard of for the first time."""
        new = sorted((id_, heard) for id_, heard in list(self._heard.items()) if id_ not in self._written)
        if not new:
            return
        refused = []
        with self._catalog.write() as connection:
            until = now_ms() + self.lease_ms
            for node_id, heard in new:
                if not leases.record(connection, heard.account, node_id, heard.host, heard.pid, until):
                    refused.append(node_id)
        for node_id in refused:
            self._drop(node_id)
        for node_id, _ in new:
            with self._guard:
                if is_there := node_id in self._heard:
                    self._written[node_id] = until
            if not is_there and node_id not in refused:
                # It left while its row was written.
                with self._catalog.write() as connection:
                    leases.forget(connection, node_id, LEFT)

    def _renew(self) -> None:
        now = self._clock()
        if now - self._renewed < self.seconds / RENEWALS:
            return
        # Those that were heard of since the last time: a row that is not renewed is what ends a lease elsewhere.
        heard = [node_id for node_id, heard in list(self._heard.items()) if heard.when >= self._renewed]
        self._renewed = now
        if heard:
            until = now_ms() + self.lease_ms
            with self._catalog.write() as connection:
                leases.renew(connection, heard, until)
            self._written |= dict.fromkeys(heard, until)

    def _left(self, row: Row[Any]) -> float:
        known = self._heard.get(row.id)
        if known is None:
            since = self._since(row.id, row.lease_until_ms)
        elif row.lease_until_ms == self._written.get(row.id):
            since = known.when
        else:
            # Another process renewed it: the node talks to that one by now, or to both.
            since = max(known.when, self._since(row.id, row.lease_until_ms))
        return since + self.seconds - self._clock()

    def _since(self, what: str, state: object) -> float:
        """Return since when something has been seen in a state."""
        with self._guard:
            seen = self._seen.get(what)
            if seen is None or seen[0] != state:
                seen = self._seen[what] = (state, self._clock())
            return seen[1]

    def _seen_for(self, what: str) -> float:
        return self._clock() - self._since(what, None)

    def _forget_seen(self, but: set[str]) -> None:
        with self._guard:
            for what in self._seen.keys() - but:
                del self._seen[what]

    def _has_lingered(self, row: Row[Any]) -> bool:
        if not row.linger_ms:
            return False
        # Neither a clock that jumps ahead nor a restart ends a session before its node could have come back.
        here = self._seen_for(row.id) >= min(row.linger_ms / 1000, LINGERING_LEASES * self.seconds)
        return here and bool(now_ms() - row.node_seen_ms >= row.linger_ms)

    def _end_session(self, connection: Connection, session_id: str) -> list[str]:
        row = next((row for row in leases.orphans(connection) if row.id == session_id), None)
        if row is None:
            return []
        error = ENDED.format(seconds=row.linger_ms / 1000)
        tasks.fail_all_of_session(connection, session_id, error)
        sessions.finish(connection, session_id, error)
        return [session_id]

    def _drop(self, node_id: str) -> None:
        with self._guard:
            for known in (self._heard, self._written, self._seen, self._unnamed):
                known.pop(node_id, None)


def _foreign(node_id: str) -> ServiceError:
    return ServiceError("Forbidden.Node", f"the node {node_id!r} is not this account's: choose another id")
