"""Actions on the files of a context."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Row

from . import contexts, revisions
from .clock import timestamp
from .engine import Engine
from .entries import DIRECTORY
from .mounts import context_prefix
from .paging import read_position, token_of
from .parameters import Parameters, malformed

__all__ = ["describe_context_files"]

PAGE = 50
MAX_PAGE = 1000
MAX_NUMBER = 10**9


def describe_context_files(engine: Engine, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer DescribeContextFiles: what lies directly in a folder, or (ext) with Recursive all below it, by name."""
    context_id = parameters.required("ContextId")
    prefix = context_prefix(_folder(parameters))
    size = parameters.number("MaxResults", 0, least=1, most=MAX_PAGE)
    size = size or parameters.number("PageSize", PAGE, least=1, most=MAX_PAGE)
    token = parameters.text("NextToken")
    page = parameters.number("PageNumber", 1, least=1, most=MAX_NUMBER)
    start = read_position(token)[0] if token else (page - 1) * size
    with engine.catalog.read() as connection:
        contexts.find(connection, account, context_id)
        found = _listed(connection, context_id, prefix, recursive=parameters.flag("Recursive"))
    names = sorted(found)
    end = start + size
    return {
        "Data": [_described(context_id, prefix + name, found[name]) for name in names[start:end]],
        "Count": len(names),
        "NextToken": token_of((end, "")) if end < len(names) else "",
        "MaxResults": size,
    }


def _folder(parameters: Parameters) -> str:
    folder = parameters.file_name("ParentFolderPath") or "/"
    if not folder.startswith("/") or ".." in folder.split("/"):
        raise malformed("ParentFolderPath", folder, 'an absolute path without ".."')
    return "/" + "/".join(part for part in folder.split("/") if part not in ("", "."))


def _listed(connection: Connection, context_id: str, prefix: bytes, *, recursive: bool) -> dict[bytes, Row[Any] | int]:
    """Give rows by path below the prefix; a folder that only its files tell of has its first file's time instead."""
    found: dict[bytes, Row[Any] | int] = {}
    for row in revisions.rows_below(connection, context_id, prefix):
        path: bytes = row.path[len(prefix) :]
        if recursive or b"/" not in path:
            found[path] = row
        folder = path.rpartition(b"/")[0] if recursive else path.partition(b"/")[0] if b"/" in path else b""
        while folder and folder not in found:
            found[folder] = row.created_ms
            folder = folder.rpartition(b"/")[0]
    return found


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
        "FileType": "folder" if folder else "file",
        "Size": row.size,
        "GmtCreate": timestamp(row.created_ms),
        "GmtModified": timestamp(row.created_ms if folder else row.mtime_ns // 1_000_000),
        "Revision": row.rev_from,
    }
