"""What the archives of a context hold: read once, and then known by the digest of their content.

What is known is a cache in the data folder: files that can be removed at any time. The members' content is stored as
that of any file is; who removes chunks from the store that no revision needs has to empty this cache first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import msgspec
import zstandard

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.content.store import ChunkIndex, PackStore
from ctxmgr.engine.manifest.entries import PACK, Entry, Manifest
from ctxmgr.engine.manifest.errors import ArchiveError

from .bundles import pack, unpack_own
from .unpacking import suffix_of, unpack

__all__ = ["Archives"]

KEPT_SECONDS: Final = 30 * 24 * 3600
SECONDS_BETWEEN_LOOKS: Final = 3600
_OWN: Final = b".pack"


class _Known(msgspec.Struct, array_like=True):
    """What is known of an archive: its members, or why it is not unpacked."""

    members: dict[bytes, Entry]
    refusal: str = ""
    version: int = 1


_decode = msgspec.msgpack.Decoder(_Known).decode
_encode = msgspec.msgpack.Encoder().encode


class Archives:
    """Reads archives and makes packs, in the stores of one data folder."""

    def __init__(self, folder: Path, store: PackStore, index: ChunkIndex) -> None:
        """Keep what is known, and what is being read, in a folder; it is made when it is needed."""
        self._folder = folder
        self._store = store
        self._index = index
        self._looked = -float(SECONDS_BETWEEN_LOOKS)

    def members(self, path: bytes, archive: Entry, check: Callable[[], None]) -> dict[bytes, Entry]:
        """Return the members of a pack or, where its name says that it is one, of a user's archive.

        Args:
            path: the archive's.
            archive: its entry.
            check: called often; what it raises stops the work.

        Returns:
            the members by path, with all directories; their content is stored.

        Raises:
            ArchiveError: it can't be unpacked, or must not be.
        """
        suffix = _OWN if archive.target == PACK else suffix_of(path)
        file = self._folder / f"{archive.digest.hex()}{os.fsdecode(suffix)}"
        known = _load(file)
        if known is None:
            known = self._read(path, archive, suffix, check)
            self._keep(file, known)
        if known.refusal:
            raise ArchiveError(known.refusal)
        return known.members

    def pack(self, members: Manifest, writer: PackWriter, check: Callable[[], None]) -> Entry:
        """Make a pack, as `bundles.pack`, and remember what is in it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        entry = pack(members, BlobReader(self._store, self._index), writer, self._folder, check)
        self._keep(self._folder / f"{entry.digest.hex()}{os.fsdecode(_OWN)}", _Known(dict(members)))
        return entry

    def forget_old(self) -> None:
        """Forget what nobody has asked for in a month; looked for once an hour, however often this is called."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        oldest = time.time() - KEPT_SECONDS
        with suppress(FileNotFoundError), os.scandir(self._folder) as files:
            for file in files:
                with suppress(FileNotFoundError):
                    if file.stat().st_mtime < oldest:
                        os.unlink(file.path)

    def _read(self, path: bytes, archive: Entry, suffix: bytes, check: Callable[[], None]) -> _Known:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        writer = PackWriter(self._store, self._index)
        ((_, pieces),) = BlobReader(self._store, self._index).contents({path: archive})
        known = _Known({})
        if suffix == _OWN:
            known.members = unpack_own(pieces, writer, check)
        else:
            try:
                known.members = unpack(pieces, suffix, writer, self._folder, check)
            except ArchiveError as error:
                known.refusal = str(error)
        # What is known is kept by the archive's digest, which is compared at the last piece.
        for _ in pieces:
            check()
        writer.flush()
        return known

    def _keep(self, file: Path, known: _Known) -> None:
        with NamedTemporaryFile(dir=self._folder, delete=False) as unfinished:
            try:
                unfinished.write(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(_encode(known)))
                unfinished.flush()
                os.replace(unfinished.name, file)
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished.name)
                raise


def _load(file: Path) -> _Known | None:
    try:
        known = _decode(zstandard.ZstdDecompressor().decompress(file.read_bytes()))
    except (OSError, zstandard.ZstdError, msgspec.DecodeError, MemoryError):
        return None
    with suppress(OSError):
        os.utime(file)
    return known if known.version == 1 else None
