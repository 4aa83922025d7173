"""The contexts of an account: find, make, rename and delete them, and list their files."""

from __future__ import annotations

from collections.abc import Iterator

from .arguments import context_id_of, positive
from .errors import ArgumentError
from .results import Context, ContextFile, ContextListResult, ContextResult, FileListResult, OperationResult
from .structuring import structure, structure_list
from .transport import Transport

__all__ = ["Contexts"]


class Contexts:
    """The contexts of an account; ``client.contexts`` is one.

    >>> context = client.contexts.get("my-project", create=True).context
    >>> for file in client.contexts.iter_files(context):
    ...     print(file.path, file.size)
    """

    def __init__(self, transport: Transport, region: str) -> None:
        self._transport: Transport = transport
        self._region = region

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
            parameters["LoginRegionId"] = self._region
        return self._get(parameters)

    def create(self, name: str) -> ContextResult:
        """Make a context, or find the one that has this name already."""
        return self.get(name, create=True)

    def list(self, *, max_results: int = 100, next_token: str = "") -> ContextListResult:
        """Give one page of contexts.

        Args:
            max_results: contexts on a page, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        parameters = {"MaxResults": str(positive("max_results", max_results))}
        if next_token:
            parameters["NextToken"] = next_token
        answer = self._transport.call("ListContexts", parameters)
        if not answer.success:
            return ContextListResult(request_id=answer.request_id, error_message=answer.error_message)
        return ContextListResult(
            request_id=answer.request_id,
            success=True,
            contexts=structure_list(answer.data, Context),
            next_token=answer.document.get("NextToken") or "",
            total_count=answer.document.get("TotalCount") or 0,
        )

    def iter(self) -> Iterator[Context]:
        """Go through all contexts.

        Raises:
            ApiError: a page could not be had.
        """
        token = ""
        while True:
            page = self.list(next_token=token)
            page.raise_for_error()
            for context in page.contexts:
                yield context
            token = page.next_token
            if not token:
                return

    def rename(self, context: Context | str, name: str) -> OperationResult:
        """Give a context another name.

        Args:
            context: the context or its id.
            name: as in ``get``.
        """
        return self._change("ModifyContext", {"Id": context_id_of(context), "Name": name})

    def delete(self, context: Context | str) -> OperationResult:
        """Delete a context and all its files.

        Args:
            context: the context or its id.
        """
        return self._change("DeleteContext", {"Id": context_id_of(context)})

    def files(
        self,
        context: Context | str,
        parent: str = "/",
        *,
        recursive: bool = False,
        max_results: int = 200,
        next_token: str = "",
    ) -> FileListResult:
        """Give one page of a context's files.

        Args:
            context: the context or its id.
            parent: the folder whose files are listed.
            recursive: also those of its folders (ctxmgr's own service only).
            max_results: files on a page, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        parameters = {
            "ContextId": context_id_of(context),
            "ParentFolderPath": parent,
            "PageSize": str(positive("max_results", max_results)),
            "MaxResults": str(max_results),
        }
        if recursive:
            parameters["Recursive"] = "true"
        if next_token:
            parameters["NextToken"] = next_token
        answer = self._transport.call("DescribeContextFiles", parameters)
        if not answer.success:
            return FileListResult(request_id=answer.request_id, error_message=answer.error_message)
        return FileListResult(
            request_id=answer.request_id,
            success=True,
            files=structure_list(answer.data, ContextFile),
            next_token=answer.document.get("NextToken") or "",
            total_count=answer.document.get("Count") or 0,
        )

    def iter_files(self, context: Context | str, parent: str = "/", *, recursive: bool = True) -> Iterator[ContextFile]:
        """Go through all files of a context.

        Args:
            context, parent, recursive: as in ``files``.

        Raises:
            ApiError: a page could not be had.
        """
        token = ""
        while True:
            page = self.files(context, parent, recursive=recursive, next_token=token)
            page.raise_for_error()
            for file in page.files:
                yield file
            token = page.next_token
            if not token:
                return

    def _get(self, parameters: dict[str, str]) -> ContextResult:
        answer = self._transport.call("GetContext", parameters)
        if not answer.success:
            return ContextResult(request_id=answer.request_id, error_message=answer.error_message)
        return ContextResult(request_id=answer.request_id, success=True, context=structure(answer.data, Context))

    def _change(self, action: str, parameters: dict[str, str]) -> OperationResult:
        answer = self._transport.call(action, parameters)
        return OperationResult(request_id=answer.request_id, success=answer.success, error_message=answer.error_message)
