"""Files of the caller's own, as they are sent and as they arrive. Whatever is done here blocks."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO

from .errors import ConnectionFailed, CtxmgrError, ServiceError
from .filedigests import Arrival
from .protocol import OK, Answer

if TYPE_CHECKING:
    from .service import ContextService

__all__ = ["PIECE", "Arriving", "Source", "get_in_process", "open_source", "pieces", "put_in_process"]

PIECE = 1 << 20
"""Bytes that are read or written at a time."""

Source = str | PathLike[str] | bytes
"""What is uploaded: a file by its path, or the bytes themselves."""


def open_source(source: Source) -> tuple[BinaryIO, int]:
    """Open what is to be uploaded; return it, to be closed, and its size in bytes.

    Raises:
        OSError: the file can't be read.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source), len(source)
    file = open(os.path.expanduser(source), "rb")  # noqa: SIM115
    try:
        return file, os.fstat(file.fileno()).st_size
    except BaseException:
        file.close()
        raise


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Read a file to its end."""
    while piece := file.read(PIECE):
        yield piece


class Arriving:
    """A file on its way in: it takes its name only when it is complete.

    Used in a ``with`` statement, which leaves nothing behind if ``keep`` was not called.

    Args:
        target: the path it is to have; what is there is replaced.
        headers: of the answer that brings it, with its size and its digest if the sender announced them.
    """

    def __init__(self, target: str | PathLike[str], headers: Mapping[str, str]) -> None:
        self._announced = headers.get("Content-Length")
        self._arrival = Arrival(headers)
        self._target = os.path.abspath(os.path.expanduser(target))
        folder, name = os.path.split(self._target)
        self._unfinished = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.part")
        self._file: BinaryIO | None = None
        self.size = 0

    def __enter__(self) -> Arriving:
        self._file = open(self._unfinished, "xb")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            with contextlib.suppress(OSError):
                os.unlink(self._unfinished)

    def write(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        assert self._file is not None, "an arriving file is written in its with statement"
        self._file.write(piece)
        self._arrival.update(piece)
        self.size += len(piece)

    @property
    def verified(self) -> bool:
        """Whether it was kept because it has the digest that was announced."""
        return self._arrival.verified

    def keep(self) -> None:
        """Move the complete file to its final name.

        Raises:
            ConnectionFailed: fewer or more bytes came than were announced, or others.
        """
        assert self._file is not None, "an arriving file is kept in its with statement"
        if self._announced is not None and self._announced != str(self.size):
            raise ConnectionFailed(f"{self.size} bytes came of a file of {self._announced}: the connection broke")
        self._arrival.check()
        self._file.close()
        os.replace(self._unfinished, self._target)
        self._file = None


def put_in_process(service: ContextService, context_id: str, path: str, source: Source) -> Answer:
    """Upload a file to a service in this process.

    Raises:
        OSError: the caller's file can't be read.
    """
    file, _ = open_source(source)
    with file:
        try:
            with service.write_file(context_id, path) as upload:
                for piece in pieces(file):
                    upload.write(piece)
                stored = upload.finish()
        except CtxmgrError as error:
            return _refused(error)
    # Nothing travelled, and the store has compared each chunk with its name.
    return _done({"Size": stored.size, "Verified": True, "Digest": stored.digest.hex(), "Revision": stored.revision})


def get_in_process(
    service: ContextService, context_id: str, path: str, target: str | PathLike[str], revision: int
) -> Answer:
    """Download a file from a service in this process.

    Raises:
        OSError: the caller's file can't be written.
    """
    try:
        found = service.read_file(context_id, path, revision=revision)
        with Arriving(target, {"Content-Length": found.headers["content-length"]}) as arriving:
            for piece in found.content:
                arriving.write(piece)
            arriving.keep()
    except CtxmgrError as error:
        return _refused(error)
    told = found.headers
    held = {"Digest": told["x-ctxmgr-blake3"], "Revision": int(told["x-ctxmgr-revision"])}
    return _done({"Size": arriving.size, "Verified": True, **held})


def _done(data: dict[str, Any]) -> Answer:
    return Answer("", success=True, code=OK, message="", http_status=200, data=data, document={})


def _refused(error: CtxmgrError) -> Answer:
    code, message = ("InternalError", str(error))
    if isinstance(error, ServiceError):
        code, message = error.code, error.message
    return Answer("", success=False, code=code, message=message, http_status=200, data=None, document={})
