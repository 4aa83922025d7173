"""When is a sync done? Decides from what polls show, and never claims success without evidence for this very sync.

Nothing here waits or sends: a *wait* is told what each poll brought and answers with a verdict or with nothing yet.
Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs

from .errors import ApiError, ClosedError, CtxmgrError, ForbiddenError, InvalidRequestError, NotFoundError
from .results import ContextStatusData

__all__ = ["Budget", "Found", "Pace", "SnapshotWait", "Target", "TaskWait", "Verdict", "Wait", "judge"]

#: What a poll brought: the entries it showed, or why it failed.
Found = Sequence[ContextStatusData] | CtxmgrError


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
        """Tell whether a status entry can speak about this sync."""
        return (
            entry.task_type == self.task_type
            and self.context_id in (None, entry.context_id)
            and (self.path is None or _trimmed(self.path) == _trimmed(entry.path))
        )

    def __str__(self) -> str:
        if self.context_id is None:
            return f"{self.task_type} of all bound contexts"
        return f"{self.task_type} of {self.context_id} at {self.path}"


def _trimmed(path: str) -> str:
    return path.rstrip("/") or "/"


@attrs.frozen
class Budget:
    """How long a sync may be waited for.

    Attributes:
        max_retries: polls in all.
        retry_interval: milliseconds from one poll to the next.
    """

    max_retries: int
    retry_interval: float

    @property
    def interval(self) -> float:
        """Seconds from one poll to the next."""
        return self.retry_interval / 1000

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.max_retries * self.interval

    def __str__(self) -> str:
        return f"{self.max_retries} polls, {self.total:g} s"


@attrs.frozen
class Verdict:
    """How a sync ended.

    Attributes:
        error_message: ``[Code] Message`` unless it is a success.
        nothing_to_sync: whether it ended without anything to do.
        tasks: the entries it was decided on.
    """

    success: bool
    error_message: str = ""
    nothing_to_sync: bool = False
    tasks: tuple[ContextStatusData, ...] = ()

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
        """Give the seconds until the wait is over by time alone."""
        ...

    def observe(self, entries: Sequence[ContextStatusData], now: float) -> Verdict | None:
        """Take in what a successful poll showed; give the verdict if that settles it."""
        ...

    def unreadable(self, error: CtxmgrError, now: float) -> Verdict | None:
        """Take in a poll that failed. That is no evidence of anything, but it uses up the budget."""
        ...


def judge(wait: Wait, found: Found, now: float) -> Verdict | None:
    """Let a wait take in what a poll brought; give its verdict, if that settles it."""
    return wait.unreadable(found, now) if isinstance(found, CtxmgrError) else wait.observe(found, now)


class Pace:
    """Spaces the polls for tasks by id: the server should park them, and one that doesn't is asked ever less often."""

    _FIRST = 0.02
    _GROWTH = 1.6
    _SLOWEST = 0.5

    def __init__(self) -> None:
        self._delay = self._FIRST

    def after(self, took: float, parked: float) -> float:
        """Give the seconds until the next poll.

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
                self._seen[entry.task_id] = entry
        if self.pending:
            return self._expired(now)
        return _judge(self.target, self.tasks)

    def unreadable(self, error: CtxmgrError, now: float) -> Verdict | None:
        if _is_final(error):
            return Verdict.of_error(error)
        self._trouble = error
        return self._expired(now)

    def _expired(self, now: float) -> Verdict | None:
        self._polls += 1
        if now < self.deadline or (self.budget.total == 0 and self._polls < self.budget.max_retries):
            return None
        missing = [task_id for task_id, entry in self._seen.items() if entry is None]
        return _timed_out(self.target, self.budget, self.tasks, self._trouble, missing)


class SnapshotWait:
    """Waits on a server without task ids: a task is ours when its entry is new or changed since before the trigger.

    Args:
        before: what the statuses were before the trigger; ``None`` if they were not looked at, in which case an entry
            that is there from the start proves nothing.
        settle_polls: successful polls without any change after which nothing more is expected.
    """

    def __init__(
        self,
        target: Target,
        before: Sequence[ContextStatusData] | None,
        budget: Budget,
        *,
        settle_polls: int,
    ) -> None:
        self.target = target
        self.budget = budget
        self._before = None if before is None else self._own(before)
        self._blind = before is None
        self._settle_polls = settle_polls
        self._settled = 0
        self._last: tuple[ContextStatusData, ...] | None = None
        self._polls = 0
        self._trouble: CtxmgrError | None = None

    @property
    def pending(self) -> tuple[str, ...]:
        return ()

    def time_left(self, now: float) -> float:
        return 0.0

    def observe(self, entries: Sequence[ContextStatusData], now: float) -> Verdict | None:
        self._trouble = None
        own = self._own(entries)
        self._settled = self._settled + 1 if own == self._last else 1
        self._last = own
        if self._before is None:
            self._before = own
        return self._decide(own) or self._expired()

    def unreadable(self, error: CtxmgrError, now: float) -> Verdict | None:
        if _is_final(error):
            return Verdict.of_error(error)
        self._trouble = error
        return self._expired()

    def _own(self, entries: Sequence[ContextStatusData]) -> tuple[ContextStatusData, ...]:
        return tuple(entry for entry in entries if self.target.matches(entry))

    def _decide(self, own: tuple[ContextStatusData, ...]) -> Verdict | None:
        """Judge by binding: each is settled by a task of ours that ended, or by not changing any more."""
        bindings: dict[tuple[str, str], list[ContextStatusData]] = defaultdict(list)
        for entry in own:
            bindings[entry.context_id, _trimmed(entry.path)].append(entry)
        ours: list[ContextStatusData] = []
        others: list[ContextStatusData] = []
        for found in bindings.values():
            started = [entry for entry in found if self._is_ours(entry)]
            if not all(entry.is_terminal for entry in started or found):
                return None
            (ours if started else others).extend(started or found)
        if ours and not others:
            return _judge(self.target, ours)
        if self._settled < self._settle_polls:
            return None
        return self._settle(ours, others)

    def _is_ours(self, entry: ContextStatusData) -> bool:
        """Tell whether an entry is new or changed, and not merely the end of a task that ran before the trigger."""
        before = self._before or ()
        return entry not in before and not any(_same_task(entry, earlier) for earlier in before)

    def _settle(self, ours: list[ContextStatusData], others: list[ContextStatusData]) -> Verdict:
        """Judge once nothing changes any more, though not every binding showed a task of ours."""
        failed = [entry for entry in others if entry.status != "Success"]
        if failed:
            return Verdict.failure(
                "Sync.NotStarted",
                f"the server started no new task for the {self.target}, and the one before it failed: "
                + "; ".join(_told(entry) for entry in failed),
                [*ours, *others],
            )
        if self._blind and others:
            return Verdict.failure(
                "Sync.Unproven",
                f"the server named no task for the {self.target}, and none of those it lists began since; "
                "nothing proves that it was done: call sync() again",
                [*ours, *others],
            )
        verdict = _judge(self.target, [*ours, *others])
        changed = any(entry not in (self._before or ()) for entry in [*ours, *others])
        return attrs.evolve(verdict, nothing_to_sync=verdict.success and not changed)

    def _expired(self) -> Verdict | None:
        self._polls += 1
        if self._polls < self.budget.max_retries:
            return None
        return _timed_out(self.target, self.budget, self._last or (), self._trouble)


def _same_task(entry: ContextStatusData, earlier: ContextStatusData) -> bool:
    """Tell whether an entry is a task that was under way before the trigger: same binding, same beginning.

    Its end says nothing of what was written since it began. If the server starts no other task, it still settles.
    """
    return (
        not earlier.is_terminal
        and entry.start_time != 0
        and entry.start_time == earlier.start_time
        and entry.context_id == earlier.context_id
        and _trimmed(entry.path) == _trimmed(earlier.path)
    )


def _judge(target: Target, tasks: Iterable[ContextStatusData]) -> Verdict:
    """Give the verdict on tasks that have all ended."""
    tasks = tuple(tasks)
    failed = [task for task in tasks if task.status != "Success"]
    if failed:
        reasons = "; ".join(_told(task) for task in failed)
        return Verdict.failure("Sync.Failed", f"the {target} failed: {reasons}", tasks)
    return Verdict(success=True, nothing_to_sync=all(task.nothing_to_sync for task in tasks), tasks=tasks)


def _told(task: ContextStatusData) -> str:
    return f"{task.context_id} at {task.path}: {task.error_message or 'the service gave no reason'}"


def _is_final(error: CtxmgrError) -> bool:
    """Tell whether an error can't heal by asking again: the session is gone, the key is refused, the client closed."""
    return isinstance(error, (NotFoundError, ForbiddenError, InvalidRequestError, ClosedError))


def _timed_out(
    target: Target,
    budget: Budget,
    tasks: Sequence[ContextStatusData],
    trouble: CtxmgrError | None,
    missing: Sequence[str] = (),
) -> Verdict:
    seen = [f"{task.context_id} at {task.path} was {task.status or 'without a status'}" for task in tasks]
    seen += [f"task {task_id} was never listed" for task_id in missing]
    last = "; ".join(seen) or "no task was ever listed"
    if trouble is not None:
        last += f"; the last poll failed: {trouble}"
    return Verdict.failure(
        "Sync.Timeout", f"the {target} was not proven done within {budget}; last seen: {last}", tasks
    )
