"""Single files of a context: find one, put one, delete some."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry, is_temporary, show
from ctxmgr.engine.policy.mounts import ancestors, slashed
from ctxmgr.engine.policy.values import malformed
from ctxmgr.errors import ServiceError

from . import revisions
from .schema import files
from .schema import revisions as revision_rows

__all__ = ["FILE_MODE", "checked_path", "delete", "entry_of", "find", "find_file", "is_folder", "missing", "put"]

FILE_MODE = 0o644
MAX_NAME = 255
MAX_PATH = 4096


def checked_path(name: str, text: str) -> bytes:
    """Return the path in a context of a file that a request names.

    Raises:
        ServiceError: no directory could hold such a file.
    """
    path = os.fsencode(slashed(text))
    if not path:
        raise ServiceError("InvalidParameter.Missing", f"the parameter {name} is missing: send it")
    if not path.startswith(b"/") or path.endswith(b"/"):
        raise malformed(name, text, 'an absolute path of a file, beginning with "/" and not ending with it')
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in path or not parts:
        raise malformed(name, text, 'a path without ".." and NUL')
    if len(path) > MAX_PATH or any(len(part) > MAX_NAME for part in parts):
        raise malformed(name, text, f"a path of at most {MAX_PATH} bytes, each name in it of at most {MAX_NAME}")
    whole = b"/" + b"/".join(parts)
    if is_temporary(whole):
        raise malformed(name, text, "a path without names that only stand for unfinished files")
    return whole


def find(connection: Connection, context_id: str, path: bytes, *, revision: int | None = None) -> Row[Any] | None:
    """Return the row of what a context holds at a path, now or at an earlier revision, with when it came there."""
    came = (revision_rows.c.context_id == files.c.context_id) & (revision_rows.c.number == files.c.rev_from)
    at = (files.c.context_id == context_id) & (files.c.path == path)
    rows = select(files, revision_rows.c.created_ms).join(revision_rows, came).where(at, _visible(revision))
    return connection.execute(rows).one_or_none()


def find_file(connection: Connection, context_id: str, path: bytes, *, revision: int | None = None) -> Row[Any]:
    """Return the row of a file with content, as ``find``.

    Raises:
        ServiceError: there is none, or it is a folder or a link.
    """
    row = find(connection, context_id, path, revision=revision)
    if row is None and not (revision is None and is_folder(connection, context_id, path)):
        raise missing(context_id, path)
    if row is None or row.kind != FILE:
        what = "a folder" if row is None or row.kind == DIRECTORY else "a symbolic link"
        raise ServiceError("InvalidFile.NoContent", f"{show(path)} is {what}, and has no content to read")
    return row


def is_folder(connection: Connection, context_id: str, path: bytes) -> bool:
    """Whether a context holds something below a path."""
    return connection.execute(_below(context_id, path).limit(1)).first() is not None


def entry_of(row: Row[Any]) -> Entry:
    """Return the entry that a row holds."""
    chunks = revisions.digests_of(row.chunks)
    return Entry(row.kind, row.mode, row.mtime_ns, row.size, row.digest, chunks, row.target)


def put(connection: Connection, context_id: str, path: bytes, content: Entry, *, note: str) -> int:
    """Make a file with new content the context's next revision; what was there keeps its permission bits.

    Args:
        connection: a write transaction.
        context_id: the context.
        path: where the file comes to lie.
        content: its size, digest and chunks, which are stored already.
        note: what the revision is for people who read the history.

    Returns:
        the revision that holds the file: the latest, if the very same content was there already.

    Raises:
        ServiceError: the context does not exist, or has a folder at the path, or a file where it needs a folder.
    """
    head = revisions.held_head(connection, context_id)
    there = find(connection, context_id, path)
    if (there is not None and there.kind == DIRECTORY) or is_folder(connection, context_id, path):
        raise _conflict(path, "there is a folder of that name: choose another name, or delete the folder first")
    above = ancestors(path)[1:]
    blocking = select(files.c.path).where(_current(context_id), files.c.path.in_(above), files.c.kind != DIRECTORY)
    if (found := connection.execute(blocking).scalars().first()) is not None:
        raise _conflict(path, f"{show(found)} is no folder: delete it first, or choose another path")
    mode = FILE_MODE
    if there is not None and there.kind == FILE:
        if (there.digest, there.size) == (content.digest, content.size):
            return head
        mode = there.mode
    entry = Entry(FILE, mode, time.time_ns(), content.size, content.digest, content.chunks)
    current = () if there is None else (path[1:],)
    return revisions.commit(
        connection, context_id, "/", head=head, current=current, put={path[1:]: entry}, drop=(), task_id="", note=note
    )


def delete(connection: Connection, context_id: str, paths: Sequence[bytes], *, recursive: bool) -> int:
    """Delete files from a context, all of them in one revision or none.

    Args:
        connection: a write transaction.
        context_id: the context.
        paths: of files, links and empty folders.
        recursive: also folders that hold something, with that.

    Raises:
        ServiceError: a path is not there, or is a folder that holds something.
    """
    head = revisions.held_head(connection, context_id)
    ended: set[bytes] = set()
    for path in paths:
        below = connection.execute(_below(context_id, path)).scalars().all() if recursive else []
        if find(connection, context_id, path) is not None:
            ended.add(path)
        elif not below and not is_folder(connection, context_id, path):
            raise missing(context_id, path)
        ended.update(below)
    for path in paths:
        if any(other not in ended for other in connection.execute(_below(context_id, path)).scalars()):
            raise _conflict(path, "it is a folder that holds files: send Recursive=true to delete it with them")
    dropped = [path[1:] for path in sorted(ended)]
    return revisions.commit(
        connection, context_id, "/", head=head, current=dropped, put={}, drop=dropped, task_id="", note="delete"
    )


def missing(context_id: str, path: bytes) -> ServiceError:
    """Return the error for a file that a context does not hold."""
    return ServiceError("InvalidFile.NotFound", f"the context {context_id!r} holds no file {show(path)}")


def _below(context_id: str, path: bytes) -> Select[Any]:
    """Select the paths of what a context holds below a path; "0" is the byte after "/"."""
    return select(files.c.path).where(_current(context_id), files.c.path > path + b"/", files.c.path < path + b"0")


def _current(context_id: str) -> ColumnElement[bool]:
    return (files.c.context_id == context_id) & files.c.rev_to.is_(None)


def _visible(revision: int | None) -> ColumnElement[bool]:
    if revision is None:
        return files.c.rev_to.is_(None)
    return (files.c.rev_from <= revision) & (files.c.rev_to.is_(None) | (files.c.rev_to > revision))


def _conflict(path: bytes, problem: str) -> ServiceError:
    return ServiceError("InvalidFile.Conflict", f"{show(path)} can't be changed so: {problem}")
