"""Changes to a context as a whole, such as a clear: triggered, and waited for until they are proven done."""

from __future__ import annotations

from collections.abc import Mapping

from ._io import now
from .answers import result_of, result_of_verdict
from .bounds import MAX_SECONDS_OF_A_WAIT, shown
from .completion import GRACE, MAX_RETRIES, Budget, Pace, Target, TaskWait, Verdict
from .core import ClientCore
from .errors import ArgumentError, ArgumentTypeError
from .protocol import task_ids
from .results import Context, ContextChangeResult, ContextResult
from .structuring import structure

__all__ = ["ChangeWaiter"]

_UNDER_WAY = ("clearing", "pre-available")
_SETTLED = 3  # looks in a row that find nothing under way, where a server has no task ids


class ChangeWaiter:
    """Has contexts changed, and tells when that is done."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def change(
        self, action: str, kind: str, context_id: str, parameters: Mapping[str, str], *, wait: bool, timeout: float
    ) -> ContextChangeResult:
        """Trigger a change, and wait for its end if that is asked for.

        Args:
            action: what triggers it.
            kind: the type of the task that carries it out.
            context_id: the context.
            parameters: the action's.
            timeout: seconds to wait at most.
        """
        budget = Budget(MAX_RETRIES, _seconds(timeout) * 1000 / MAX_RETRIES)
        deadline = now() + budget.limit
        answer = self._core.transport.call(action, parameters, within=budget.limit)
        if not answer.success or not wait:
            return result_of(answer, ContextChangeResult, lambda: {"pending": True})
        ids = task_ids(answer)
        if not ids:
            settled = self.until_available(context_id, timeout)
            verdict = Verdict(success=settled.success, error_message=settled.error_message)
            return result_of_verdict(answer.request_id, verdict, ContextChangeResult)
        task_wait = TaskWait(Target(kind, context_id, "/"), ids, budget, now())
        verdict = self._core.poller.wait(task_wait, {"ContextId": context_id}, deadline)
        return result_of_verdict(answer.request_id, verdict, ContextChangeResult)

    def until_available(self, context_id: str, timeout: float) -> ContextResult:
        """Wait until a context is neither being cleared nor prepared.

        A server may take a moment to begin, so a context that was never seen changing is believed to be through only
        after several looks.

        Args:
            timeout: seconds to wait at most.
        """
        deadline = now() + _seconds(timeout)
        pace = Pace()
        looks = 0
        while True:
            answer = self._core.transport.call("GetContext", {"ContextId": context_id}, within=deadline - now() + GRACE)
            if not answer.success:
                return result_of(answer, ContextResult)
            context = structure(answer.data, Context)
            looks = looks + 1 if context.state not in _UNDER_WAY else _SETTLED - 1
            if context.state not in _UNDER_WAY and looks >= _SETTLED:
                return ContextResult(request_id=answer.request_id, success=True, context=context)
            left = deadline - now()
            if left <= 0:
                text = f"[Context.Timeout] the context {context_id} was still {context.state} after {timeout:g} s"
                return ContextResult(request_id=answer.request_id, error_message=text)
            self._core.closing.pause(min(left, pace.after(0.0, 0.0)))


def _seconds(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise ArgumentTypeError(f"timeout is {timeout!r}; it must be a number of seconds")
    if not 0 <= timeout <= MAX_SECONDS_OF_A_WAIT:
        most = MAX_SECONDS_OF_A_WAIT
        raise ArgumentError(f"timeout is {shown(timeout)}; it must be a number of seconds from 0 to {most}")
    return float(timeout)
