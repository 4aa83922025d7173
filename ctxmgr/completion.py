"""When is a sync done? Decides from what polls show, and never claims success without evidence for this very sync.

Nothing here waits or sends: a *wait* is told what each poll brought and answers with a verdict or with nothing yet.
Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs

from .errors import ApiError, ClosedError, CtxmgrError, ForbiddenError, InvalidRequestError, NotFoundError
from .results import ContextStatusData

__all__ = [
    "GRACE",
    "MAX_RETRIES",
    "RETRY_INTERVAL",
    "BindingKey",
    "Budget",
    "Found",
    "Pace",
    "Target",
    "TaskWait",
    "Verdict",
    "Wait",
    "binding_of",
    "is_final",
    "judge",
    "told",
    "verdict_on",
    "verdict_out_of_time",
]

#: What a poll brought: the entries it showed, or why it failed.
Found = Sequence[ContextStatusData] | CtxmgrError

#: A context's id and the mount path it is bound at.
BindingKey = tuple[str, str]

#: Seconds that a request may outlast a budget by, so that the last poll of a small one is answered too.
GRACE = 5.0

#: How long ``sync()`` waits by default: polls in all, and milliseconds from one to the next.
MAX_RETRIES = 150
RETRY_INTERVAL = 1500

_REFUSAL = re.compile(r"\[(Sync\.[A-Z]\w+)\] ")
_NOTHING_BOUND = "no context is bound in the session: there was nothing to sync"


@attrs.frozen
class Target:
    """What one sync is about.

    Attributes:
        task_type: ``upload`` or ``download``.
        context_id: the context, or ``None`` for all that are bound.
        path: the mount path; given exactly when the context is.
    """

    task_type: str
    context_id: str | None = None
    path: str | None = None

    def matches(self, entry: ContextStatusData) -> bool:
        """Whether a status entry can speak about this sync."""
        return entry.task_type == self.task_type and self.covers(binding_of(entry.context_id, entry.path))

    def covers(self, binding: BindingKey) -> bool:
        """Whether a binding is among those that this sync is about."""
        context_id, path = binding
        return self.context_id in (None, context_id) and (self.path is None or _trimmed(self.path) == path)

    def __str__(self) -> str:
        if self.context_id is None:
            return f"{self.task_type} of all bound contexts"
        return f"{self.task_type} of {self.context_id} at {self.path}"


def binding_of(context_id: str, path: str) -> BindingKey:
    """Return what tells a binding of a session from its others; a trailing slash makes no other path."""
    return context_id, _trimmed(path)


def _trimmed(path: str) -> str:
    return path.rstrip("/") or "/"


@attrs.frozen
class Budget:
    """How long a sync may be waited for.

    Attributes:
        max_retries: polls in all.
        retry_interval: milliseconds from one poll to the next.
    """

    max_retries: int = MAX_RETRIES
    retry_interval: float = RETRY_INTERVAL

    @property
    def interval(self) -> float:
        """Seconds from one poll to the next."""
        return self.retry_interval / 1000

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.max_retries * self.interval

    @property
    def limit(self) -> float:
        """Seconds after which even the request that is under way is cut.

        A budget without time is bounded by the number of its polls alone.
        """
        return self.total + GRACE if self.total else math.inf

    def __str__(self) -> str:
        return f"{self.max_retries} polls, {self.total:g} s"


@attrs.frozen
class Verdict:
    """How a sync ended.

    Attributes:
        error_message: ``[Code] Message`` unless it is a success.
        nothing_to_sync: whether it ended without anything to do.
        tasks: the entries it was decided on.
        note: what a success has to say beside that.
    """

    success: bool
    error_message: str = ""
    nothing_to_sync: bool = False
    tasks: tuple[ContextStatusData, ...] = ()
    note: str = ""

    @classmethod
    def failure(cls, code: str, message: str, tasks: Iterable[ContextStatusData] = ()) -> Verdict:
        """Make the verdict of a sync that failed, or that was not proven done."""
        return cls(success=False, error_message=f"[{code}] {message}", tasks=tuple(tasks))

    @classmethod
    def of_error(cls, error: CtxmgrError) -> Verdict:
        """Make the verdict of a sync that an error ended."""
        if isinstance(error, ApiError):
            return cls(success=False, error_message=str(error))
        code = "Client.Closed" if isinstance(error, ClosedError) else f"Client.{type(error).__name__}"
        return cls.failure(code, str(error))


class Wait(Protocol):
    """One sync that is waited for, whatever its server tells."""

    target: Target

    budget: Budget

    @property
    def pending(self) -> tuple[str, ...]:
        """The ids of the tasks that have not ended; empty on a server without task ids."""
        ...

    def time_left(self, now: float) -> float:
        """Return the seconds until the wait is over by time alone."""
        ...

    def observe(self, entries: Sequence[ContextStatusData], now: float) -> Verdict | None:
        """Take in what a successful poll showed; return the verdict if that settles it."""
        ...

    def unreadable(self, error: CtxmgrError, now: float) -> Verdict | None:
        """Take in a poll that failed. That is no evidence of anything, but it uses up the budget."""
        ...


def judge(wait: Wait, found: Found, now: float, deadline: float = math.inf) -> Verdict | None:
    """Let a wait take in what a poll brought; return its verdict, if that or the time settles it.

    Args:
        deadline: when it is over, whatever it still hopes for.
    """
    entries, trouble = ((), found) if isinstance(found, CtxmgrError) else (found, None)
    verdict = wait.observe(entries, now) if trouble is None else wait.unreadable(trouble, now)
    if verdict is None and now >= deadline:
        return verdict_out_of_time(wait.target, wait.budget, entries, trouble)
    return verdict


class Pace:
    """Spaces the polls for tasks by id: the server should park them, and one that doesn't is asked ever less often."""

    _FIRST = 0.02
    _GROWTH = 1.6
    _SLOWEST = 0.5

    def __init__(self) -> None:
        self._delay = self._FIRST

    def after(self, took: float, parked: float) -> float:
        """Return the seconds until the next poll.

        Args:
            took: seconds the last one took.
            parked: seconds it was to be parked at most.
        """
        if parked and took >= 0.8 * parked:
            self._delay = self._FIRST
            return 0.0
        delay, self._delay = self._delay, min(self._delay * self._GROWTH, self._SLOWEST)
        return delay


class TaskWait:
    """Waits for exactly the tasks that the server said it started."""

    def __init__(self, target: Target, task_ids: Sequence[str], budget: Budget, now: float) -> None:
        self.target = target
        self.budget = budget
        self.deadline = now + budget.total
        self._seen: dict[str, ContextStatusData | None] = dict.fromkeys(task_ids)
        self._polls = 0
        self._trouble: CtxmgrError | None = None

    @property
    def pending(self) -> tuple[str, ...]:
        return tuple(task_id for task_id, entry in self._seen.items() if entry is None or not entry.is_terminal)

    def time_left(self, now: float) -> float:
        return max(0.0, self.deadline - now)

    @property
    def tasks(self) -> tuple[ContextStatusData, ...]:
        """The tasks as last seen."""
        return tuple(entry for entry in self._seen.values() if entry is not None)

    def observe(self, entries: Sequence[ContextStatusData], now: float) -> Verdict | None:
        self._trouble = None
        for entry in entries:
            if entry.task_id in self._seen and self.target.matches(entry):
                self._take(entry)
        if self.pending:
            return self._expired(now)
        return verdict_on(self.target, self.tasks)

    def _take(self, entry: ContextStatusData) -> None:
        """Keep what was last told of a task: an end stands, and nothing outweighs a failure."""
        seen = self._seen[entry.task_id]
        if seen is None or not seen.is_terminal or entry.status == "Failed":
            self._seen[entry.task_id] = entry

    def unreadable(self, error: CtxmgrError, now: float) -> Verdict | None:
        if is_final(error):
            return Verdict.of_error(error)
        self._trouble = error
        return self._expired(now)

    def _expired(self, now: float) -> Verdict | None:
        self._polls += 1
        if now < self.deadline or (self.budget.total == 0 and self._polls < self.budget.max_retries):
            return None
        missing = [task_id for task_id, entry in self._seen.items() if entry is None]
        return verdict_out_of_time(self.target, self.budget, self.tasks, self._trouble, missing)


def verdict_on(target: Target, tasks: Iterable[ContextStatusData]) -> Verdict:
    """Return the verdict on tasks that have all ended; where there are none, nothing was bound."""
    tasks = tuple(tasks)
    failed = [task for task in tasks if task.status != "Success"]
    if failed:
        reasons = "; ".join(told(task) for task in failed)
        refusals = [_REFUSAL.match(task.error_message) for task in failed]
        codes = {refusal[1] if refusal else "Sync.Failed" for refusal in refusals}
        code = codes.pop() if len(codes) == 1 else "Sync.Failed"
        return Verdict.failure(code, f"the {target} failed: {reasons}", tasks)
    nothing_to_sync = all(task.nothing_to_sync for task in tasks)
    return Verdict(success=True, nothing_to_sync=nothing_to_sync, tasks=tasks, note="" if tasks else _NOTHING_BOUND)


def told(task: ContextStatusData) -> str:
    """Return why a task failed, as an error message lists it."""
    return f"{task.context_id} at {task.path}: {task.error_message or 'the service gave no reason'}"


def is_final(error: CtxmgrError) -> bool:
    """Whether an error can't heal by asking again: the session is gone, the key is refused, the client closed."""
    return isinstance(error, (NotFoundError, ForbiddenError, InvalidRequestError, ClosedError))


def verdict_out_of_time(
    target: Target,
    budget: Budget,
    tasks: Sequence[ContextStatusData],
    trouble: CtxmgrError | None,
    missing: Sequence[str] = (),
) -> Verdict:
    """Return the verdict on a sync that used up its budget.

    Args:
        tasks: what was last seen of it.
        trouble: why the last poll failed, if it did.
        missing: ids of tasks that no poll showed.
    """
    seen = [f"{task.context_id} at {task.path} was {task.status or 'without a status'}" for task in tasks]
    seen += [f"task {task_id} was never listed" for task_id in missing]
    last = "; ".join(seen) or "no task was ever listed"
    if trouble is not None:
        last += f"; the last poll failed: {trouble}"
    return Verdict.failure(
        "Sync.Timeout", f"the {target} was not proven done within {budget}; last seen: {last}", tasks
    )
