"""What is known of archives that were read once: files that can be removed at any time.

The members' content is stored as that of any file is, but no revision refers to it: it may be gone again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import msgspec
import zstandard
from blake3 import blake3

from ctxmgr.engine.manifest.entries import Entry

__all__ = ["ArchiveCache", "KnownArchive"]

KEPT_SECONDS: Final = 30 * 24 * 3600
SECONDS_BETWEEN_LOOKS: Final = 3600


class KnownArchive(msgspec.Struct, array_like=True):
    """What is known of an archive: its members, or why it is not unpacked."""

    members: dict[bytes, Entry]
    refusal: str = ""
    version: int = 1


_decode = msgspec.msgpack.Decoder(KnownArchive).decode
_encode = msgspec.msgpack.Encoder().encode


class ArchiveCache:
    """A folder of what is known of archives; it is made when it is needed, and may be shared by many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._looked = -float(SECONDS_BETWEEN_LOOKS)

    def load(self, owner: str, digest: bytes, suffix: bytes) -> KnownArchive | None:
        """Return what is known of an archive; None for nothing.

        Args:
            owner: names whose content that is. What is known for another is not told: its members lie elsewhere.
            digest: the archive's.
            suffix: the end of its name, which says how it is read.
        """
        file = self._file(owner, digest, suffix)
        try:
            known = _decode(zstandard.ZstdDecompressor().decompress(file.read_bytes()))
        except (OSError, zstandard.ZstdError, msgspec.DecodeError, MemoryError):
            return None
        with suppress(OSError):
            os.utime(file)
        return known if known.version == 1 else None

    def keep(self, owner: str, digest: bytes, suffix: bytes, known: KnownArchive) -> None:
        """Keep what is known of an archive."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with NamedTemporaryFile(dir=self.folder, delete=False) as unfinished:
            try:
                unfinished.write(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(_encode(known)))
                unfinished.flush()
                os.replace(unfinished.name, self._file(owner, digest, suffix))
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished.name)
                raise

    def forget_old(self) -> None:
        """Forget what nobody has asked for in a month; looked for once an hour, however often this is called."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        oldest = time.time() - KEPT_SECONDS
        with suppress(FileNotFoundError), os.scandir(self.folder) as files:
            for file in files:
                with suppress(FileNotFoundError):
                    if file.stat().st_mtime < oldest:
                        os.unlink(file.path)

    def _file(self, owner: str, digest: bytes, suffix: bytes) -> Path:
        return self.folder / (blake3(owner.encode() + b"\0" + digest).hexdigest() + os.fsdecode(suffix))
