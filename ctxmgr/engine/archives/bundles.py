"""Packs: the files of one directory in one object of the context, as a binding's archive mode wants them.

A pack is a ``.tar.zst`` beside the files that stay single, with everything that a manifest knows of its members: names
of any bytes, modes, times to the nanosecond, symbolic links. It is told from a user's own archive by its entry
(`entries.PACK`), not by its name, and every binding sees the files and never the pack.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, cast

import zstandard

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.manifest.entries import FILE, LINK, PACK, Entry, Manifest, show
from ctxmgr.engine.manifest.errors import ArchiveError

from .streams import store
from .unpacking import modified_ns

__all__ = ["PACK_NAME", "pack", "unpack_own"]

PACK_NAME: Final = b".ctxmgr-pack.tar.zst"
_MODE: Final = 0o644
_PIECE: Final = 1 << 20
_LEVEL: Final = 3
_ENCODING: Final = "utf-8"
_ERRORS: Final = "surrogateescape"


def pack(members: Manifest, reader: BlobReader, writer: PackWriter, folder: Path, check: Callable[[], None]) -> Entry:
    """Make and store a pack.

    Args:
        members: files and links by name, without a slash; their content is stored already.
        reader: gives that content.
        writer: stores the pack; to be flushed before the entry is committed.
        folder: where the pack may lie meanwhile, without a name.
        check: called often; what it raises stops the work.
    """
    with TemporaryFile(dir=folder) as file:
        with (
            zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as packed,
            tarfile.open(
                fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, encoding=_ENCODING, errors=_ERRORS
            ) as archive,
        ):
            for name, entry in sorted(members.items()):
                if entry.kind == LINK:
                    archive.addfile(_info(name, entry))
            contents = reader.contents({name: entry for name, entry in members.items() if entry.kind == FILE})
            for name, pieces in contents:
                archive.addfile(_info(name, members[name]), _Pieces(pieces, check))
        file.seek(0)
        size, digest, chunks = store(file, writer, lambda read: check())
    latest = max(entry.mtime_ns for entry in members.values())
    return Entry(FILE, _MODE, latest, size, digest, chunks, PACK)


def unpack_own(pieces: Iterator[memoryview], writer: PackWriter, check: Callable[[], None]) -> dict[bytes, Entry]:
    """Read a pack that `pack` has made.

    Raises:
        ArchiveError: it is damaged, or of a newer version.
    """
    members: dict[bytes, Entry] = {}
    stream = zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", _Pieces(pieces, check)))
    try:
        with tarfile.open(fileobj=stream, mode="r|", encoding=_ENCODING, errors=_ERRORS) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it is not in the stubs
                name = info.name.encode(_ENCODING, _ERRORS)
                if b"/" in name or name in (b"", b".", b".."):
                    raise ArchiveError(f"{show(name)} in it is no name of a file")
                if info.issym():
                    target = info.linkname.encode(_ENCODING, _ERRORS)
                    members[name] = Entry(LINK, info.mode, modified_ns(info), target=target)
                    continue
                content = archive.extractfile(info)
                if content is None:
                    raise ArchiveError(f"{show(name)} in it is neither a file nor a link")
                size, digest, chunks = store(content, writer)
                members[name] = Entry(FILE, info.mode, modified_ns(info), size, digest, chunks)
    except (tarfile.TarError, zstandard.ZstdError) as error:
        raise ArchiveError(f"it is damaged: {error}") from error
    return members


def _info(name: bytes, entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name.decode(_ENCODING, _ERRORS))
    info.mode = entry.mode
    info.size = entry.size
    seconds, nanoseconds = divmod(entry.mtime_ns, 10**9)
    sign, whole, rest = (
        ("-", -seconds - 1, 10**9 - nanoseconds) if seconds < 0 and nanoseconds else ("", seconds, nanoseconds)
    )
    info.pax_headers = {"mtime": f"{sign}{whole}.{rest:09}"}
    if entry.kind == LINK:
        info.type = tarfile.SYMTYPE
        info.linkname = entry.target.decode(_ENCODING, _ERRORS)
    return info


class _Pieces:
    """An iterator of pieces as a file to read from."""

    def __init__(self, pieces: Iterator[memoryview], check: Callable[[], None]) -> None:
        self._pieces = pieces
        self._check = check
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        parts = []
        left = size if size >= 0 else _PIECE
        while left:
            if not self._rest:
                self._check()
                self._rest = next(self._pieces, memoryview(b""))
                if not self._rest:
                    break
            part = self._rest[:left]
            parts.append(part)
            self._rest = self._rest[len(part) :]
            left -= len(part)
        return b"".join(parts)
