"""Changes to a context as a whole, such as a clear: triggered, and waited for until they are proven done."""

from __future__ import annotations

from collections.abc import Mapping

from ._io import Closing, now
from .bounds import MAX_SECONDS_OF_A_WAIT, shown
from .completion import GRACE, Budget, Pace, Target, TaskWait
from .errors import ArgumentError, ArgumentTypeError
from .polling import Poller
from .protocol import task_ids
from .results import Context, ContextChangeResult, ContextResult
from .structuring import structure
from .transport import Transport

__all__ = ["ChangeWaiter"]

_UNDER_WAY = ("clearing", "pre-available")
_SETTLED = 3  # looks in a row that find nothing under way, where a server has no task ids
_RETRIES = 150


class ChangeWaiter:
    """Has contexts changed, and tells when that is done."""

    def __init__(self, transport: Transport, poller: Poller, closing: Closing) -> None:
        self._transport: Transport = transport
        self._poller: Poller = poller
        self._closing: Closing = closing

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
        budget = Budget(_RETRIES, _seconds(timeout) * 1000 / _RETRIES)
        deadline = now() + budget.limit
        answer = self._transport.call(action, parameters, within=budget.limit)
        request_id = answer.request_id
        if not answer.success:
            return ContextChangeResult(request_id=request_id, error_message=answer.error_message)
        if not wait:
            return ContextChangeResult(request_id=request_id, success=True, pending=True)
        ids = task_ids(answer)
        if not ids:
            settled = self.until_available(context_id, timeout)
            return ContextChangeResult(
                request_id=request_id, success=settled.success, error_message=settled.error_message
            )
        task_wait = TaskWait(Target(kind, context_id, "/"), ids, budget, now())
        verdict = self._poller.wait(task_wait, {"ContextId": context_id}, deadline)
        return ContextChangeResult(
            request_id=request_id,
            success=verdict.success,
            error_message=verdict.error_message,
            nothing_to_sync=verdict.nothing_to_sync,
            tasks=verdict.tasks,
        )

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
            answer = self._transport.call("GetContext", {"ContextId": context_id}, within=deadline - now() + GRACE)
            if not answer.success:
                return ContextResult(request_id=answer.request_id, error_message=answer.error_message)
            context = structure(answer.data, Context)
            looks = looks + 1 if context.state not in _UNDER_WAY else _SETTLED - 1
            if context.state not in _UNDER_WAY and looks >= _SETTLED:
                return ContextResult(request_id=answer.request_id, success=True, context=context)
            left = deadline - now()
            if left <= 0:
                text = f"[Context.Timeout] the context {context_id} was still {context.state} after {timeout:g} s"
                return ContextResult(request_id=answer.request_id, error_message=text)
            self._closing.pause(min(left, pace.after(0.0, 0.0)))


def _seconds(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise ArgumentTypeError(f"timeout is {timeout!r}; it must be a number of seconds")
    if not 0 <= timeout <= MAX_SECONDS_OF_A_WAIT:
        most = MAX_SECONDS_OF_A_WAIT
        raise ArgumentError(f"timeout is {shown(timeout)}; it must be a number of seconds from 0 to {most}")
    return float(timeout)
