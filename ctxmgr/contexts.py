"""The contexts of an account: find, make, rename, clear, fork and delete them, and go through their history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from os import PathLike

from .answers import page_of, result_of
from .arguments import absolute, context_id_of, paging, revision_name
from .changes import ChangeWaiter
from .core import ClientCore, pages
from .errors import ArgumentError, ArgumentTypeError
from .restores import Restores
from .results import (
    Context,
    ContextChangeResult,
    ContextListResult,
    ContextResult,
    DiffResult,
    FileChange,
    OperationResult,
    RestoreResult,
    Revision,
    RevisionListResult,
    SyncProgress,
)
from .structuring import structure

__all__ = ["Contexts"]

When = Revision | int | datetime
"""A revision: one of the list, its number, or a time, with its zone, at which it was the latest."""


class Contexts:
    """The contexts of an account; ``client.contexts`` is one.

    >>> context = client.contexts.get("my-project", create=True).context
    >>> for file in client.files.iter(context):
    ...     print(file.path, file.size)
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._changes = ChangeWaiter(core)
        self._restores = Restores(core)

    def get(self, name: str | None = None, *, context_id: str | None = None, create: bool = False) -> ContextResult:
        """Find a context by its name or its id.

        Args:
            name: 1 to 255 characters, without ``/`` and control characters.
            context_id: instead of a name.
            create: whether to make it if there is none of that name.

        Returns:
            The context; or ``success=False`` and why, such as ``[InvalidContext.NotFound] …``.
        """
        if (name is None) == (context_id is None):
            raise ArgumentError("give either the name or the context_id of the context")
        if context_id is not None:
            if create:
                raise ArgumentError("create= goes with a name: the service chooses the id of a new context")
            return self._get({"ContextId": context_id})
        parameters = {"Name": name or "", "AllowCreate": str(create).lower()}
        if create:
            parameters["LoginRegionId"] = self._core.region
        return self._get(parameters)

    def create(self, name: str) -> ContextResult:
        """Make a context, or find the one that has this name already."""
        return self.get(name, create=True)

    def list(self, *, max_results: int = 100, next_token: str = "") -> ContextListResult:
        """Return one page of contexts.

        Args:
            max_results: contexts on a page, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        answer = self._core.transport.call("ListContexts", paging(max_results, next_token))
        return page_of(answer, ContextListResult, "contexts", Context, "TotalCount")

    def iter(self) -> Iterator[Context]:
        """Go through all contexts.

        Raises:
            ApiError: a page could not be had.
        """
        for page in pages(self.list):
            for context in page.contexts:
                yield context

    def rename(self, context: Context | str, name: str) -> OperationResult:
        """Rename a context.

        Args:
            context: the context or its id.
            name: as in ``get``.
        """
        return self._change("ModifyContext", {"Id": context_id_of(context), "Name": name})

    def update(self, context: Context) -> OperationResult:
        """Rename a context to the name that this object of it has, as AgentBay's SDK does.

        Args:
            context: such as ``attrs.evolve(context, name="another")``.
        """
        return self.rename(context, context.name)

    def delete(self, context: Context | str) -> OperationResult:
        """Delete a context with all its files and its history. For good: ``clear`` is what can be undone.

        Args:
            context: the context or its id.
        """
        return self._change("DeleteContext", {"Id": context_id_of(context)})

    def clear(self, context: Context | str, *, wait: bool = True, timeout: float = 300.0) -> ContextChangeResult:
        """Empty a context. Its history stays: ``revert`` brings the files back.

        Args:
            context: the context or its id.
            wait: whether to wait until that is proven done.
            timeout: seconds to wait at most.
        """
        context_id = context_id_of(context)
        return self._changes.change("ClearContext", "clear", context_id, {"Id": context_id}, wait=wait, timeout=timeout)

    def revert(
        self, context: Context | str, revision: When, *, wait: bool = True, timeout: float = 300.0
    ) -> ContextChangeResult:
        """Make a context again what it was at a revision, as a new one (ctxmgr's own service only).

        No bytes are moved, and the same undoes it: go back to the revision that was the latest before.

        Args:
            context: the context or its id.
            revision: one of ``revisions``, its number, or a time at which it was the latest; 0 is the empty context
                that each begins as.
            wait: whether to wait until that is proven done.
            timeout: seconds to wait at most.
        """
        context_id = context_id_of(context)
        parameters = {"Id": context_id, "Revision": revision_name(revision)}
        return self._changes.change("RestoreContext", "restore", context_id, parameters, wait=wait, timeout=timeout)

    def restore(
        self,
        context: Context | str,
        to: str | PathLike[str],
        *paths: str,
        revision: When | None = None,
        force: bool = False,
        progress: Callable[[SyncProgress], object] | None = None,
    ) -> RestoreResult:
        """Write what a context holds, or held at a revision, into a directory (ctxmgr's own service only).

        Afterwards everything is read back, and each path compared with what the context holds: kind, content, mode and
        time. A success is proven by that, and ``receipt`` lists it; anything else is a failure. A restore that was cut
        off goes on when it is begun again.

        Args:
            context: the context or its id.
            to: the directory. One that does not exist is made; one that holds anything else than what belongs there is
                refused.
            paths: files and folders of the context that are wanted, at most 200; without any, all of it. They keep
                their paths below the directory.
            revision: as for ``revert``; ``None`` for as it is.
            force: write into a directory that holds something else, too. What has the path of a wanted file is
                replaced, and the rest stays.
            progress: called with how far the restore is, a few times a second, by the thread that writes. What it
                raises ends the call; what was written stays, and a restore that is begun again goes on there.

        Raises:
            ImportError: the extra that restores is not installed.
            TransportError: no answer could be had, or not all of it.
        """
        if not isinstance(to, (str, PathLike)):
            raise ArgumentTypeError(f"to is {to!r}; it must be the path of a directory: revert goes back to a revision")
        context_id, name = context_id_of(context), "" if revision is None else revision_name(revision)
        return self._restores.restore(context_id, absolute(to), paths, name, force=force, progress=progress)

    def fork(self, context: Context | str, name: str, *, revision: When | None = None) -> ContextResult:
        """Make another context that holds what this one holds, or held at a revision (ctxmgr's own service only).

        No bytes are copied, and what happens to one from then on does not concern the other.

        Args:
            context: the context or its id.
            name: the new context's; as in ``get``.
            revision: as for ``revert``; ``None`` for as it is.
        """
        parameters = {"Id": context_id_of(context), "Name": name}
        if revision is not None:
            parameters["Revision"] = revision_name(revision)
        answer = self._core.transport.call("ForkContext", parameters, idempotent=False)
        return result_of(answer, ContextResult, lambda: {"context": structure(answer.data, Context)})

    def wait_until_available(self, context: Context | str, *, timeout: float = 300.0) -> ContextResult:
        """Wait until a context is neither being cleared nor restored, and return it as it is then.

        Args:
            context: the context or its id.
            timeout: seconds to wait at most.
        """
        return self._changes.until_available(context_id_of(context), timeout)

    def revisions(self, context: Context | str, *, max_results: int = 100, next_token: str = "") -> RevisionListResult:
        """Return one page of a context's revisions, latest first (ctxmgr's own service only).

        Args:
            context: the context or its id.
            max_results: revisions on a page, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        parameters = {"ContextId": context_id_of(context)} | paging(max_results, next_token)
        answer = self._core.transport.call("ListRevisions", parameters)
        return page_of(answer, RevisionListResult, "revisions", Revision)

    def iter_revisions(self, context: Context | str) -> Iterator[Revision]:
        """Go through all revisions of a context, latest first.

        Raises:
            ApiError: a page could not be had.
        """
        for page in pages(self.revisions, context):
            for revision in page.revisions:
                yield revision

    def history(self, context: Context | str, *, max_results: int = 100, next_token: str = "") -> RevisionListResult:
        """Return one page of a context's revisions as ``revisions`` does, with what each changed.

        Args:
            context, max_results, next_token: as for ``revisions``.
        """
        parameters = {"ContextId": context_id_of(context), "Counts": "true"} | paging(max_results, next_token)
        answer = self._core.transport.call("ListRevisions", parameters)
        return page_of(answer, RevisionListResult, "revisions", Revision)

    def diff(
        self,
        context: Context | str,
        one: When | None = None,
        other: When | None = None,
        *,
        max_results: int = 100,
        next_token: str = "",
    ) -> DiffResult:
        """Return one page of what differs between two revisions (ctxmgr's own service only).

        Args:
            context: the context or its id.
            one: the revision to compare from, as for ``revert``; ``None`` for the one before the other.
            other: the revision to compare with; ``None`` for the latest.
            max_results: paths to look at, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        parameters = {"ContextId": context_id_of(context)} | paging(max_results, next_token)
        for name, revision in (("From", one), ("To", other)):
            if revision is not None:
                parameters[name] = revision_name(revision)
        answer = self._core.transport.call("DiffRevisions", parameters)
        page = page_of(answer, DiffResult, "changes", FileChange)
        page.from_revision = int(answer.document.get("From") or 0)
        page.to_revision = int(answer.document.get("To") or 0)
        return page

    def iter_diff(
        self, context: Context | str, one: When | None = None, other: When | None = None
    ) -> Iterator[FileChange]:
        """Go through all that differs between two revisions.

        Args:
            context, one, other: as for ``diff``.

        Raises:
            ApiError: a page could not be had.
        """
        for page in pages(self.diff, context, one, other):
            for change in page.changes:
                yield change

    def _get(self, parameters: dict[str, str]) -> ContextResult:
        answer = self._core.transport.call("GetContext", parameters)
        return result_of(answer, ContextResult, lambda: {"context": structure(answer.data, Context)})

    def _change(self, action: str, parameters: dict[str, str]) -> OperationResult:
        answer = self._core.transport.call(action, parameters)
        return result_of(answer, OperationResult)
