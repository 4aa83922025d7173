"""The files of contexts, and their travels."""

from __future__ import annotations

import attrs

from .response import ListResult, Result

__all__ = ["ContextFile", "FileListResult", "FileResult", "FileTransferResult", "FileUrlResult"]


@attrs.frozen(kw_only=True)
class ContextFile:
    """A file or folder of a context.

    Attributes:
        path: absolute in the context.
        type: ``file``, ``folder`` or ``link``.
        size: bytes.
        revision: the context's revision that brought it as it is; 0 where the server does not tell.
        mode, digest, target: octal permission bits, BLAKE3 of the content in hexadecimal, and where a link points;
            told of one file by ``client.files.stat`` (ctxmgr's own service only).
    """

    id: str = ""
    name: str = ""
    path: str = ""
    type: str = ""
    size: int = 0
    create_time: str = ""
    modify_time: str = ""
    status: str = ""
    revision: int = 0
    mode: str = ""
    digest: str = ""
    target: str = ""


@attrs.define(kw_only=True)
class FileResult(Result):
    """A file of a context, or why there is none."""

    _file: ContextFile | None = attrs.field(default=None, alias="file")

    @property
    def file(self) -> ContextFile:
        """The file.

        Raises:
            ApiError: the result is a failure, so that ``client.files.stat(…).file`` tells why.
        """
        self.raise_for_error()
        assert self._file is not None, "a successful FileResult holds a file"
        return self._file


@attrs.define(kw_only=True)
class FileUrlResult(Result):
    """A URL for one file, good for one method: whoever holds it needs no key.

    Attributes:
        url: takes a plain PUT, or answers a plain GET. Not shown: it is a secret while it is valid.
        expire_time: epoch seconds until which it is valid.
    """

    url: str = attrs.field(default="", repr=False)
    expire_time: int = 0


@attrs.define(kw_only=True)
class FileTransferResult(Result):
    """A file that was uploaded or downloaded, or why it was not.

    Attributes:
        size: bytes that travelled.
        digest: BLAKE3 of the content in hexadecimal; empty where the server does not tell.
        revision: the context's revision that holds it; 0 where the server does not tell.
        verified: whether a digest proves that what came is what was sent. A file that fails the proof is never taken;
            ``False`` says that the server announced no digest which can be computed here.
    """

    size: int = 0
    digest: str = ""
    revision: int = 0
    verified: bool = False


@attrs.define(kw_only=True)
class FileListResult(ListResult):
    """One page of a context's files."""

    files: list[ContextFile] = attrs.Factory(list)
    total_count: int = 0
