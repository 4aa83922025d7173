"""The syncs of one session: triggered, and waited for in the caller's thread or in the background."""

from __future__ import annotations

import math
from collections.abc import Callable

from ._io import Waitable, now
from .answers import result_of, result_of_verdict
from .arguments import SyncRequest, binding_filter
from .background import Waiting
from .completion import BindingKey, Target, TaskWait, Verdict, Wait, binding_of
from .core import ClientCore
from .errors import ApiError, CtxmgrError, ProtocolError
from .protocol import Answer, context_status, task_ids
from .results import ContextBinding, ContextBindingsResult, ContextStatusData, ContextSyncResult, SyncProgress
from .snapshot import SnapshotWait
from .structuring import structure_list

__all__ = ["Syncs"]


class Syncs:
    """Has a session synced, and tells how that ended."""

    def __init__(self, session_id: str, core: ClientCore) -> None:
        self.session_id = session_id
        self.core = core

    def run(self, request: SyncRequest, progress: Callable[[SyncProgress], object] | None) -> ContextSyncResult:
        """Trigger a sync, and wait for its end.

        Args:
            progress: called with how far it is.
        """
        deadline = now() + request.budget.limit
        try:
            request = self.located(request, deadline)
        except ApiError as error:
            return ContextSyncResult(request_id=error.request_id, error_message=str(error))
        answer, wait = self.begin(request, deadline)
        if wait is None:
            return result_of(answer, ContextSyncResult)
        verdict = self.core.poller.wait(wait, self._binding(request), deadline, progress)
        return result_of_verdict(answer.request_id, verdict, ContextSyncResult)

    def run_aside(self, request: SyncRequest, callback: Callable[[bool], object]) -> Waitable[ContextSyncResult]:
        """Trigger a sync, and leave the waiting to the background, which calls the callback."""
        aside = _BackgroundSync(self, request, callback)
        return self.core.background.jobs.start(aside.run, aside.abandon)

    def bindings(self, within: float = math.inf) -> ContextBindingsResult:
        """Return which contexts are bound in the session, and where.

        Args:
            within: seconds it may take.
        """
        answer = self.core.transport.call("DescribeSessionContexts", {"SessionId": self.session_id}, within=within)
        return result_of(
            answer, ContextBindingsResult, lambda: {"bindings": structure_list(answer.data, ContextBinding)}
        )

    def refusal(self, request: SyncRequest, within: float = math.inf) -> Answer | None:
        """Return the failed answer to a request that the server would not carry out as it is meant.

        Args:
            within: seconds it may take to ask.
        """
        return self.core.refusal(request.needed, self._binding(request), within)

    def located(self, request: SyncRequest, deadline: float) -> SyncRequest:
        """Return the request with the path of its binding, where only the context is given.

        Raises:
            ApiError: the bindings can't be told, or are none or several.
        """
        if not request.needs_path:
            return request
        found = self.bindings(deadline - now())
        found.raise_for_error()
        return request.bound(found.bindings)

    def begin(self, request: SyncRequest, deadline: float) -> tuple[Answer, Wait | None]:
        """Trigger a sync; return the answer, and what to wait for if it was accepted."""
        transport = self.core.transport
        before: list[ContextStatusData] | None = None
        bindings: list[BindingKey] | None = None
        if refusal := self.refusal(request, deadline - now()):
            return refusal, None
        if not transport.tells_task_ids:
            answer = transport.call("GetContextInfo", self._binding(request), within=deadline - now())
            if not answer.success:
                return answer, None
            before = context_status(answer)
            bindings = self._every_binding(request.target, deadline)
        answer = transport.call("SyncContext", request.parameters, idempotent=False, within=deadline - now())
        if not answer.success:
            return answer, None
        ids = task_ids(answer)
        if ids is not None:
            transport.tells_task_ids = True
            return answer, TaskWait(request.target, ids, request.budget, now())
        settle_polls = self.core.settle_polls
        return answer, SnapshotWait(
            request.target, before, request.budget, settle_polls=settle_polls, bindings=bindings
        )

    def _every_binding(self, target: Target, deadline: float) -> list[BindingKey] | None:
        """Return every binding of the session; ``None`` if the server can't say, or one is named already."""
        if target.path is not None:
            return None
        try:
            found = self.bindings(deadline - now())
        except ProtocolError:
            return None
        return [binding_of(each.context_id, each.path) for each in found.bindings] if found.success else None

    def _binding(self, request: SyncRequest) -> dict[str, str]:
        return binding_filter(self.session_id, request.target.context_id, request.target.path)


class _BackgroundSync:
    """A sync whose caller goes on."""

    def __init__(self, syncs: Syncs, request: SyncRequest, callback: Callable[[bool], object]) -> None:
        self._syncs = syncs
        self._request = request
        self._waiting: Waiting = syncs.core.background.owe(syncs.session_id, callback)

    def run(self) -> ContextSyncResult:
        """Trigger it, and leave the waiting to the background."""
        syncs = self._syncs
        deadline = now() + self._request.budget.limit
        try:
            request = syncs.located(self._request, deadline)
            answer, wait = syncs.begin(request, deadline)
        except CtxmgrError as error:
            return self._refused(result_of_verdict("", Verdict.of_error(error), ContextSyncResult))
        if wait is None:
            return self._refused(result_of(answer, ContextSyncResult))
        self._waiting.begin(wait, deadline)
        syncs.core.background.add(syncs.session_id, self._waiting)
        return ContextSyncResult(request_id=answer.request_id, success=True, pending=True)

    def _refused(self, result: ContextSyncResult) -> ContextSyncResult:
        self._waiting.fail(Verdict(success=False, error_message=result.error_message))
        self._syncs.core.background.conclude(self._waiting)
        return result

    def abandon(self) -> None:
        """Report that it failed."""
        self._waiting.deliver()
