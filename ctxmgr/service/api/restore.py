"""What a restore asks for: the entries of a revision page by page, and many of its files in one stream."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row

from ctxmgr.engine.content.chunks import BlobReader
from ctxmgr.engine.manifest.entries import Manifest
from ctxmgr.engine.policy.values import malformed
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contextfiles, contexts, history, snapshot
from ctxmgr.service.catalog.paging import read_position, token_of
from ctxmgr.service.storage.signing import CONTENTS, VALID_SECONDS, Grant
from ctxmgr.service.tasks.runtime import Runtime

from .files import TYPES
from .history import revision_named
from .parameters import Parameters
from .transfer import Download

__all__ = ["RevisionReader", "contents_url", "describe_revision", "open_contents"]

PAGE = 1000
MAX_PAGE = 5000
MAX_PATHS = 10_000
JOINED = 1 << 20
"""Bytes that small files are joined to on their way out: a piece for each would cost more than its content."""

FRAME = struct.Struct(">IQ")
"""What stands before each file in the stream: its index in the list that was asked for, and its bytes."""


def describe_revision(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DescribeRevision (ext): all that a context holds, or held at ``Revision``, with what proves each file.

    ``NextToken`` names the revision of the first page, so that all pages are of one.
    """
    context_id = parameters.required("ContextId")
    size = parameters.number("MaxResults", PAGE, least=1, most=MAX_PAGE)
    paths = _paths(parameters.json_list("Paths") or [], snapshot.MAX_ROOTS)
    token = parameters.text("NextToken")
    pinned, after = read_position(token) if token else (None, "")
    with runtime.catalog.read() as connection:
        context = contexts.find(connection, account, context_id)
        revision = pinned
        if revision is None:
            revision = revision_named(connection, context_id, parameters, default=context.head)
            snapshot.check_held(connection, context_id, revision, paths)
        history.check_revision(connection, context_id, revision)
        position = parameters.encoded("NextToken", after)
        rows = snapshot.entries_at(connection, context_id, revision, paths, after=position, size=size + 1)
    following = token_of((revision, os.fsdecode(rows[size - 1].path))) if len(rows) > size else ""
    return {
        "Data": [_described(row) for row in rows[:size]],
        "Revision": revision,
        "NextToken": following,
        "MaxResults": size,
    }


def contents_url(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetContextContentsUrl (ext): a URL that answers a POST of paths with these files in one stream."""
    context_id = parameters.required("ContextId")
    with runtime.catalog.read() as connection:
        context = contexts.find(connection, account, context_id)
        revision = revision_named(connection, context_id, parameters, default=context.head)
    if not parameters.base_url:
        raise ServiceError(
            "UnsupportedAction.NoServer",
            "a service inside a program has no URLs: let the client restore the files (client.contexts.restore does), "
            "or use a ctxmgr serve",
        )
    expires = int(time.time()) + VALID_SECONDS
    token = runtime.signer.token(Grant(account, context_id, b"/", CONTENTS, expires, revision))
    return {"Data": {"Url": f"{parameters.base_url}/files/{token}", "ExpireTime": expires}, "Revision": revision}


def open_contents(runtime: Runtime, token: str, body: bytes) -> Download:
    """Begin to answer a POST to a signed URL: the files that it names, each behind its `FRAME`, in any order.

    Args:
        runtime: the service's.
        token: what follows ``/files/`` in the URL.
        body: a JSON list of absolute paths.

    Raises:
        ServiceError: the URL is not good for this, or a path is none of a file at that revision.
    """
    runtime.check_open()
    grant = runtime.signer.grant(token, CONTENTS)
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, list):
        raise malformed("the body", body[:40].decode("latin-1"), "a JSON list of paths")
    paths = _paths(asked, MAX_PATHS)
    with runtime.catalog.read() as connection:
        contexts.find(connection, grant.account, grant.context_id)
    reader = RevisionReader(runtime, grant.account, grant.context_id, grant.revision)
    files = reader.files(paths)
    length = sum(entry.size for entry in files.values()) + FRAME.size * len(files)
    headers = {
        "cache-control": "private, no-store",
        "content-length": str(length),
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
        "x-ctxmgr-revision": str(grant.revision),
    }
    return Download(200, headers, _joined(_framed(reader, files, paths)))


class RevisionReader:
    """Reads the files that a context held at a revision, in this process."""

    def __init__(self, runtime: Runtime, account: str, context_id: str, revision: int) -> None:
        self._runtime = runtime
        self._account = account
        self._context_id = context_id
        self._revision = revision

    def files(self, paths: Sequence[bytes]) -> Manifest:
        """Return the entries of files by absolute path.

        Raises:
            ServiceError: there is none at a path, or the revision is no more.
        """
        with self._runtime.catalog.read() as connection:
            history.check_revision(connection, self._context_id, self._revision)
            return snapshot.files_at(connection, self._context_id, self._revision, paths)

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        """Read the content of files, as `BlobReader.contents` does; their entries need no chunks.

        Raises:
            ServiceError: as ``files``.
            ContentError: content is missing or damaged.
        """
        return BlobReader(self._runtime.store(self._account).content).contents(self.files(list(files)))


def _framed(reader: RevisionReader, files: Manifest, paths: Sequence[bytes]) -> Iterator[memoryview]:
    index = {path: number for number, path in enumerate(paths)}
    for path, pieces in reader.contents(files):
        yield memoryview(FRAME.pack(index[path], files[path].size))
        yield from pieces


def _joined(pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    held = bytearray()
    for piece in pieces:
        if held and len(held) + len(piece) > JOINED:
            yield memoryview(held)
            held = bytearray()
        if len(piece) >= JOINED:
            yield piece
        else:
            held += piece
    if held:
        yield memoryview(held)


def _paths(listed: Sequence[Any], most: int) -> list[bytes]:
    if len(listed) > most:
        raise malformed("Paths", f"a list of {len(listed)}", f"a list of at most {most} paths: name folders instead")
    return [contextfiles.checked_path("Paths", os.fsdecode(Parameters.encoded("Paths", path))) for path in listed]


def _described(row: Row[Any]) -> dict[str, Any]:
    return {
        "Path": os.fsdecode(row.path),
        "Type": TYPES[row.kind],
        "Mode": row.mode,
        "MtimeNs": row.mtime_ns,
        "Size": row.size,
        "Digest": row.digest.hex(),
        "Target": os.fsdecode(row.target),
    }
