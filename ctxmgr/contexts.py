"""The contexts of an account: find, make, rename, clear and delete them, and go through their history."""

from __future__ import annotations

from collections.abc import Iterator

from .answers import page_of, result_of
from .arguments import context_id_of, paging
from .changes import ChangeWaiter
from .core import ClientCore, pages
from .errors import ArgumentError, ArgumentTypeError
from .results import (
    Context,
    ContextChangeResult,
    ContextListResult,
    ContextResult,
    OperationResult,
    Revision,
    RevisionListResult,
)
from .structuring import structure

__all__ = ["Contexts"]


class Contexts:
    """The contexts of an account; ``client.contexts`` is one.

    >>> context = client.contexts.get("my-project", create=True).context
    >>> for file in client.files.iter(context):
    ...     print(file.path, file.size)
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._changes = ChangeWaiter(core)

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
        """Empty a context. Its history stays: ``restore`` brings the files back.

        Args:
            context: the context or its id.
            wait: whether to wait until that is proven done.
            timeout: seconds to wait at most.
        """
        context_id = context_id_of(context)
        return self._changes.change("ClearContext", "clear", context_id, {"Id": context_id}, wait=wait, timeout=timeout)

    def restore(
        self, context: Context | str, revision: Revision | int, *, wait: bool = True, timeout: float = 300.0
    ) -> ContextChangeResult:
        """Make a context again what it was at a revision, as a new one (ctxmgr's own service only).

        Args:
            context: the context or its id.
            revision: one of ``revisions``, or its number; 0 is the empty context that each begins as.
            wait: whether to wait until that is proven done.
            timeout: seconds to wait at most.
        """
        context_id = context_id_of(context)
        number = revision.number if isinstance(revision, Revision) else revision
        if isinstance(number, bool) or not isinstance(number, int):
            raise ArgumentTypeError(f"revision is {revision!r}; it must be a Revision or the number of one")
        parameters = {"Id": context_id, "Revision": str(number)}
        return self._changes.change("RestoreContext", "restore", context_id, parameters, wait=wait, timeout=timeout)

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

    def _get(self, parameters: dict[str, str]) -> ContextResult:
        answer = self._core.transport.call("GetContext", parameters)
        return result_of(answer, ContextResult, lambda: {"context": structure(answer.data, Context)})

    def _change(self, action: str, parameters: dict[str, str]) -> OperationResult:
        answer = self._core.transport.call(action, parameters)
        return result_of(answer, OperationResult)
