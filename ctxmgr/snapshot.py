"""When is a sync done on a server without task ids? Decides by comparing what polls show with what was there before.

A task is ours when its entry is new or changed since before the trigger. What was seen under way and then is gone
proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from .completion import BindingKey, Budget, Target, Verdict, binding_of, is_final, told, verdict_on, verdict_out_of_time
from .errors import CtxmgrError
from .results import ContextStatusData

__all__ = ["SnapshotWait"]


class SnapshotWait:
    """Waits on a server without task ids.

    Args:
        before: what the statuses were before the trigger; ``None`` if they were not looked at, in which case an entry
            that is there from the start proves nothing.
        settle_polls: successful polls without any change after which nothing more is expected.
        bindings: the bindings that are to be synced; ``None`` if the server can't say, in which case the list must
            have held still for ``settle_polls`` polls before any success.
    """

    def __init__(
        self,
        target: Target,
        before: Sequence[ContextStatusData] | None,
        budget: Budget,
        *,
        settle_polls: int,
        bindings: Iterable[BindingKey] | None = None,
    ) -> None:
        self.target = target
        self.budget = budget
        if target.context_id is not None and target.path is not None:
            bindings = [binding_of(target.context_id, target.path)]
        self._expected = None if bindings is None else [key for key in bindings if target.covers(key)]
        self._blind = before is None
        self._histories: dict[BindingKey, _BindingHistory] | None = None
        if before is not None:
            self._histories = self._begin(self._own(before))
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
        if self._histories is None:
            self._histories = self._begin(own)
        listed = _by_binding(own)
        for key in listed:
            self._histories.setdefault(key, _BindingHistory(()))
        for key, history in self._histories.items():
            history.observe(listed.get(key, ()))
        return self._decide(self._histories) or self._expired()

    def unreadable(self, error: CtxmgrError, now: float) -> Verdict | None:
        if is_final(error):
            return Verdict.of_error(error)
        self._trouble = error
        return self._expired()

    def _own(self, entries: Sequence[ContextStatusData]) -> tuple[ContextStatusData, ...]:
        return tuple(entry for entry in entries if self.target.matches(entry))

    def _begin(self, before: Sequence[ContextStatusData]) -> dict[BindingKey, _BindingHistory]:
        found = _by_binding(before)
        return {key: _BindingHistory(found.get(key, ())) for key in (*(self._expected or ()), *found)}

    def _decide(self, histories: dict[BindingKey, _BindingHistory]) -> Verdict | None:
        """Judge by binding: each is settled by tasks of ours that ended, or by not changing any more."""
        concerned = [history for key, history in histories.items() if self._concerns(key, history)]
        if any(history.is_under_way for history in concerned):
            return None
        if self._expected and all(history.is_proven for history in concerned):
            return verdict_on(self.target, _tasks_of(concerned))
        if self._settled < self._settle_polls:
            return None
        return self._settle(concerned)

    def _concerns(self, key: BindingKey, history: _BindingHistory) -> bool:
        """Whether a binding counts: one that has been unbound does not, one that was bound meanwhile does."""
        return self._expected is None or key in self._expected or history.has_begun

    def _settle(self, histories: Sequence[_BindingHistory]) -> Verdict:
        """Judge once nothing changes any more, though not every binding showed a task of ours."""
        tasks = _tasks_of(histories)
        vanished = [entry for history in histories for entry in history.vanished]
        quiet = _tasks_of(history for history in histories if not history.ended)
        failed = [entry for entry in quiet if entry.status != "Success"]
        verdict = verdict_on(self.target, [entry for history in histories for entry in history.ended])
        if not verdict.success:
            return attrs.evolve(verdict, tasks=tuple(tasks))
        if vanished:
            return Verdict.failure(
                "Sync.Unproven",
                f"the server no longer lists what it showed of the {self.target}, and never told how it ended: "
                + "; ".join(f"{entry.context_id} at {entry.path} was {entry.status}" for entry in vanished)
                + "; nothing proves that it was done: call sync() again",
                tasks,
            )
        if failed:
            return Verdict.failure(
                "Sync.NotStarted",
                f"the server started no new task for the {self.target}, and the one before it failed: "
                + "; ".join(told(entry) for entry in failed),
                tasks,
            )
        if self._blind and quiet:
            return Verdict.failure(
                "Sync.Unproven",
                f"the server named no task for the {self.target}, and none of those it lists began since; "
                "nothing proves that it was done: call sync() again",
                tasks,
            )
        changed = any(history.has_changed for history in histories)
        note = verdict.note if self._expected == [] else ""
        return Verdict(success=True, nothing_to_sync=not changed, tasks=tuple(tasks), note=note)

    def _expired(self) -> Verdict | None:
        self._polls += 1
        if self._polls < self.budget.max_retries:
            return None
        return verdict_out_of_time(self.target, self.budget, self._last or (), self._trouble)


class _BindingHistory:
    """What polls showed of one binding since before the trigger.

    Without ids a task is known by when it began; one that is still queued has not begun, and is known by that.

    Args:
        before: its entries before the trigger.
    """

    def __init__(self, before: Sequence[ContextStatusData]) -> None:
        self._before = tuple(before)
        self._listed: tuple[ContextStatusData, ...] = ()
        self._open = {entry.start_time: entry for entry in before if not entry.is_terminal}
        self._earlier = self._open.keys() - {0}
        self._ends: dict[int, ContextStatusData] = {}

    def observe(self, entries: Sequence[ContextStatusData]) -> None:
        """Take in the entries that a poll showed."""
        self._listed = tuple(entries)
        running = {entry.start_time: entry for entry in entries if not entry.is_terminal}
        ended = [entry for entry in entries if entry.is_terminal and entry not in self._before]
        shown = running.keys() | {entry.start_time for entry in ended}
        if shown - self._open.keys() - self._ends.keys():
            self._open.pop(0, None)  # what was queued has begun
        for entry in ended:
            self._open.pop(entry.start_time, None)
            known = self._ends.get(entry.start_time)
            if known is None or known.status == "Success":
                self._ends[entry.start_time] = entry
        self._open |= running

    @property
    def ended(self) -> list[ContextStatusData]:
        """The tasks of ours that have ended. What was under way before the trigger may have begun before the change."""
        return [entry for start, entry in self._ends.items() if start not in self._earlier]

    @property
    def vanished(self) -> list[ContextStatusData]:
        """What was seen under way and is gone; an earlier task matters only where none of ours ended."""
        listed = {entry.start_time for entry in self._listed if not entry.is_terminal}
        gone = [entry for start, entry in self._open.items() if start not in listed]
        return [entry for entry in gone if not self.ended or entry.start_time not in self._earlier]

    @property
    def is_under_way(self) -> bool:
        """Whether something is listed whose end is waited for."""
        running = [entry for entry in self._listed if not entry.is_terminal]
        return any(not self.ended or self._is_ours(entry) for entry in running)

    @property
    def is_proven(self) -> bool:
        """Whether tasks of ours tell how the binding was synced."""
        return bool(self.ended) and not self.vanished

    @property
    def has_begun(self) -> bool:
        """Whether a task of ours was seen."""
        return bool(self.ended) or any(self._is_ours(entry) for entry in (*self._listed, *self._open.values()))

    @property
    def has_changed(self) -> bool:
        """Whether anything ended, or is listed, that was not listed so before."""
        return bool(self._ends) or any(entry not in self._before for entry in self._listed)

    @property
    def tasks(self) -> list[ContextStatusData]:
        """What decides about the binding: the tasks of ours, or else what was last told of earlier ones."""
        if self.ended:
            return self.ended
        told_of = {entry.start_time: entry for entry in (*self._before, *self._listed, *self._ends.values())}
        return [told_of[max(told_of)]] if told_of else []

    def _is_ours(self, entry: ContextStatusData) -> bool:
        return entry not in self._before and entry.start_time not in self._earlier


def _by_binding(entries: Iterable[ContextStatusData]) -> dict[BindingKey, list[ContextStatusData]]:
    found: dict[BindingKey, list[ContextStatusData]] = {}
    for entry in entries:
        found.setdefault(binding_of(entry.context_id, entry.path), []).append(entry)
    return found


def _tasks_of(histories: Iterable[_BindingHistory]) -> list[ContextStatusData]:
    return [entry for history in histories for entry in history.tasks]
