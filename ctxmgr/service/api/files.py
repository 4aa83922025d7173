"""Actions on the files of a context."""

from __future__ import annotations

import os
from hashlib import blake2b
from itertools import islice
from typing import Any

from sqlalchemy import Row

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK
from ctxmgr.engine.policy.mounts import context_prefix, slashed
from ctxmgr.engine.policy.values import malformed
from ctxmgr.service.catalog import contextfiles, contexts, history
from ctxmgr.service.catalog.clock import timestamp
from ctxmgr.service.catalog.paging import read_position, token_of
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["delete_context_file", "describe_context_file", "describe_context_files"]

PAGE = 50
MAX_PAGE = 1000
MAX_NUMBER = 10**9
MAX_DELETED = 10_000
TYPES = {DIRECTORY: "folder", FILE: "file", LINK: "link"}


def describe_context_files(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DescribeContextFiles: what lies directly in a folder, or (ext) with Recursive all below it, by name."""
    context_id = parameters.required("ContextId")
    prefix = context_prefix(_folder(parameters))
    size = parameters.number("MaxResults", 0, least=1, most=MAX_PAGE)
    size = size or parameters.number("PageSize", PAGE, least=1, most=MAX_PAGE)
    token = parameters.text("NextToken")
    page = parameters.number("PageNumber", 1, least=1, most=MAX_NUMBER)
    after = _encoded("NextToken", read_position(token)[1]) if token else b""
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, context_id)
        folder = runtime.folders.find(connection, context_id, prefix, recursive=parameters.flag("Recursive"))
        # By name, not by number: what is added or deleted meanwhile neither hides nor doubles anything else.
        start = 0 if token else (page - 1) * size
        items = list(islice(folder.items(connection, after), start, start + size + 1))
    follows = len(items) > size
    return {
        "Data": [_described(context_id, prefix + name, row) for name, row in items[:size]],
        "Count": folder.count,
        "NextToken": token_of((0, os.fsdecode(items[size - 1][0]))) if follows else "",
        "MaxResults": size,
    }


def describe_context_file(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DescribeContextFile (ext): one file, link or folder, as it is or as it was at ``Revision``."""
    context_id = parameters.required("ContextId")
    path = contextfiles.checked_path("FilePath", parameters.file_name("FilePath"))
    revision = parameters.number("Revision", 0, least=1, most=MAX_NUMBER) or None
    with runtime.catalog.read() as connection:
        context = contexts.find(connection, account, context_id)
        history.check_revision(connection, context_id, revision or 0)
        row = contextfiles.find(connection, context_id, path, revision=revision)
        if row is None and (revision or not contextfiles.is_folder(connection, context_id, path)):
            raise contextfiles.missing(context_id, path)
    if row is None:
        return {"Data": _described(context_id, path, context.used_ms)}
    told = {"Mode": f"{row.mode:04o}", "Digest": row.digest.hex(), "Target": os.fsdecode(row.target)}
    return {"Data": {**_described(context_id, path, row), **told}}


def delete_context_file(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DeleteContextFile: one file or (ext) all of ``FilePaths``, in one revision."""
    context_id = parameters.required("ContextId")
    paths = [contextfiles.checked_path("FilePath", path) for path in _named(parameters)]
    with runtime.catalog.write() as connection:
        contexts.find(connection, account, context_id)
        revision = contextfiles.delete(connection, context_id, paths, recursive=parameters.flag("Recursive"))
    return {"Data": {"Revision": revision}}


def _named(parameters: Parameters) -> list[str]:
    several = parameters.json_list("FilePaths")
    if several is None:
        return [parameters.file_name("FilePath")]
    if not 1 <= len(several) <= MAX_DELETED:
        raise malformed("FilePaths", f"a list of {len(several)}", f"a list of 1 to {MAX_DELETED} paths")
    return [os.fsdecode(_encoded("FilePaths", path)) for path in several]


def _encoded(name: str, text: str) -> bytes:
    return os.fsencode(Parameters({name: text}).file_name(name))


def _folder(parameters: Parameters) -> str:
    folder = slashed(parameters.file_name("ParentFolderPath")) or "/"
    if not folder.startswith("/") or ".." in folder.split("/"):
        raise malformed("ParentFolderPath", folder, 'an absolute path without ".."')
    return "/" + "/".join(part for part in folder.split("/") if part not in ("", "."))


def _described(context_id: str, path: bytes, row: Row[Any] | int) -> dict[str, Any]:
    identifier = blake2b(context_id.encode() + b"\0" + path, digest_size=16).hexdigest()
    text = os.fsdecode(path)
    described: dict[str, Any] = {
        "FileId": f"file-{identifier}",
        "FileName": text.rpartition("/")[2],
        "FilePath": text,
        "Status": "available",
    }
    if isinstance(row, int):
        return {
            **described,
            "FileType": "folder",
            "Size": 0,
            "GmtCreate": timestamp(row),
            "GmtModified": timestamp(row),
        }
    folder = row.kind == DIRECTORY
    return {
        **described,
        "FileType": TYPES[row.kind],
        "Size": row.size,
        "GmtCreate": timestamp(row.created_ms),
        "GmtModified": timestamp(row.created_ms if folder else row.mtime_ns // 1_000_000),
        "Revision": row.rev_from,
    }
