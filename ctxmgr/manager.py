"""What a session can do with its contexts: sync them, and tell how that goes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._io import ASYNC_CALLBACKS, Waitable, now
from .arguments import SyncMode, SyncRequest, binding_filter, context_id_of
from .background import Background, Waiting
from .completion import BindingKey, Budget, Target, TaskWait, Verdict, Wait, binding_of
from .errors import ApiError, CtxmgrError, ProtocolError
from .policies import Binding
from .policies.binding import wire_binding
from .polling import Poller
from .protocol import Answer, context_status, task_ids, unless_discarding
from .results import (
    BindResult,
    Context,
    ContextBinding,
    ContextBindingsResult,
    ContextInfoResult,
    ContextPlanResult,
    ContextStatusData,
    ContextSyncResult,
    OperationResult,
    conflicts_of,
)
from .snapshot import SnapshotWait
from .structuring import PlanData, structure, structure_list
from .transport import Transport

if TYPE_CHECKING:
    from .adoption import AdoptedManager

__all__ = ["ContextManager"]

_MAX_RETRIES = 150
_RETRY_INTERVAL = 1500  # milliseconds; with _MAX_RETRIES as long as sync() waits by default


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
        self, context_id: Context | str | None = None, path: str | None = None, task_type: str | None = None
    ) -> ContextInfoResult:
        """Return the state of the session's upload and download tasks.

        Args:
            context_id: only tasks of this context, or of the one of this id; ``None`` for all.
            path: only tasks of this mount path, or of this path below one; ``None`` for all.
            task_type: only ``upload`` or only ``download``; ``None`` for both.

        Returns:
            The tasks; or ``success=False`` and the service's ``[Code] Message``.

        Raises:
            TransportError: no answer could be had, or it can't be read.
        """
        context_id = context_id.id if isinstance(context_id, Context) else context_id
        named = {"SessionId": self.session_id, "ContextId": context_id, "Path": path, "TaskType": task_type}
        answer = self._transport.call("GetContextInfo", {key: value for key, value in named.items() if value})
        if not answer.success:
            return ContextInfoResult(request_id=answer.request_id, success=False, error_message=answer.error_message)
        return ContextInfoResult(request_id=answer.request_id, context_status_data=context_status(answer))

    def sync(
        self,
        context_id: Context | str | None = None,
        path: str | None = None,
        mode: SyncMode | None = None,
        callback: Callable[[bool], object] | None = None,
        max_retries: int = 150,
        retry_interval: float = 1500,
        *,
        discard_local: bool = False,
    ) -> Waitable[ContextSyncResult]:
        """Bring the session's directory and its contexts to the same state, and prove it.

        Args:
            context_id: the context to sync, or its id; ``None`` for all that are bound.
            path: the mount path it is bound at, or a path below that: a file or a directory that alone is synced.
                ``None`` takes the one it is bound at in the session, and fails with ``Sync.Ambiguous`` if there are
                several.
            mode: ``upload`` (also if ``None``) or ``download``.
            callback: called once with whether the sync succeeded, whatever happens. With it the call returns as soon
                as the service has accepted the sync; polling goes on in the background.
            max_retries: polls in all, on a server without task ids.
            retry_interval: milliseconds from one poll to the next. On a server with task ids, which tells the end of
                a task at once, ``max_retries * retry_interval`` bounds the wait in total.
            discard_local: whether a download gives up what only the directory has changed. That goes to the context's
                history first, and ``result.conflicts`` names it. Refused where the server does not say that it can.

        Returns:
            Without a callback, how the sync ended: ``success=True`` only on evidence for this very sync. With one,
            whether it was accepted (``pending=True``).

        Raises:
            ArgumentError: a value can't be used; nothing was sent.
            TransportError: the sync could not be started. With a callback that is a result, and ``callback(False)``.
        """
        request = SyncRequest.checked(
            self.session_id,
            context_id,
            path,
            mode,
            callback,
            max_retries,
            retry_interval,
            ASYNC_CALLBACKS,
            discard_local,
        )
        if callback is None:
            return self._sync(request)
        background = _BackgroundSync(self, request, callback)
        return self._background.jobs.start(background.run, background.abandon)

    def plan(
        self,
        context_id: Context | str | None = None,
        path: str | None = None,
        mode: SyncMode | None = None,
        *,
        discard_local: bool = False,
    ) -> ContextPlanResult:
        """Return what a sync would do, without doing it (ctxmgr's own service only).

        Args:
            context_id, path, mode, discard_local: as in ``sync``.

        Raises:
            ArgumentError: a value can't be used; nothing was sent.
            TransportError: no answer could be had, or it can't be read.
        """
        request = SyncRequest.checked(self.session_id, context_id, path, mode, None, 1, 0, False, discard_local)
        answer = self._refusal(request) or self._transport.call("PlanSync", request.parameters)
        if not answer.success:
            return ContextPlanResult(request_id=answer.request_id, error_message=answer.error_message)
        plan = structure(answer.data, PlanData)
        return ContextPlanResult(
            request_id=answer.request_id,
            success=True,
            changes=plan.changes,
            unchanged=plan.unchanged,
            skipped=list(plan.skipped),
            kept_local=plan.kept_local,
            conflicts=list(plan.conflicts),
        )

    def bind(self, bind: Mapping[str, Context | str | Binding], *, wait: bool = True) -> BindResult:
        """Bind more contexts in the session, and have downloaded what they hold.

        Args:
            bind: mount path (``/`` is the session's root itself) to context, its id, or a ``Binding`` with a policy.
            wait: whether to wait until what the contexts hold has been downloaded.

        Returns:
            Success; or why not. If only the download failed, the contexts are bound.

        Raises:
            ArgumentError: a path is not absolute; nothing was sent.
            TransportError: no answer could be had, or it can't be read.
        """
        bindings = [wire_binding(path, bound) for path, bound in bind.items()]
        before: list[ContextStatusData] = []
        if wait and not self._transport.tells_task_ids:
            info = self.info(task_type="download")
            if not info.success:
                return BindResult(request_id=info.request_id, error_message=info.error_message)
            before = info.context_status_data
        parameters = {"SessionId": self.session_id, "PersistenceDataList": json.dumps(bindings)}
        answer = self._transport.call("BindContexts", parameters)
        verdict = Verdict(success=answer.success, error_message=answer.error_message)
        if answer.success and wait:
            verdict = self.wait_for_downloads(task_ids(answer), bindings, before)
        return BindResult(
            request_id=answer.request_id,
            success=verdict.success,
            error_message=verdict.error_message,
            conflicts=conflicts_of(verdict.tasks),
        )

    def list_bindings(self) -> ContextBindingsResult:
        """Return which contexts are bound in the session, and where."""
        return self._list_bindings()

    def _list_bindings(self, within: float = math.inf) -> ContextBindingsResult:
        answer = self._transport.call("DescribeSessionContexts", {"SessionId": self.session_id}, within=within)
        if not answer.success:
            return ContextBindingsResult(request_id=answer.request_id, error_message=answer.error_message)
        bindings = structure_list(answer.data, ContextBinding)
        return ContextBindingsResult(request_id=answer.request_id, success=True, bindings=bindings)

    def unbind(self, context: Context | str, path: str, *, sync: bool = True) -> OperationResult:
        """End a binding (ctxmgr's own service only). The files stay where they are.

        Args:
            context: the context or its id.
            path: the mount path it is bound at.
            sync: whether to upload first; if that fails the context stays bound.

        Raises:
            TransportError: no answer could be had, or it can't be read.
        """
        context_id = context_id_of(context)
        if sync:
            synced = self.sync(context_id, path)
            if not synced.success:
                return OperationResult(request_id=synced.request_id, error_message=synced.error_message)
        parameters = {"SessionId": self.session_id, "ContextId": context_id, "Path": path}
        answer = self._transport.call("UnbindContexts", parameters)
        return OperationResult(request_id=answer.request_id, success=answer.success, error_message=answer.error_message)

    def wait_for_downloads(
        self,
        ids: tuple[str, ...] | None,
        bindings: Sequence[Mapping[str, str]],
        before: Sequence[ContextStatusData] = (),
    ) -> Verdict:
        """Wait for the downloads that bindings began with.

        Args:
            ids: the tasks; ``None`` on a server that does not tell.
            bindings: what was bound, as JSON carries it.
            before: the tasks that the server listed before that.
        """
        if ids == ():
            return Verdict(success=True)
        target, budget = Target("download"), Budget(_MAX_RETRIES, _RETRY_INTERVAL)
        wait: Wait
        if ids:
            wait = TaskWait(target, ids, budget, now())
        else:
            keys = [binding_of(each["ContextId"], each["Path"]) for each in bindings]
            wait = SnapshotWait(target, before, budget, settle_polls=self._settle_polls, bindings=keys)
        return self._poller.wait(wait, {"SessionId": self.session_id}, now() + budget.limit)

    @staticmethod
    def for_session(sdk_session: object, **options: Any) -> AdoptedManager:
        """Adopt a session of AgentBay's SDK: its key, its id and its endpoint.

        The SDK's session goes on working; only syncing is done here, and proven. Close what this gives, or use it in
        a ``with`` statement.

        Args:
            sdk_session: from ``agent_bay.create(…).session`` or ``agent_bay.get(…)``.
            options: further arguments of ``Client``, such as ``verify=`` or ``endpoint=``.

        Raises:
            ArgumentTypeError: it is no such session.

        >>> with ContextManager.for_session(sdk_session) as manager:
        ...     result = manager.sync()
        """
        from .adoption import adopt

        return adopt(sdk_session, options)

    def _sync(self, request: SyncRequest) -> ContextSyncResult:
        deadline = now() + request.budget.limit
        try:
            request = self._located(request, deadline)
        except ApiError as error:
            return ContextSyncResult(request_id=error.request_id, error_message=str(error))
        answer, wait = self._begin(request, deadline)
        if wait is None:
            return ContextSyncResult(request_id=answer.request_id, error_message=answer.error_message)
        verdict = self._poller.wait(wait, self._binding(request), deadline)
        return ContextSyncResult(
            request_id=answer.request_id,
            success=verdict.success,
            error_message=verdict.error_message,
            nothing_to_sync=verdict.nothing_to_sync,
            tasks=verdict.tasks,
            note=verdict.note,
        )

    def _located(self, request: SyncRequest, deadline: float) -> SyncRequest:
        """Return the request with the path of its binding, where only the context is given.

        Raises:
            ApiError: the bindings can't be told, or are none or several.
        """
        if not request.needs_path:
            return request
        found = self._list_bindings(deadline - now())
        found.raise_for_error()
        return request.bound(found.bindings)

    def _begin(self, request: SyncRequest, deadline: float) -> tuple[Answer, Wait | None]:
        """Trigger a sync; return the answer, and what to wait for if it was accepted."""
        before: list[ContextStatusData] | None = None
        bindings: list[BindingKey] | None = None
        if refusal := self._refusal(request):
            return refusal, None
        if not self._transport.tells_task_ids:
            answer = self._transport.call("GetContextInfo", self._binding(request), within=deadline - now())
            if not answer.success:
                return answer, None
            before = context_status(answer)
            bindings = self._bindings(request.target, deadline)
        answer = self._transport.call("SyncContext", request.parameters, idempotent=False, within=deadline - now())
        if not answer.success:
            return answer, None
        ids = task_ids(answer)
        if ids is not None:
            self._transport.tells_task_ids = True
            return answer, TaskWait(request.target, ids, request.budget, now())
        return answer, SnapshotWait(
            request.target, before, request.budget, settle_polls=self._settle_polls, bindings=bindings
        )

    def _refusal(self, request: SyncRequest) -> Answer | None:
        """Return the failed answer to a request that the server would not carry out as it is meant."""
        if not request.discards:
            return None
        question = self._binding(request) | {"TaskIds": "[]", "Extensions": "true"}
        return unless_discarding(self._transport.call("GetContextInfo", question))

    def _bindings(self, target: Target, deadline: float) -> list[BindingKey] | None:
        """Return every binding of the session; ``None`` if the server can't say, or one is named already."""
        if target.path is not None:
            return None
        try:
            found = self._list_bindings(deadline - now())
        except ProtocolError:
            return None
        return [binding_of(each.context_id, each.path) for each in found.bindings] if found.success else None

    def _binding(self, request: SyncRequest) -> dict[str, str]:
        return binding_filter(self.session_id, request.target.context_id, request.target.path)


class _BackgroundSync:
    """A sync whose caller goes on."""

    def __init__(self, manager: ContextManager, request: SyncRequest, callback: Callable[[bool], object]) -> None:
        self._manager: ContextManager = manager
        self._request = request
        self._waiting: Waiting = manager._background.owe(manager.session_id, callback)

    def run(self) -> ContextSyncResult:
        """Trigger it, and leave the waiting to the background."""
        manager = self._manager
        background = manager._background
        deadline = now() + self._request.budget.limit
        try:
            request = manager._located(self._request, deadline)
            answer, wait = manager._begin(request, deadline)
        except CtxmgrError as error:
            verdict = Verdict.of_error(error)
            return self._refused("", verdict)
        if wait is None:
            return self._refused(answer.request_id, Verdict(success=False, error_message=answer.error_message))
        self._waiting.begin(wait, deadline)
        background.add(manager.session_id, self._waiting)
        return ContextSyncResult(request_id=answer.request_id, success=True, pending=True)

    def _refused(self, request_id: str, verdict: Verdict) -> ContextSyncResult:
        self._waiting.fail(verdict)
        self._manager._background.conclude(self._waiting)
        return ContextSyncResult(request_id=request_id, error_message=verdict.error_message)

    def abandon(self) -> None:
        """Report that it failed."""
        self._waiting.deliver()
