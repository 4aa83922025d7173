"""The files of a context, one by one: list, look at, delete, and move them in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike

import attrs

from ._localfiles import Source
from .answers import page_of, result_of
from .arguments import context_id_of, paging, positive
from .core import ClientCore, pages
from .errors import ArgumentError
from .protocol import Answer
from .results import (
    Context,
    ContextFile,
    FileListResult,
    FileResult,
    FileTransferResult,
    FileUrlResult,
    OperationResult,
)
from .structuring import FileUrlData, TransferData, structure

__all__ = ["Files"]


class Files:
    """The files of an account's contexts, without a session; ``client.files`` is one.

    >>> client.files.upload(context, "/notes/today.txt", "today.txt")
    >>> for file in client.files.iter(context, "/notes"):
    ...     print(file.path, file.size)
    >>> client.files.download(context, "/notes/today.txt", "copy.txt")
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def list(
        self,
        context: Context | str,
        parent: str = "/",
        *,
        recursive: bool = False,
        max_results: int = 200,
        next_token: str = "",
    ) -> FileListResult:
        """Return one page of a context's files.

        Args:
            context: the context or its id.
            parent: the folder whose files are listed.
            recursive: also those of its folders (ctxmgr's own service only).
            max_results: files on a page, at most.
            next_token: the page before's ``next_token``; empty for the first.
        """
        named = {"ContextId": context_id_of(context), "ParentFolderPath": parent, "PageSize": str(max_results)}
        parameters = named | paging(max_results, next_token)
        if recursive:
            parameters["Recursive"] = "true"
        answer = self._core.transport.call("DescribeContextFiles", parameters)
        return page_of(answer, FileListResult, "files", ContextFile, "Count")

    def iter(self, context: Context | str, parent: str = "/", *, recursive: bool = True) -> Iterator[ContextFile]:
        """Go through all files of a context.

        Args:
            context, parent, recursive: as in ``list``.

        Raises:
            ApiError: a page could not be had.
        """
        for page in pages(self.list, context, parent, recursive=recursive):
            for file in page.files:
                yield file

    def stat(self, context: Context | str, path: str, *, revision: int | None = None) -> FileResult:
        """Return all that is kept of one file, link or folder (ctxmgr's own service only).

        Args:
            context: the context or its id.
            path: absolute in the context.
            revision: tell of it as it was then; ``None`` for as it is.
        """
        parameters = _named(context, path)
        if revision is not None:
            parameters["Revision"] = str(positive("revision", revision))
        answer = self._core.transport.call("DescribeContextFile", parameters)
        return result_of(answer, FileResult, lambda: {"file": structure(answer.data, ContextFile)})

    def delete(self, context: Context | str, *paths: str, recursive: bool = False) -> OperationResult:
        """Delete files from a context. Sessions that have them remove them at their next download.

        Args:
            context: the context or its id.
            paths: absolute in the context. More than one are deleted together or not at all (ctxmgr's own service
                only).
            recursive: whether a folder goes with all that is in it (ctxmgr's own service only).
        """
        if not paths:
            raise ArgumentError("no path is given: name at least one file to delete")
        parameters = {"ContextId": context_id_of(context)}
        if len(paths) == 1:
            parameters["FilePath"] = paths[0]
        else:
            parameters["FilePaths"] = json.dumps(paths)
        if recursive:
            parameters["Recursive"] = "true"
        answer = self._core.transport.call("DeleteContextFile", parameters)
        return result_of(answer, OperationResult)

    def upload_url(self, context: Context | str, path: str) -> FileUrlResult:
        """Return a URL that takes the bytes of a file by a plain PUT; who has it needs no key.

        A service in this process has no URLs, and answers with a failure.

        Args:
            context: the context or its id.
            path: where the file comes to lie, absolute in the context.
        """
        return _url(self._core.transport.call("GetContextFileUploadUrl", _named(context, path)))

    def download_url(self, context: Context | str, path: str, *, revision: int | None = None) -> FileUrlResult:
        """Return a URL that answers a plain GET with a file; who has it needs no key.

        A service in this process has no URLs, and answers with a failure.

        Args:
            context: the context or its id.
            path: absolute in the context.
            revision: the file as it was then (ctxmgr's own service only); ``None`` for as it is.
        """
        parameters = _named(context, path)
        if revision is not None:
            parameters["Revision"] = str(positive("revision", revision))
        return _url(self._core.transport.call("GetContextFileDownloadUrl", parameters))

    def upload(self, context: Context | str, path: str, source: Source) -> FileTransferResult:
        """Put one file into a context. Sessions that bind it have it after their next download.

        Args:
            context: the context or its id.
            path: where the file comes to lie, absolute in the context; what is there is replaced, and stays in
                history.
            source: a file by its path, or the bytes themselves.

        Raises:
            OSError: the file can't be read.
            TransportError: no answer could be had.
        """
        return _transferred(self._core.transport.put_file(context_id_of(context), path, source))

    def download(
        self, context: Context | str, path: str, target: str | PathLike[str], *, revision: int | None = None
    ) -> FileTransferResult:
        """Fetch one file from a context.

        Args:
            context: the context or its id.
            path: absolute in the context.
            target: the path it is to have here. What is there is replaced once the file is complete, and not before.
            revision: the file as it was then (ctxmgr's own service only); ``None`` for as it is.

        Raises:
            OSError: the file can't be written.
            TransportError: no answer could be had, or not all of it.
        """
        number = 0 if revision is None else positive("revision", revision)
        return _transferred(self._core.transport.get_file(context_id_of(context), path, target, number))


def _named(context: Context | str, path: str) -> dict[str, str]:
    return {"ContextId": context_id_of(context), "FilePath": path}


def _url(answer: Answer) -> FileUrlResult:
    return result_of(answer, FileUrlResult, lambda: attrs.asdict(structure(answer.data, FileUrlData)))


def _transferred(answer: Answer) -> FileTransferResult:
    return result_of(answer, FileTransferResult, lambda: attrs.asdict(structure(answer.data, TransferData)))
