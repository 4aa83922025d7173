"""Sessions: a working directory with contexts bound in it, from its beginning to its end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike

import attrs

from ._io import now
from .answers import page_of, result_of
from .arguments import absolute, existing_directory, paging, positive
from .bounds import MAX_SECONDS_OF_A_WAIT
from .completion import GRACE, Budget, Pace
from .core import ClientCore, pages
from .errors import ApiError, ArgumentError, CtxmgrError
from .manager import ContextManager
from .policies import Binding
from .policies.binding import wire_binding
from .protocol import task_ids
from .results import (
    Conflict,
    Context,
    LabelsResult,
    OperationResult,
    Result,
    SessionInfo,
    SessionListResult,
    conflicts_of,
)
from .structuring import CreatedSession, LabelsData, SessionDetail, structure, structure_dict

__all__ = ["Session", "SessionResult", "Sessions"]

_log = logging.getLogger("ctxmgr")

_GONE = "InvalidMcpSession.NotFound"
NODE_CONFLICT = "Node.Conflict"
SECONDS_BETWEEN_ATTEMPTS = 1.0


class Session:
    """A session of the service; ``client.session(id)`` is one that exists already.

    As a context manager it is deleted at the end, which waits for the syncs begun in it, and uploads what its bindings
    upload automatically.
    """

    def __init__(self, session_id: str, sessions: Sessions) -> None:
        self.session_id = session_id
        self._sessions = sessions

    def __repr__(self) -> str:
        return f"Session({self.session_id!r})"

    @property
    def context(self) -> ContextManager:
        """The contexts bound in the session."""
        return self._sessions.manager_of(self.session_id)

    def get_labels(self) -> LabelsResult:
        """Return the session's labels."""
        return self._sessions.get_labels(self.session_id)

    def set_labels(self, labels: Mapping[str, str]) -> OperationResult:
        """Replace the session's labels."""
        return self._sessions.set_labels(self.session_id, labels)

    def delete(self, *, sync_context: bool = False, force: bool = False) -> OperationResult:
        """End the session, and wait until it has ended.

        Syncs that this client began in it end first, and their callbacks are called. Then what its bindings upload
        automatically is uploaded. If that fails the session stays, and nothing is lost.

        Args:
            sync_context: upload every binding first, also those that don't do so automatically.
            force: end it also if the upload fails; what was not uploaded is lost with a directory that the service
                made (ctxmgr's own service only).
        """
        return self._sessions.delete(self.session_id, sync_context=sync_context, force=force)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            result = self.delete()
            result.raise_for_error()
            return
        try:
            result = self.delete()
            if not result.success:
                _log.warning("session %s was not deleted: %s", self.session_id, result.error_message)
        except CtxmgrError as trouble:
            _log.warning("session %s was not deleted: %s", self.session_id, trouble)


@attrs.define(kw_only=True)
class SessionResult(Result):
    """A session, or why there is none.

    Attributes:
        conflicts: the local versions that the downloads it began with replaced.
    """

    _session: Session | None = attrs.field(default=None, alias="session")
    conflicts: list[Conflict] = attrs.Factory(list)

    @property
    def session(self) -> Session:
        """The session.

        Raises:
            ApiError: the result is a failure, so that ``client.sessions.create(…).session`` tells why.
        """
        self.raise_for_error()
        assert self._session is not None, "a successful SessionResult holds a session"
        return self._session


class Sessions:
    """The sessions of an account; ``client.sessions`` is one.

    >>> with client.sessions.create(root="./workspace", bind={"/": context}).session as session:
    ...     result = session.context.sync()
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def manager_of(self, session_id: str) -> ContextManager:
        """Return what syncs the contexts of a session."""
        return ContextManager(session_id, self._core)

    def create(
        self,
        root: str | PathLike[str] | None = None,
        bind: Mapping[str, Context | str | Binding] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        wait: bool = True,
        server_root: str | PathLike[str] | None = None,
        linger: int | None = None,
    ) -> SessionResult:
        """Make a session.

        Args:
            root: the directory of this machine that it works in. With a server, this process is then the session's
                node: every sync of the session, whoever asks for it, runs here while the client is open. ``None``
                lets the service choose a directory of its own.
            bind: mount path (``/`` is the root itself) to context, its id, or a ``Binding`` with a policy.
            labels: what ``list`` finds the session by.
            wait: whether to wait until what the contexts hold has been downloaded.
            server_root: in place of ``root``, a directory of the machine that the service runs on: one in its
                ``--root`` for a server, any for a service in this process.
            linger: seconds that a session with a ``root`` here outlives this process, so that another can ``attach``
                itself to it, or ask what became of its syncs; ``None`` for ten of the server's leases.

        Returns:
            The session; or ``success=False`` and why, such as ``Session.NoNodes`` from a server that works in
            directories of its own only. If only the download failed, the session is there
            (``client.sessions.list()``), and its directory as it was.

        Raises:
            ArgumentError: ``root`` is no directory, or there is a ``server_root`` too; nothing was sent.
            ImportError: keeping a directory of this machine needs an extra that is not installed.
        """
        if root is not None and server_root is not None:
            raise ArgumentError("root= is a directory of this machine and server_root= one of the server's: give one")
        bindings = [wire_binding(path, bound) for path, bound in (bind or {}).items()]
        refusal = self._core.refusal_of_policies((bind or {}).values())
        if refusal is not None:
            return result_of(refusal, SessionResult)
        parameters = {"PersistenceDataList": json.dumps(bindings)}
        if labels:
            parameters["Labels"] = json.dumps(dict(labels))
        given = server_root if root is None else root
        node = None if root is None else self._core.node
        if given is not None:
            parameters["Root"] = absolute(given) if node is None else existing_directory(given)
        if node is not None:
            try:
                identity = node.open()
            except ApiError as error:
                return SessionResult(request_id=error.request_id, error_message=str(error))
            parameters |= {"Node": identity.id, "NodeHost": identity.host, "NodePid": str(identity.pid)}
            if linger is not None:
                parameters["Linger"] = str(positive("linger", linger, MAX_SECONDS_OF_A_WAIT))
        answer = self._core.transport.call("CreateMcpSession", parameters, idempotent=False)
        if not answer.success:
            return result_of(answer, SessionResult)
        created = structure(answer.data, CreatedSession)
        session_id = created.session_id
        if "Root" in parameters and not created.root:
            self.delete(session_id)
            text = "[Session.RootIgnored] the server ignored the root: it works in directories of its own only"
            return SessionResult(request_id=answer.request_id, error_message=text)
        if node is not None:
            node.serve(session_id, parameters["Root"])
        return self._session_of(session_id, answer.request_id, task_ids(answer) if wait and bind else (), bindings)

    def attach(self, session_id: str, root: str | PathLike[str], *, wait: bool = True) -> SessionResult:
        """Make this process the node of a session that exists: its syncs run here while the client is open.

        The session may have been made by AgentBay's SDK, by another process or machine, or by an earlier run of this
        program (ctxmgr's own service only).

        Args:
            session_id: such as ``s-04bdw…``.
            root: the directory of this machine that the session works in from now on.
            wait: whether to wait while another process is the session's node, until that leaves or is gone, and then
                until what the bindings download automatically is there.

        Returns:
            The session; or ``success=False`` and why: ``Node.Conflict`` names the process that has it.

        Raises:
            ArgumentError: ``root`` is no directory, or the service is in this process; nothing was sent.
            ImportError: keeping a directory of this machine needs an extra that is not installed.
            TransportError: no answer could be had.
            ClosedError: the client was closed meanwhile.
        """
        node = self._core.node
        if node is None:
            raise ArgumentError("the service of this client is in this process, and so are its sessions' nodes")
        directory = existing_directory(root)
        while True:
            try:
                began = node.attach(session_id, directory)
            except ApiError as error:
                if not wait or error.code != NODE_CONFLICT:
                    return SessionResult(request_id=error.request_id, error_message=str(error))
            else:
                return self._session_of(session_id, "", began if wait else (), [])
            self._core.closing.pause(SECONDS_BETWEEN_ATTEMPTS)

    def _session_of(
        self, session_id: str, request_id: str, ids: tuple[str, ...] | None, bindings: Sequence[Mapping[str, str]]
    ) -> SessionResult:
        """Return a session once the downloads that it began with have ended."""
        manager = self.manager_of(session_id)
        verdict = manager.wait_for_downloads(ids, bindings)
        conflicts = conflicts_of(verdict.tasks)
        if not verdict.success:
            return SessionResult(request_id=request_id, error_message=verdict.error_message, conflicts=conflicts)
        session = Session(session_id, self)
        return SessionResult(request_id=request_id, success=True, session=session, conflicts=conflicts)

    def list(
        self, *, labels: Mapping[str, str] | None = None, max_results: int = 100, next_token: str = ""
    ) -> SessionListResult:
        """Return one page of sessions.

        Args:
            labels: only sessions that have all of these.
            max_results: sessions on a page, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        parameters = paging(max_results, next_token)
        if labels:
            parameters["Labels"] = json.dumps(dict(labels))
        answer = self._core.transport.call("ListSession", parameters)
        return page_of(answer, SessionListResult, "sessions", SessionInfo, "TotalCount")

    def iter(self, *, labels: Mapping[str, str] | None = None) -> Iterator[SessionInfo]:
        """Go through all sessions.

        Args:
            labels: as in ``list``.

        Raises:
            ApiError: a page could not be had.
        """
        for page in pages(self.list, labels=labels):
            for session in page.sessions:
                yield session

    def get_labels(self, session_id: str) -> LabelsResult:
        """Return the labels of a session."""
        answer = self._core.transport.call("GetLabel", {"SessionId": session_id})
        return result_of(
            answer,
            LabelsResult,
            lambda: {"labels": structure_dict(structure(answer.data, LabelsData).labels, "Data.Labels")},
        )

    def set_labels(self, session_id: str, labels: Mapping[str, str]) -> OperationResult:
        """Replace a session's labels."""
        answer = self._core.transport.call("SetLabel", {"SessionId": session_id, "Labels": json.dumps(dict(labels))})
        return result_of(answer, OperationResult)

    def delete(self, session_id: str, *, sync_context: bool = False, force: bool = False) -> OperationResult:
        """End a session, and wait until it has ended: see ``Session.delete``."""
        self._core.background.finish(session_id)
        if sync_context:
            manager = self.manager_of(session_id)
            synced = manager.sync()
            if not synced.success and not force:
                return result_of(synced, OperationResult)
        parameters = {"SessionId": session_id}
        if force:
            parameters["Force"] = "true"
        answer = self._core.transport.call("DeleteSessionAsync", parameters)
        if not answer.success:
            return result_of(answer, OperationResult)
        error = self._wait_for_end(session_id)
        return OperationResult(request_id=answer.request_id, success=not error, error_message=error)

    def _wait_for_end(self, session_id: str) -> str:
        """Poll until a session that is being deleted has ended; return why it did not, if so."""
        pace = Pace()
        budget = Budget()
        deadline = now() + budget.total
        while now() < deadline:
            within = deadline - now() + GRACE
            answer = self._core.transport.call("GetSessionDetail", {"SessionId": session_id}, within=within)
            if answer.code == _GONE:
                return ""
            if not answer.success:
                return answer.error_message
            detail = structure(answer.data, SessionDetail)
            if detail.status == "FINISH":
                return ""
            if detail.status == "RUNNING" and detail.end_reason:
                return f"[Session.NotDeleted] {detail.end_reason}"
            self._core.closing.pause(pace.after(0.0, 0.0))
        return f"[Session.NotDeleted] the session {session_id} had not ended after {budget.total:g} s"
