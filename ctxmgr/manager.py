"""What a session can do with its contexts: sync them, and tell how that goes."""

from __future__ import annotations

from collections.abc import Callable

from ._io import Waitable, now
from .arguments import SyncRequest, binding_filter
from .background import Background, Waiting
from .completion import SnapshotWait, TaskWait, Verdict, Wait
from .errors import CtxmgrError
from .polling import Poller
from .protocol import Answer, context_status, task_ids
from .results import ContextInfoResult, ContextPlanResult, ContextSyncResult
from .structuring import PlanData, structure
from .transport import Transport

__all__ = ["ContextManager"]


class ContextManager:
    """The contexts bound in one session; ``session.context`` is one.

    >>> result = session.context.sync()
    >>> if not result.success:
    ...     print(result.error_message)
    """

    def __init__(
        self, session_id: str, transport: Transport, poller: Poller, background: Background, settle_polls: int
    ) -> None:
        self.session_id = session_id
        self._transport: Transport = transport
        self._poller: Poller = poller
        self._background: Background = background
        self._settle_polls = settle_polls

    def info(
        self, context_id: str | None = None, path: str | None = None, task_type: str | None = None
    ) -> ContextInfoResult:
        """Tell the state of the session's upload and download tasks.

        Args:
            context_id: only tasks of this context; ``None`` for all.
            path: only tasks of this mount path; ``None`` for all.
            task_type: only ``upload`` or only ``download``; ``None`` for both.

        Returns:
            The tasks; or ``success=False`` and the service's ``[Code] Message``.

        Raises:
            TransportError: no answer could be had, or it can't be read.
        """
        named = {"SessionId": self.session_id, "ContextId": context_id, "Path": path, "TaskType": task_type}
        answer = self._transport.call("GetContextInfo", {key: value for key, value in named.items() if value})
        if not answer.success:
            return ContextInfoResult(request_id=answer.request_id, success=False, error_message=answer.error_message)
        return ContextInfoResult(request_id=answer.request_id, context_status_data=context_status(answer))

    def sync(
        self,
        context_id: str | None = None,
        path: str | None = None,
        mode: str | None = None,
        callback: Callable[[bool], object] | None = None,
        max_retries: int = 150,
        retry_interval: float = 1500,
    ) -> Waitable[ContextSyncResult]:
        """Bring the session's directory and its contexts to the same state, and prove it.

        Args:
            context_id: the context to sync; ``None`` for all that are bound. Goes with ``path``.
            path: the mount path it is bound at.
            mode: ``upload`` (also if ``None``) or ``download``.
            callback: called once with whether the sync succeeded, whatever happens. With it the call returns as soon
                as the service has accepted the sync; polling goes on in the background.
            max_retries: polls in all, on a server without task ids.
            retry_interval: milliseconds from one poll to the next. On a server with task ids, which tells the end of
                a task at once, ``max_retries * retry_interval`` bounds the wait in total.

        Returns:
            Without a callback, how the sync ended: ``success=True`` only on evidence for this very sync. With one,
            whether it was accepted (``pending=True``).

        Raises:
            ArgumentError: a value can't be used; nothing was sent.
            TransportError: the sync could not be started. With a callback that is a result, and ``callback(False)``.
        """
        request = SyncRequest.checked(self.session_id, context_id, path, mode, callback, max_retries, retry_interval)
        if callback is None:
            return self._sync(request)
        background = _BackgroundSync(self, request, callback)
        return self._background.jobs.start(background.run, background.abandon)

    def plan(
        self, context_id: str | None = None, path: str | None = None, mode: str | None = None
    ) -> ContextPlanResult:
        """Tell what a sync would do, without doing it (ctxmgr's own service only).

        Args:
            context_id, path, mode: as in ``sync``.

        Raises:
            ArgumentError: a value can't be used; nothing was sent.
            TransportError: no answer could be had, or it can't be read.
        """
        request = SyncRequest.checked(self.session_id, context_id, path, mode, None, 1, 0)
        answer = self._transport.call("PlanSync", request.parameters)
        if not answer.success:
            return ContextPlanResult(request_id=answer.request_id, error_message=answer.error_message)
        plan = structure(answer.data, PlanData)
        return ContextPlanResult(
            request_id=answer.request_id,
            success=True,
            changes=plan.changes,
            unchanged=plan.unchanged,
            skipped=list(plan.skipped),
        )

    def _sync(self, request: SyncRequest) -> ContextSyncResult:
        answer, wait = self._begin(request)
        if wait is None:
            return ContextSyncResult(request_id=answer.request_id, error_message=answer.error_message)
        verdict = self._poller.wait(wait, self._binding(request))
        return ContextSyncResult(
            request_id=answer.request_id,
            success=verdict.success,
            error_message=verdict.error_message,
            nothing_to_sync=verdict.nothing_to_sync,
            tasks=verdict.tasks,
        )

    def _begin(self, request: SyncRequest) -> tuple[Answer, Wait | None]:
        """Trigger a sync; give the answer, and what to wait for if it was accepted."""
        before = None
        if not self._transport.tells_task_ids:
            answer = self._transport.call("GetContextInfo", self._binding(request))
            if not answer.success:
                return answer, None
            before = context_status(answer)
        answer = self._transport.call("SyncContext", request.parameters, idempotent=False)
        if not answer.success:
            return answer, None
        ids = task_ids(answer)
        if ids:
            self._transport.tells_task_ids = True
            return answer, TaskWait(request.target, ids, request.budget, now())
        return answer, SnapshotWait(request.target, before, request.budget, settle_polls=self._settle_polls)

    def _binding(self, request: SyncRequest) -> dict[str, str]:
        return binding_filter(self.session_id, request.target.context_id, request.target.path)


class _BackgroundSync:
    """A sync whose caller goes on."""

    def __init__(self, manager: ContextManager, request: SyncRequest, callback: Callable[[bool], object]) -> None:
        self._manager: ContextManager = manager
        self._request = request
        self._waiting = Waiting(callback, manager._background.jobs)

    def run(self) -> ContextSyncResult:
        """Trigger it, and leave the waiting to the background."""
        manager = self._manager
        background = manager._background
        try:
            answer, wait = manager._begin(self._request)
        except CtxmgrError as error:
            verdict = Verdict.of_error(error)
            return self._refused("", verdict)
        if wait is None:
            return self._refused(answer.request_id, Verdict(success=False, error_message=answer.error_message))
        self._waiting.begin(wait)
        background.add(manager.session_id, self._waiting)
        return ContextSyncResult(request_id=answer.request_id, success=True, pending=True)

    def _refused(self, request_id: str, verdict: Verdict) -> ContextSyncResult:
        self._waiting.fail(verdict)
        self._manager._background.conclude(self._waiting)
        return ContextSyncResult(request_id=request_id, error_message=verdict.error_message)

    def abandon(self) -> None:
        """Say that it failed."""
        self._waiting.deliver()
