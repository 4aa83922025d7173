"""What a session can do with its contexts: sync them, and tell how that goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from ._io import ASYNC_CALLBACKS, Waitable, now
from .answers import result_of
from .arguments import SyncMode, SyncRequest, context_id_of
from .choices import SyncChoices
from .completion import MAX_RETRIES, RETRY_INTERVAL, Budget, Target, TaskWait, Verdict, Wait, binding_of
from .core import ClientCore, warn_unclosed
from .errors import ArgumentError
from .policies import Binding, ConflictChoice
from .policies.binding import wire_binding
from .protocol import context_status, task_ids
from .results import (
    BindResult,
    Context,
    ContextBindingsResult,
    ContextInfoResult,
    ContextPlanResult,
    ContextStatusData,
    ContextSyncResult,
    OperationResult,
    SyncProgress,
    conflicts_of,
)
from .sdksession import sdk_session_settings
from .snapshot import SnapshotWait
from .structuring import PlanData, structure
from .syncs import Syncs

__all__ = ["AdoptedManager", "ContextManager"]


class ContextManager:
    """The contexts bound in one session; ``session.context`` is one.

    >>> result = session.context.sync()
    >>> if not result.success:
    ...     print(result.error_message)
    """

    def __init__(self, session_id: str, core: ClientCore) -> None:
        self.session_id = session_id
        self._core = core
        self._syncs: Syncs = Syncs(session_id, core)

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
        answer = self._core.transport.call("GetContextInfo", {key: value for key, value in named.items() if value})
        return result_of(answer, ContextInfoResult, lambda: {"context_status_data": context_status(answer)})

    def sync(
        self,
        context_id: Context | str | None = None,
        path: str | None = None,
        mode: SyncMode | None = None,
        callback: Callable[[bool], object] | None = None,
        max_retries: int = MAX_RETRIES,
        retry_interval: float = RETRY_INTERVAL,
        *,
        discard_local: bool = False,
        exclude: Iterable[str] = (),
        conflict: ConflictChoice | str | None = None,
        allow_mass_delete: bool = False,
        limit_rate: int | None = None,
        progress: Callable[[SyncProgress], object] | None = None,
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
            exclude: patterns in gitignore's syntax of what this sync leaves out, beside what the policy and the
                directory's ``.ctxignore`` files say.
            conflict: who wins where both sides changed a path: ``newest``, ``ours`` (the directory), ``theirs`` (the
                context), ``keep-both`` (the other version gets a copy beside it) or ``fail``; ``None`` is what the
                policy says.
            allow_mass_delete: whether it may delete more than half of what the context, or in a download the directory,
                has, or everything because the directory is empty. Otherwise it fails with ``Sync.MassDelete`` then.
            limit_rate: bytes a second that it moves at most between the directory and the store.
            progress: called with how far the sync is, a few times a second while the call waits. What it raises ends
                the wait, not the sync. Does not go with ``callback``.

        Returns:
            Without a callback, how the sync ended: ``success=True`` only on evidence for this very sync. With one,
            whether it was accepted (``pending=True``).

        Raises:
            ArgumentError: a value can't be used; nothing was sent.
            TransportError: the sync could not be started. With a callback that is a result, and ``callback(False)``.
        """
        choices = SyncChoices.checked(
            mode,
            discard_local=discard_local,
            exclude=exclude,
            conflict=conflict,
            allow_mass_delete=allow_mass_delete,
            limit_rate=limit_rate,
        )
        request = SyncRequest.checked(
            self.session_id,
            context_id,
            path,
            mode,
            callback,
            max_retries,
            retry_interval,
            ASYNC_CALLBACKS,
            choices.parameters,
            choices.needed,
        )
        if callback is None:
            return self._syncs.run(request, progress)
        if progress is not None:
            raise ArgumentError("progress= goes with a call that waits, and callback= with one that does not: give one")
        return self._syncs.run_aside(request, callback)

    def plan(
        self,
        context_id: Context | str | None = None,
        path: str | None = None,
        mode: SyncMode | None = None,
        *,
        discard_local: bool = False,
        exclude: Iterable[str] = (),
        conflict: ConflictChoice | str | None = None,
        allow_mass_delete: bool = False,
    ) -> ContextPlanResult:
        """Return what a sync would do, without doing it (ctxmgr's own service only).

        Args:
            context_id, path, mode, discard_local, exclude, conflict, allow_mass_delete: as in ``sync``.

        Raises:
            ArgumentError: a value can't be used; nothing was sent.
            TransportError: no answer could be had, or it can't be read.
        """
        choices = SyncChoices.checked(
            mode,
            discard_local=discard_local,
            exclude=exclude,
            conflict=conflict,
            allow_mass_delete=allow_mass_delete,
        )
        request = SyncRequest.checked(
            self.session_id, context_id, path, mode, None, 1, 0, False, choices.parameters, choices.needed
        )
        answer = self._syncs.refusal(request) or self._core.transport.call("PlanSync", request.parameters)
        return result_of(answer, ContextPlanResult, lambda: _plan(answer.data))

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
        refusal = self._core.refusal_of_policies(bind.values())
        if refusal is not None:
            return result_of(refusal, BindResult)
        before: list[ContextStatusData] = []
        if wait and not self._core.transport.tells_task_ids:
            info = self.info(task_type="download")
            if not info.success:
                return result_of(info, BindResult)
            before = info.context_status_data
        parameters = {"SessionId": self.session_id, "PersistenceDataList": json.dumps(bindings)}
        answer = self._core.transport.call("BindContexts", parameters)
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
        return self._syncs.bindings()

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
                return result_of(synced, OperationResult)
        parameters = {"SessionId": self.session_id, "ContextId": context_id, "Path": path}
        answer = self._core.transport.call("UnbindContexts", parameters)
        return result_of(answer, OperationResult)

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
        target, budget = Target("download"), Budget()
        wait: Wait
        if ids:
            wait = TaskWait(target, ids, budget, now())
        else:
            keys = [binding_of(each["ContextId"], each["Path"]) for each in bindings]
            wait = SnapshotWait(target, before, budget, settle_polls=self._core.settle_polls, bindings=keys)
        return self._core.poller.wait(wait, {"SessionId": self.session_id}, now() + budget.limit)

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
        found = sdk_session_settings(sdk_session)
        settings: dict[str, Any] = {"api_key": found.api_key, "endpoint": found.endpoint, "region": found.region}
        return AdoptedManager(found.session_id, ClientCore.over_http(**(settings | options)))


class AdoptedManager(ContextManager):
    """The contexts of an adopted session, on connections of its own: ``ContextManager.for_session`` makes one."""

    _open: bool = False

    def __init__(self, session_id: str, core: ClientCore) -> None:
        super().__init__(session_id, core)
        self._open = True

    def close(self) -> None:
        """End every wait and close the connections. The SDK's session is not touched."""
        self._open = False
        self._core.close()

    def __enter__(self) -> AdoptedManager:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._open:
            warn_unclosed(self)


def _plan(data: Any) -> dict[str, Any]:
    plan = structure(data, PlanData)
    lists = {"skipped": list(plan.skipped), "conflicts": list(plan.conflicts), "excluded": list(plan.excluded)}
    return attrs.asdict(plan, recurse=False) | lists
