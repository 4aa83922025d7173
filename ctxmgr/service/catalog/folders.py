"""Listings of what a context's head holds below a path, page by page in the order of the names' bytes.

A folder that has no row of its own, because only files below it were ever put, is implied: it stands in its place too.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Row

from ctxmgr.engine.manifest.entries import DIRECTORY, parent

from .changes import key_of
from .revisions import head_of, paths_below, rows_below

__all__ = ["Folder", "Folders"]

_KEPT: Final = 256
_MOST_IMPLIED: Final = 10_000
_BATCH: Final = 64


@dataclass(frozen=True)
class Folder:
    """What has to be read as a whole to know it.

    Attributes:
        context_id: the context.
        prefix: the path, ending in "/", that names are relative to.
        recursive: whether everything below it is listed, or what lies directly in it.
        count: how many names there are.
        implied: those of implied folders, in order.
    """

    context_id: str
    prefix: bytes
    recursive: bool
    count: int
    implied: tuple[bytes, ...]

    def items(self, connection: Connection, after: bytes = b"") -> Iterator[tuple[bytes, Row[Any] | int]]:
        """Return the names behind one, each with its row, or with the time of an implied folder's first file."""
        implied = self.implied[bisect_right(self.implied, after) :]
        times = ((name, self._first_time(connection, name)) for name in implied)
        yield from merge(self._rows(connection, after), times, key=itemgetter(0))

    def _rows(self, connection: Connection, after: bytes) -> Iterator[tuple[bytes, Row[Any] | int]]:
        cursor = self.prefix + after
        while True:
            rows = rows_below(connection, self.context_id, self.prefix, after=cursor, limit=_BATCH)
            for row in rows:
                name: bytes = row.path[len(self.prefix) :]
                if self.recursive or b"/" not in name:
                    cursor = row.path
                    yield name, row
                else:
                    # Past everything in that folder: "0" is the byte after "/".
                    cursor = self.prefix + name.partition(b"/")[0] + b"0"
                    break
            else:
                if len(rows) < _BATCH:
                    return

    def _first_time(self, connection: Connection, name: bytes) -> int:
        inside = self.prefix + name + b"/"
        (first,) = rows_below(connection, self.context_id, inside, after=inside, limit=1)
        return int(first.created_ms)


class Folders:
    """Counts and implied folders of what was listed lately, by revision. Used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, bytes, bool], Folder] = OrderedDict()

    def find(self, connection: Connection, context_id: str, prefix: bytes, *, recursive: bool) -> Folder:
        """Return what has to be known of a folder to list it; read as a whole once for each head of the context."""
        head = head_of(connection, context_id)
        key = (context_id, f"{head} {key_of(connection, context_id, head)}", prefix, recursive)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        folder = _read(connection, context_id, prefix, recursive=recursive)
        if len(folder.implied) <= _MOST_IMPLIED:
            with self._lock:
                self._known[key] = folder
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return folder


def _read(connection: Connection, context_id: str, prefix: bytes, *, recursive: bool) -> Folder:
    start = len(prefix)
    folders: set[bytes] = set()
    implied: set[bytes] = set()
    listed = 0
    for path, kind in paths_below(connection, context_id, prefix):
        name = path[start:]
        if kind == DIRECTORY:
            folders.add(name)
        inner = b"/" in name
        listed += recursive or not inner
        if inner:
            above = parent(name) if recursive else name.partition(b"/")[0]
            while above and above not in folders and above not in implied:
                implied.add(above)
                above = parent(above)
    # A row may stand behind what is in it: "a" comes before "a-b", and "a-b" before "a/b".
    implied -= folders
    return Folder(context_id, prefix, recursive, listed + len(implied), tuple(sorted(implied)))
