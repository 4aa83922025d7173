"""Whole files in and out of a context, in pieces: what a door does for the holder of a signed URL.

A door gives the token of its URL, the method and the headers. For a download it gets a status, headers and the content
in pieces; for an upload it hands over pieces as they come, and ``finish`` makes of them a revision like any other.
Whatever is wrong is a ServiceError, which `envelope.failure` turns into an answer with its HTTP status.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from urllib.parse import quote

from sqlalchemy import Connection

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.entries import FILE, Entry, show
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.ingest import read_content
from ctxmgr.errors import ServiceError
from ctxmgr.filedigests import repr_digest
from ctxmgr.reasons import reason
from ctxmgr.service.catalog import contextfiles, contexts, history, revisions
from ctxmgr.service.catalog.chunkindex import check_stored
from ctxmgr.service.storage.signing import UPLOAD
from ctxmgr.service.tasks.runtime import Runtime

from .checksums import Checksums
from .conditions import byte_range, check_conditions, not_modified
from .filecontent import content_of, sha256_of

__all__ = [
    "MAX_SIZE",
    "Download",
    "Stored",
    "Upload",
    "open_download",
    "open_upload",
    "read_file",
    "write_file",
]

MAX_SIZE = 5 << 30
"""Bytes of a file that is uploaded by URL, at most: as many as object stores take in one request."""


@dataclass(frozen=True)
class Download:
    """What a GET or a HEAD is answered with.

    Attributes:
        status: 200, 206 for a part, or 304 where the asker has it already.
        headers: with lower-case names.
        content: the pieces of the body, read from the store as they are asked for; a ContentError may come between.
    """

    status: int
    headers: Mapping[str, str]
    content: Iterator[memoryview]


@dataclass(frozen=True)
class Stored:
    """A file that was uploaded.

    Attributes:
        revision: the context's revision that holds it.
        size: bytes.
        digest: BLAKE3-256 of its content.
        repr_digest: the digest that the upload announced, computed of what is kept; "" if it announced none.
    """

    revision: int
    size: int
    digest: bytes
    repr_digest: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What a PUT is answered with, beside status 200 and no body."""
        told = {
            "etag": _etag(self.digest),
            "x-ctxmgr-blake3": self.digest.hex(),
            "x-ctxmgr-revision": str(self.revision),
            "content-length": "0",
        }
        return told | ({"repr-digest": self.repr_digest} if self.repr_digest else {})


def open_download(
    runtime: Runtime, token: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Download:
    """Begin to answer a GET or a HEAD of a signed URL.

    Args:
        runtime: the service's.
        token: what follows ``/files/`` in the URL.
        method: the request's.
        headers: the request's, by lower-case name. ``range`` (one of bytes), ``if-range``, ``if-match`` and
            ``if-none-match`` are heeded (RFC 9110), as is ``want-repr-digest`` for a SHA-256 (RFC 9530).

    Raises:
        ServiceError: the URL is not good for this, or the file is not there any more.
    """
    runtime.check_open()
    grant = runtime.signer.grant(token, method)
    return read_file(
        runtime, grant.account, grant.context_id, grant.path, revision=grant.revision, method=method, headers=headers
    )


def read_file(
    runtime: Runtime,
    account: str,
    context_id: str,
    path: bytes,
    *,
    revision: int = 0,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Download:
    """Begin to read a file of an account's context, as it is (0) or was at a revision; else as ``open_download``."""
    runtime.check_open()
    asked = headers or {}
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, context_id)
        history.check_revision(connection, context_id, revision)
        row = contextfiles.find_file(connection, context_id, path, revision=revision or None)
    entry = contextfiles.entry_of(row)
    stored = runtime.store(account).content
    etag = _etag(entry.digest)
    answered = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "etag": etag,
        "last-modified": _date(entry.mtime_ns),
        "x-ctxmgr-blake3": entry.digest.hex(),
        "x-ctxmgr-revision": str(row.rev_from),
    }
    check_conditions(asked, etag, reading=True)
    if not_modified(asked, etag):
        return Download(304, answered, iter(()))
    start, end = byte_range(asked, etag, entry.size) or (0, entry.size)
    partial = (start, end) != (0, entry.size)
    answered |= {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(path.rpartition(b'/')[2], safe='')}",
        "content-length": str(end - start),
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
    }
    if partial:
        answered["content-range"] = f"bytes {start}-{end - 1}/{entry.size}"
    if "sha-256" in asked.get("want-repr-digest", "") and not partial:
        answered["repr-digest"] = repr_digest(sha256_of(stored, path, entry))
    content = iter(()) if method == "HEAD" else content_of(stored, path, entry, start, end)
    return Download(206 if partial else 200, answered, content)


def open_upload(
    runtime: Runtime, token: str, *, headers: Mapping[str, str] | None = None, max_size: int = MAX_SIZE
) -> Upload:
    """Begin to take the body of a PUT to a signed URL.

    Args:
        runtime: the service's.
        token: what follows ``/files/`` in the URL.
        headers: the request's, by lower-case name. ``content-length``, ``content-md5`` (RFC 1864), ``repr-digest``
            (RFC 9530, SHA-256) and ``x-ctxmgr-blake3`` (hexadecimal) are compared with what comes; ``if-match`` and
            ``if-none-match`` with what is there when it has come.
        max_size: bytes that may come.

    Raises:
        ServiceError: the URL is not good for this, or a header can't be met.
    """
    runtime.check_open()
    grant = runtime.signer.grant(token, UPLOAD)
    return write_file(runtime, grant.account, grant.context_id, grant.path, headers=headers, max_size=max_size)


def write_file(
    runtime: Runtime,
    account: str,
    context_id: str,
    path: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    max_size: int = MAX_SIZE,
) -> Upload:
    """Begin to write a file of an account's context; otherwise as ``open_upload``."""
    runtime.check_open()
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, context_id)
    return Upload(runtime, account, context_id, path, headers or {}, max_size)


class Upload:
    """A file on its way into a context. It waits in an unnamed temporary file, which no crash leaves behind.

    Used by one thread at a time, and closed in any case: nothing of it is seen in the context before ``finish``.
    """

    def __init__(
        self, runtime: Runtime, account: str, context_id: str, path: bytes, headers: Mapping[str, str], max_size: int
    ) -> None:
        self._runtime = runtime
        self._account = account
        self._context_id = context_id
        self._path = path
        self._headers = headers
        self._max_size = max_size
        self._size = 0
        self._announced = _announced_size(headers, max_size)
        self._checksums = Checksums(headers)
        try:
            self._file = tempfile.TemporaryFile(dir=runtime.folder.root, prefix="upload-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _not_stored(path, error) from error

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next piece.

        Raises:
            ServiceError: the file becomes too large, or can't be kept.
        """
        self._size += len(piece)
        if self._size > self._max_size:
            raise _too_large(self._size, self._max_size)
        self._checksums.update(piece)
        view = memoryview(piece)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _not_stored(self._path, error) from error

    def finish(self) -> Stored:
        """Store the file, and make it the context's next revision.

        Raises:
            ServiceError: it is not what the headers said, a condition is not met, or it can't be stored.
        """
        self._check()
        runtime = self._runtime
        runtime.check_open()
        try:
            writer = PackWriter(runtime.store(self._account).content)
            self._file.seek(0)
            size, digest, chunks = read_content(self._file.fileno(), self._size, writer)
            writer.flush()
        except (OSError, ContentError) as error:
            raise _not_stored(self._path, error) from error
        content = Entry(FILE, 0, 0, size, digest, chunks)
        revision = runtime.catalog.insist(partial(self._commit, content))
        return Stored(revision, size, digest, self._checksums.repr_digest)

    def close(self) -> None:
        """Forget what was not finished."""
        with suppress(OSError):
            self._file.close()

    def _commit(self, content: Entry) -> int:
        with self._runtime.catalog.write() as connection:
            revisions.held_head(connection, self._context_id)
            contexts.find(connection, self._account, self._context_id)
            check_conditions(self._headers, self._etag_there(connection), reading=False)
            check_stored(connection, self._account, [(self._path, content)])
            return contextfiles.put(connection, self._context_id, self._path, content, note="file")

    def _check(self) -> None:
        if self._announced is not None and self._size != self._announced:
            raise ServiceError(
                "InvalidContent.Incomplete",
                f"{self._size} bytes came, and Content-Length said {self._announced}: send the file again",
            )
        self._checksums.check()

    def _etag_there(self, connection: Connection) -> str:
        there = contextfiles.find(connection, self._context_id, self._path)
        return "" if there is None else _etag(there.digest)


def _announced_size(headers: Mapping[str, str], max_size: int) -> int | None:
    text = headers.get("content-length", "")
    if not text:
        return None
    if len(text) > 18 or not text.isascii() or not text.isdecimal():
        raise ServiceError(
            "InvalidParameter.Malformed", f"Content-Length is {text[:40]!r}, which is no number of bytes"
        )
    if int(text) > max_size:
        raise _too_large(int(text), max_size)
    return int(text)


def _etag(digest: bytes) -> str:
    return f'"{digest.hex()}"' if digest else ""


def _date(mtime_ns: int) -> str:
    try:
        return formatdate(mtime_ns // 1_000_000_000, usegmt=True)
    except (OverflowError, ValueError, OSError):
        # A file's own time can be any number; one that no calendar holds is shown as the epoch.
        return formatdate(0, usegmt=True)


def _too_large(size: int, most: int) -> ServiceError:
    return ServiceError(
        "InvalidContent.TooLarge", f"the file has {size} bytes or more, and at most {most} can be put by URL: sync it"
    )


def _not_stored(path: bytes, error: Exception) -> ServiceError:
    return ServiceError("InternalError", f"{show(path)} can't be stored: {reason(error)}")
