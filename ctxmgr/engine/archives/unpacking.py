"""Reads archives of the zip and tar families into entries, without trusting anything they say."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, cast

import zstandard

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.entries import Entry
from ctxmgr.engine.manifest.errors import ArchiveError

from .members import MAX_MEMBERS, Bounds, Members
from .streams import Readable, store

__all__ = ["modified_ns", "suffix_of", "unpack"]

_SUFFIXES: Final = (
    b".tar.gz",
    b".tar.bz2",
    b".tar.xz",
    b".tar.zst",
    b".tgz",
    b".tbz2",
    b".txz",
    b".tzst",
    b".tar",
    b".zip",
)
_PIECE: Final = 1 << 20
_MOST_AT_ONCE: Final = 16 << 20
"""Bytes of an archive's own tables that are read at once: what says it has more of them is refused."""

_WINDOW: Final = 128 << 20
_ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_ENCRYPTED: Final = 0x1
_UNIX: Final = 3
_DRIVE: Final = re.compile(rb"[A-Za-z]:/")
_DAMAGED: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    ValueError,
)


def suffix_of(name: bytes) -> bytes:
    """Return the end of a file name that makes it an archive; empty where there is none, or nothing before it."""
    lower = name.lower()
    return next((end for end in _SUFFIXES if lower.endswith(end) and len(name) > len(end)), b"")


def unpack(
    pieces: Iterator[memoryview], suffix: bytes, writer: PackWriter, folder: Path, check: Callable[[], None]
) -> dict[bytes, Entry]:
    """Read an archive, and store what its members hold.

    Args:
        pieces: the archive's content.
        suffix: the end of its name, as ``suffix_of`` gives it.
        writer: stores the members; to be flushed afterwards.
        folder: where the archive may lie meanwhile, without a name.
        check: called often; what it raises stops the work.

    Returns:
        the members by their path in the archive, with all directories.

    Raises:
        ArchiveError: it is damaged, encrypted or no such archive, or what is in it must not be unpacked.
    """
    with TemporaryFile(dir=folder) as archive:
        for piece in pieces:
            archive.write(piece)
            check()
        bounds = Bounds(archive.tell())
        archive.seek(0)

        def count(size: int) -> None:
            check()
            bounds.count(size)

        try:
            if suffix == b".zip":
                return _unzip(archive, writer, count)
            with _decompressed(archive, suffix, folder, count) as plain:
                return _untar(plain, writer, count)
        except _DAMAGED as error:
            raise ArchiveError(f"it is damaged, or no {suffix.decode()} archive: {error}") from error
        except OSError as error:
            # A table that points before the beginning makes the seek fail, and bz2 has no other error than this one.
            if error.errno in (None, errno.EINVAL):
                raise ArchiveError(f"it is damaged, or no {suffix.decode()} archive: {error}") from error
            raise


def modified_ns(info: tarfile.TarInfo) -> int:
    """Return a tar member's modification time, to the nanosecond where it has that: the parsed one is rounded."""
    try:
        exact = info.pax_headers.get("mtime")
        return int(Decimal(exact) * 10**9) if exact is not None else int(info.mtime * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        return 0


class _Bounded:
    """A file of which nobody reads much at once: an archive's tables are what they are, not what it says."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = _MOST_AT_ONCE + 1
            data = self._file.read(size)
        elif size <= _MOST_AT_ONCE:
            return self._file.read(size)
        else:
            data = self._file.read(_MOST_AT_ONCE + 1)
        if len(data) > _MOST_AT_ONCE:
            raise ArchiveError(f"one of its tables has more than {_MOST_AT_ONCE} bytes: it may be a bomb")
        return data


def _unzip(file: IO[bytes], writer: PackWriter, count: Callable[[int], None]) -> dict[bytes, Entry]:
    members = Members()
    with zipfile.ZipFile(cast("IO[bytes]", _Bounded(file))) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise ArchiveError(f"it has more than {MAX_MEMBERS} members: it may be a bomb")
        for info in infos:
            count(0)
            name = _zip_name(info)
            mode = info.external_attr >> 16
            if name.endswith(b"/"):
                members.add_folder(name, mode or 0o755)
                continue
            if info.flag_bits & _ENCRYPTED:
                raise ArchiveError(f"its member {info.filename!r} is encrypted")
            if info.compress_type not in _ZIP_METHODS:
                raise ArchiveError(
                    f"its member {info.filename!r} is compressed by method {info.compress_type}, unknown here"
                )
            kind = stat.S_IFMT(mode) if info.create_system == _UNIX else 0
            with archive.open(info) as content:
                if kind == stat.S_IFLNK:
                    target = content.read(_PIECE)
                    count(len(target))
                    members.add_link(name, target, _zip_time(info))
                elif kind in (0, stat.S_IFREG):
                    members.add_file(name, mode or 0o644, _zip_time(info), store(content, writer, count))
                else:
                    raise ArchiveError(f"its member {info.filename!r} is a device, a socket or a FIFO")
    return members.finish()


def _zip_name(info: zipfile.ZipInfo) -> bytes:
    name = os.fsencode(info.filename)
    if info.create_system != _UNIX:
        # The format has only slashes, but some programs for Windows write what they are used to.
        name = name.replace(b"\\", b"/")
        if _DRIVE.match(name):
            raise ArchiveError(f"its member {info.filename!r} has an absolute name")
    return name


def _zip_time(info: zipfile.ZipInfo) -> int:
    """Return the modification time: the Unix one where there is one, else the other without its unknown time zone."""
    extra = info.extra
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 0x5455 and length >= 5 and len(extra) >= 9 and extra[4] & 1:
            return int(struct.unpack_from("<i", extra, 5)[0]) * 10**9
        extra = extra[4 + length :]
    try:
        return int(datetime(*info.date_time, tzinfo=timezone.utc).timestamp()) * 10**9
    except ValueError:
        return 0


def _decompressed(file: IO[bytes], suffix: bytes, folder: Path, count: Callable[[int], None]) -> IO[bytes]:
    if suffix == b".tar":
        return file
    stream: Readable
    if suffix in (b".tar.gz", b".tgz"):
        stream = gzip.GzipFile(fileobj=file)
    elif suffix in (b".tar.bz2", b".tbz2"):
        stream = bz2.BZ2File(file)
    elif suffix in (b".tar.xz", b".txz"):
        stream = _Xz(file)
    else:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        stream = decompressor.stream_reader(file, read_across_frames=True)
    plain = TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
    try:
        while data := stream.read(_PIECE):
            count(len(data))
            plain.write(data)
        plain.seek(0)
    except BaseException:
        plain.close()
        raise
    return plain


class _Xz:
    """What ``lzma.LZMAFile`` does, with a bound on the memory that a file can ask for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(memlimit=_WINDOW)
        self._begun = False

    def read(self, size: int, /) -> bytes:
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data or self._file.read(_PIECE)
                if not rest.strip(b"\0"):
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=_WINDOW)
            else:
                rest = self._file.read(_PIECE) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not rest:
                    raise EOFError("it ends too early")
            if data := self._decoder.decompress(rest, max_length=size):
                return data


def _untar(file: IO[bytes], writer: PackWriter, count: Callable[[int], None]) -> dict[bytes, Entry]:
    members = Members()
    seen = 0
    bounded = cast("IO[bytes]", _Bounded(file))
    with tarfile.open(fileobj=bounded, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        while (info := archive.next()) is not None:
            # tarfile keeps every member it has seen; nobody here asks for them again.
            archive.members = []  # type: ignore[attr-defined]  # it is not in the stubs
            seen += 1
            if seen > MAX_MEMBERS:
                raise ArchiveError(f"it has more than {MAX_MEMBERS} members: it may be a bomb")
            count(0)
            _add(members, archive, info, writer, count)
    return members.finish()


def _add(
    members: Members, archive: tarfile.TarFile, info: tarfile.TarInfo, writer: PackWriter, count: Callable[[int], None]
) -> None:
    name = os.fsencode(info.name)
    if info.isdir():
        members.add_folder(name, info.mode)
    elif info.issym():
        members.add_link(name, os.fsencode(info.linkname), modified_ns(info), replace=True)
    elif info.islnk():
        members.add_hard_link(name, os.fsencode(info.linkname), replace=True)
    elif info.isreg():
        content = archive.extractfile(info)
        assert content is not None, "a regular file has content"
        with content:
            members.add_file(name, info.mode, modified_ns(info), store(content, writer, count), replace=True)
    else:
        raise ArchiveError(f"its member {info.name!r} is a device, a FIFO or of an unknown type")
