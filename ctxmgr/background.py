"""Waits for syncs in the background, however many: waits of one session share its polls, and none holds a thread."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from ._forks import renewed_in_child
from ._io import Jobs, Lock, Repeating, now
from .completion import Found, Pace, Verdict, Wait, judge
from .errors import CtxmgrError
from .polling import PARK, Poller
from .results import ContextStatusData

__all__ = ["Background", "Waiting"]

_log = logging.getLogger("ctxmgr")

_IDS_A_REQUEST = 500
_ALIGNED = 0.1  # the part of its interval by which a poll may come early to share a request
_GATHER = 0.02  # seconds before a first poll, so that syncs that begin together share it


class Waiting:
    """A sync that is waited for in the background, and the callback that is owed its outcome, once."""

    def __init__(self, callback: Callable[[bool], object], debt: _Debt) -> None:
        self.due = 0.0
        self.deadline = 0.0
        self._debt = debt
        self._owed: Callable[[bool], object] | None = callback
        self._verdict: Verdict | None = None
        self._wait: Wait | None = None
        self._lock = Lock()

    def begin(self, wait: Wait, deadline: float = math.inf) -> None:
        """Begin to wait, now that the service has accepted the sync; until a deadline, whatever the server does."""
        self._wait = wait
        self.deadline = deadline
        self.due = now() + min(_GATHER, wait.budget.interval)

    @property
    def wait(self) -> Wait:
        """What decides when it is done."""
        assert self._wait is not None, "only an accepted sync is waited for"
        return self._wait

    @property
    def session_id(self) -> str:
        """The session it is a sync of."""
        return self._debt.session_id

    @property
    def decided(self) -> bool:
        """Whether there is a verdict."""
        return self._verdict is not None

    def is_due(self, soon: float) -> bool:
        """Whether it may be polled for now, or so soon after that it can share a request."""
        return self.due <= soon + _ALIGNED * self.wait.budget.interval

    def take(self, found: Found) -> None:
        """Take in what a poll brought."""
        with self._lock:
            if self._verdict is None:
                self._verdict = judge(self.wait, found, now(), self.deadline)
                self.due = now() + self.wait.budget.interval

    def fail(self, verdict: Verdict) -> None:
        """Decide that it failed, unless it is decided."""
        with self._lock:
            self._verdict = self._verdict or verdict

    def deliver(self) -> None:
        """Call the callback, if it has not been called: with True only on a verdict of success."""
        with self._lock:
            callback, self._owed = self._owed, None
            verdict = self._verdict
        if callback is not None:
            if verdict is not None and not verdict.success:
                _log.warning("a sync with a callback failed: %s", verdict.error_message)
            self._debt.pay(callback, verdict is not None and verdict.success)


class Background:
    """The background waits of a client.

    Args:
        poller: asks the service.
        jobs: runs the polls and the callbacks.
    """

    def __init__(self, poller: Poller, jobs: Jobs) -> None:
        self.poller = poller
        self.jobs = jobs
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        """Begin without a wait; so does a forked child, since those there are, are its parent's."""
        self.lock = Lock()
        self.sessions: dict[tuple[str, bool], _SessionWaits] = {}
        self.debts: dict[str, _Debt] = {}

    def owe(self, session_id: str, callback: Callable[[bool], object]) -> Waiting:
        """Note that a sync of a session is begun, and that its callback is owed its outcome."""
        with self.lock:
            debt = self.debts.setdefault(session_id, _Debt(self, session_id))
            debt.uncalled += 1
            debt.unreturned += 1
        return Waiting(callback, debt)

    def finish(self, session_id: str) -> None:
        """Wait until each sync begun in a session has its outcome, and its callback was called and has returned.

        A callback that waits here itself can't wait for callbacks to return, its own among them: only for the calls.
        """
        debt = self.debts.get(session_id)
        if debt is not None:
            self.jobs.finish(session_id, debt.is_called if self.jobs.in_callback else debt.is_paid)

    def add(self, session_id: str, waiting: Waiting) -> None:
        """Wait for a sync of a session, then call its callback."""
        key = session_id, bool(waiting.wait.pending)
        with self.lock:
            waits = self.sessions.get(key)
            fresh = waits is None
            if waits is None:
                waits = self.sessions[key] = _SessionWaits(self, *key)
            waits.members.append(waiting)
            look = not fresh and waits.expect(waiting)
        if fresh:
            waits.job = self.jobs.repeat(waits.step, waits.abandon, session_id)
        elif look:
            self.jobs.repeat(waits.look, waits.abandon, session_id)
        else:
            waits.wake()

    def conclude(self, waiting: Waiting) -> None:
        """Have the callback of a decided wait called where it holds up nobody."""
        self.jobs.run_aside(waiting.deliver, waiting.session_id)


class _Debt:
    """The callbacks of a session's syncs that are yet to be called, or to return."""

    def __init__(self, background: Background, session_id: str) -> None:
        self.session_id = session_id
        self.uncalled = 0
        self.unreturned = 0
        self._background = background

    def is_called(self) -> bool:
        """Whether each callback has been called."""
        return not self.uncalled

    def is_paid(self) -> bool:
        """Whether each callback has returned."""
        return not self.unreturned

    def pay(self, callback: Callable[[bool], object], ok: bool) -> None:
        """Call a callback."""
        with self._background.lock:
            self.uncalled -= 1
        self._background.jobs.notify()
        self._background.jobs.call_back(callback, ok, self.returned)

    def returned(self) -> None:
        """Note that a callback has returned."""
        background = self._background
        with background.lock:
            self.unreturned -= 1
            if not self.unreturned and background.debts.get(self.session_id) is self:
                del background.debts[self.session_id]
        background.jobs.notify()


class _SessionWaits:
    """The background waits of one session, and the job that polls for all of them."""

    def __init__(self, background: Background, session_id: str, by_task: bool) -> None:
        self.members: list[Waiting] = []
        self.job: Repeating | None = None
        self._background = background
        self._session_id = session_id
        self._by_task = by_task
        self._pace = Pace()
        self._rest = 0.0
        self._newcomers: list[Waiting] = []
        self._looking = False
        self._look_pace = Pace()

    def step(self) -> float | None:
        """Poll for the waits that are due; return the seconds until the next are."""
        due = self._due()
        if due:
            if self._by_task:
                self._poll_tasks(due)
            else:
                self._poll_statuses(due)
            self._conclude(due)
        return self._settle()

    def expect(self, waiting: Waiting) -> bool:
        """Note a new member that a parked request may not know of; return whether somebody has to look for it.

        The background's lock is held.
        """
        if not self._by_task:
            return False
        self._newcomers.append(waiting)
        self._look_pace = Pace()
        begin, self._looking = not self._looking, True
        return begin

    def wake(self) -> None:
        """See whether a new member is due sooner than the others."""
        if not self._by_task and self.job is not None:
            self.job.wake()

    def look(self) -> float | None:
        """Poll for those that joined since the last request for all, which may be parked without knowing of them."""
        with self._background.lock:
            self._newcomers = newcomers = [each for each in self._newcomers if not each.decided]
            self._looking = bool(newcomers)
        if not newcomers:
            return None
        asked = now()
        self._ask(newcomers, 0.0)
        self._conclude(newcomers)
        return self._look_pace.after(now() - asked, 0.0)

    def abandon(self) -> None:
        """Fail all that is still waited for, and say so to the callbacks."""
        with self._background.lock:
            members, self.members = self.members, []
            self._forget()
        for waiting in members:
            waiting.fail(Verdict.failure("Client.Closed", "the client was closed before the sync was proven done"))
            waiting.deliver()

    def _poll_statuses(self, due: list[Waiting]) -> None:
        found = self._background.poller.ask({"SessionId": self._session_id}, deadline=_first_deadline(due))
        for waiting in due:
            waiting.take(found)

    def _poll_tasks(self, due: list[Waiting]) -> None:
        """Ask for all pending tasks; park if few enough others do, so that their end is known at once."""
        jobs = self._background.jobs
        asked = now()
        few = sum(len(waiting.wait.pending) for waiting in due) <= _IDS_A_REQUEST
        park = min(PARK, *(waiting.wait.time_left(asked) for waiting in due)) if few else 0.0
        parked = park > 0 and jobs.may_park()
        park = park if parked else 0.0
        try:
            self._ask(due, park)
        finally:
            if parked:
                jobs.unpark()
        self._rest = self._pace.after(now() - asked, park)

    def _ask(self, waits: list[Waiting], park: float) -> None:
        """Ask for the pending tasks of these waits, and return each the answer to its own."""
        owners = {task_id: waiting for waiting in waits for task_id in waiting.wait.pending}
        task_ids, deadline = list(owners), _first_deadline(waits)
        for start in range(0, len(task_ids), _IDS_A_REQUEST):
            asked_for = task_ids[start : start + _IDS_A_REQUEST]
            found = self._background.poller.ask({"SessionId": self._session_id}, asked_for, park, deadline=deadline)
            _share(found, {id(owners[task_id]): owners[task_id] for task_id in asked_for}, owners)

    def _conclude(self, waits: list[Waiting]) -> None:
        for waiting in waits:
            if waiting.decided:
                self._background.conclude(waiting)

    def _due(self) -> list[Waiting]:
        soon = now()
        with self._background.lock:
            due = [each for each in self.members if self._by_task or each.is_due(soon)]
            self._newcomers = []
        return due

    def _settle(self) -> float | None:
        with self._background.lock:
            self.members = [each for each in self.members if not each.decided]
            if not self.members:
                self._forget()
                return None
            if self._by_task:
                return self._rest
            return max(0.0, min(each.due for each in self.members) - now())

    def _forget(self) -> None:
        sessions = self._background.sessions
        key = self._session_id, self._by_task
        if sessions.get(key) is self:
            del sessions[key]


def _first_deadline(waits: list[Waiting]) -> float:
    return min(waiting.deadline for waiting in waits)


def _share(found: Found, waits: dict[int, Waiting], owners: dict[str, Waiting]) -> None:
    """Hand each wait what a shared answer says of its own tasks."""
    if isinstance(found, CtxmgrError):
        for waiting in waits.values():
            waiting.take(found)
        return
    own: dict[int, list[ContextStatusData]] = {key: [] for key in waits}
    for entry in found:
        owner = owners.get(entry.task_id)
        if owner is not None and id(owner) in own:
            own[id(owner)].append(entry)
    for key, entries in own.items():
        waits[key].take(entries)
