"""A restore's work on the caller's own disk, and what comes of a service for it. Whatever is done here blocks."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import ApiError, ConnectionFailed, ProtocolError
from .results import RestoredFile, RestoreResult, SyncProgress
from .structuring import EntryData

if TYPE_CHECKING:
    from .engine.manifest.entries import Entry, Manifest
    from .service import ContextService

__all__ = ["Target", "entries_of"]

_FRAME = struct.Struct(">IQ")
SECONDS_BETWEEN_TELLS = 0.1
_KINDS = {"folder": "dir", "file": "file", "link": "link"}


def entries_of(listed: Sequence[EntryData]) -> dict[bytes, Entry]:
    """Return a page of a revision's entries, by path relative to the context's top.

    Raises:
        ImportError: the extra that restores is not installed; the text says which.
        ProtocolError: they are none.
    """
    with _extra_needed():
        from .engine.manifest.entries import FILE, Entry
    found = {}
    for each in listed:
        try:
            kind, digest = _KINDS[each.type], bytes.fromhex(each.digest)
        except (KeyError, ValueError) as error:
            raise ProtocolError(f"an entry of the revision can't be read: {each!r}") from error
        # What stands for packed files is restored as the archive that it is.
        target = b"" if kind == FILE else os.fsencode(each.target)
        entry = Entry(kind, each.mode, each.mtime_ns, each.size, digest, (), target)
        found[os.fsencode(each.path.lstrip("/"))] = entry
    return found


class Target:
    """The directory that a context is restored into, from its first look to the receipt. Used by one thread at a time.

    Args:
        directory: the path that was named.
        entries: what the context held.
        revision: when it held that.
        force, progress: as for ``Contexts.restore``.

    Raises:
        ApiError: it can't be used: ``Restore.NotEmpty`` or ``Restore.Failed``.
    """

    def __init__(
        self,
        directory: str,
        entries: Mapping[bytes, Entry],
        revision: int,
        *,
        force: bool,
        progress: Callable[[SyncProgress], object] | None = None,
    ) -> None:
        from .engine.workspace.restore import Restore

        self.revision = revision
        self._progress = progress
        self._next = 0.0
        with _told():
            self._restore = Restore(directory, entries, force=force, moved=self._moved)
            self._restore.begin()

    def batches(self) -> list[dict[bytes, Entry]]:
        """Return the files that are still to come, cut into what is worth one request."""
        return list(self._restore.batches())

    def asked(self, batch: Manifest) -> bytes:
        """Return the body of the request for what of a batch is still to come."""
        return json.dumps([_absolute(path) for path in self._restore.left_of(batch)]).encode()

    def take(self, batch: Manifest, pieces: Iterator[bytes]) -> None:
        """Write the files that come in answer to ``asked``.

        Raises:
            ApiError: ``Restore.Failed``: one can't be written.
            TransportError: what came is not what was asked for, or not all of it.
        """
        with _told():
            self._restore.write(batch, _Stream(list(self._restore.left_of(batch)), pieces))

    def read(self, service: ContextService, context_id: str) -> None:
        """Write all files that are still to come from a service in this process.

        Raises:
            ApiError: one can't be read or written.
        """
        reader = _Reader(service, context_id, self.revision)
        with _told():
            for batch in self.batches():
                self._restore.write(batch, reader)

    def result(self) -> RestoreResult:
        """Read everything back, and return what is proven.

        Raises:
            ApiError: ``Restore.Failed``: something can't be read.
        """
        restore = self._restore
        self._tell()
        with _told():
            unproven = restore.unproven()
        files, size = restore.written
        receipt = []
        if not unproven:
            receipt = [_restored(path, entry) for path, entry in sorted(restore.wanted.items())]
        return RestoreResult(
            success=not unproven,
            error_message=_unproven(unproven),
            directory=restore.directory,
            revision=self.revision,
            files=files,
            bytes=size,
            receipt=receipt,
        )

    def _moved(self) -> None:
        if self._progress is not None and (now := time.monotonic()) >= self._next:
            self._next = now + SECONDS_BETWEEN_TELLS
            self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            (files, size), (files_total, bytes_total) = self._restore.written, self._restore.total
            done = {"files_done": files, "bytes_done": size + self._restore.begun}
            self._progress(SyncProgress(**done, files_total=files_total, bytes_total=bytes_total))


class _Reader:
    """Reads the files of a context in this process, whose paths are absolute."""

    def __init__(self, service: ContextService, context_id: str, revision: int) -> None:
        self._reader = service.reader(context_id, revision)

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        for path, pieces in self._reader.contents({b"/" + path: entry for path, entry in files.items()}):
            yield path[1:], pieces


class _Stream:
    """Reads the files of an answer, each behind its index and size, and compares each with its digest.

    Args:
        names: the paths that were asked for.
        pieces: the answer's body.
    """

    def __init__(self, names: Sequence[bytes], pieces: Iterator[bytes]) -> None:
        self._names = names
        self._pieces = pieces
        self._held = memoryview(b"")

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        left = set(files)
        while left:
            index, size = _FRAME.unpack(b"".join(self._next(_FRAME.size)))
            path = self._names[index] if index < len(self._names) else b""
            if path not in left or files[path].size != size:
                raise ProtocolError(f"the server sent a file that was not asked for: number {index} of {size} bytes")
            left.remove(path)
            yield path, self._content(path, files[path])

    def _content(self, path: bytes, entry: Entry) -> Iterator[memoryview]:
        from blake3 import blake3

        seen = blake3()
        for piece in self._next(entry.size):
            seen.update(piece)
            yield piece
        if seen.digest() != entry.digest:
            raise ConnectionFailed(f"{os.fsdecode(path)!r} was damaged on its way: it does not have its BLAKE3 digest")

    def _next(self, size: int) -> Iterator[memoryview]:
        """Yield the next bytes of the body, so many of them."""
        while size:
            if not self._held:
                self._held = memoryview(next(self._pieces, b""))
                if not self._held:
                    raise ConnectionFailed("the files did not come whole: the connection broke")
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece


@contextmanager
def _told() -> Iterator[None]:
    """Raise as the failure of a restore what the engine says of a directory and of content."""
    from .engine.manifest.errors import ContentError, WorkspaceError
    from .engine.workspace.restore import DirectoryNotEmpty

    try:
        yield
    except DirectoryNotEmpty as error:
        raise ApiError("Restore.NotEmpty", str(error)) from error
    except (ContentError, WorkspaceError) as error:
        raise ApiError("Restore.Failed", str(error)) from error


def _unproven(found: Sequence[Any]) -> str:
    if not found:
        return ""
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"[Restore.Unproven] {os.fsdecode(first.path)!r} {first.reason}{more}: restore again"


def _restored(path: bytes, entry: Entry) -> RestoredFile:
    types = {kind: name for name, kind in _KINDS.items()}
    target = os.fsdecode(entry.target)
    return RestoredFile(
        path=_absolute(path), type=types[entry.kind], size=entry.size, digest=entry.digest.hex(), target=target
    )


def _absolute(path: bytes) -> str:
    return "/" + os.fsdecode(path)


@contextmanager
def _extra_needed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.startswith("ctxmgr"):
            raise
        text = f"to restore into a directory needs {error.name}: pip install 'ctxmgr[local]'"
        raise ImportError(text, name=error.name) from error
