"""Asks the service what became of a sync, again and again, until there is a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

from ._io import Closing, now
from .completion import Found, Pace, Verdict, Wait, judge
from .errors import ClosedError, CtxmgrError
from .protocol import context_status, error_of
from .results import ContextStatusData, SyncProgress
from .transport import Transport

__all__ = ["PARK", "Poller"]

#: Seconds that one request may park: long enough to be rare, and proxies cut silent connections after a minute.
PARK = 10.0
#: The same where somebody looks on.
PARK_FOR_PROGRESS = 0.25


class Poller:
    """Polls for syncs in the caller's own thread.

    Args:
        transport: where to ask.
        closing: ends the pauses.
    """

    def __init__(self, transport: Transport, closing: Closing) -> None:
        self._transport = transport
        self._closing = closing

    def ask(
        self,
        parameters: Mapping[str, str],
        task_ids: Sequence[str] = (),
        park: float = 0.0,
        *,
        deadline: float = math.inf,
    ) -> Found:
        """Ask once for the tasks of a session. A failure is given back, not raised.

        Args:
            parameters: name the session, and a binding if only that one matters.
            task_ids: the tasks to tell of, on a server that has ids.
            park: seconds the request may wait for one of them to end.
            deadline: when nobody waits for the answer any more.
        """
        asked = dict(parameters)
        if task_ids:
            asked["TaskIds"] = json.dumps(list(task_ids))
        if park:
            asked["WaitMs"] = str(int(park * 1000))
        try:
            answer = self._transport.call("GetContextInfo", asked, attempts=1, timeout=park, within=deadline - now())
            return context_status(answer) if answer.success else error_of(answer)
        except CtxmgrError as error:
            return error

    def wait(
        self,
        wait: Wait,
        parameters: Mapping[str, str],
        deadline: float,
        progress: Callable[[SyncProgress], object] | None = None,
    ) -> Verdict:
        """Poll until there is a verdict.

        Args:
            parameters: name the session, and a binding if only that one matters.
            deadline: when it is over, whatever the server does.
            progress: called with how far it is, after each poll that was answered.
        """
        pace = Pace()
        seen: dict[tuple[str, str, str], ContextStatusData] = {}
        longest = PARK if progress is None else PARK_FOR_PROGRESS
        while True:
            asked = now()
            pending = wait.pending
            park = min(longest, wait.time_left(asked)) if pending else 0.0
            found = self.ask(parameters, pending, park, deadline=deadline)
            if progress is not None and not isinstance(found, CtxmgrError):
                seen |= {(entry.task_id, entry.context_id, entry.path): entry for entry in found}
                progress(SyncProgress.of(entry for entry in seen.values() if wait.target.matches(entry)))
            verdict = judge(wait, found, now(), deadline)
            if verdict is not None:
                return verdict
            try:
                self._closing.pause(pace.after(now() - asked, park) if wait.pending else wait.budget.interval)
            except ClosedError as error:
                return Verdict.of_error(error)
