"""What contexts held when this node last looked: kept, so that only what changed since has to travel."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from ctxmgr.engine.manifest.entries import Entry
from ctxmgr.engine.workspace.durable import owner_only

__all__ = ["Known", "Manifests"]

_log = logging.getLogger("ctxmgr")

KEPT_SECONDS: Final = 30 * 24 * 3600
_SUFFIX: Final = ".manifest"


class Known(msgspec.Struct, array_like=True):
    """What a context held below some paths at one revision.

    Attributes:
        head: the revision; 0 where nothing is known.
        key: tells whether the service's revision of that number is still this one.
        rows: by path, in their order, the entries that are rows of the context.
    """

    head: int
    key: str
    rows: list[dict[bytes, Entry]]
    version: int = 1

    @classmethod
    def nothing(cls, paths: Sequence[str]) -> Known:
        """Return what is known of paths that nobody has looked at."""
        return cls(0, "", [{} for _ in paths])


_decode = msgspec.msgpack.Decoder(Known).decode
_encode = msgspec.msgpack.Encoder().encode


class Manifests:
    """A cache in a folder: its files may be removed at any time, and one that can't be read is as good as none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, context_id: str, paths: Sequence[str]) -> Known:
        """Return what is known of a context."""
        file = self._file(context_id, paths)
        try:
            packed = file.read_bytes()
            os.utime(file)
            known = _decode(zstandard.ZstdDecompressor().decompress(packed))
        except FileNotFoundError:
            return Known.nothing(paths)
        except (OSError, zstandard.ZstdError, msgspec.DecodeError, MemoryError) as error:
            _log.warning("what is remembered of a context in %s can't be read, and is fetched anew: %s", file, error)
            return Known.nothing(paths)
        return known if len(known.rows) == len(paths) else Known.nothing(paths)

    def save(self, context_id: str, paths: Sequence[str], known: Known) -> None:
        """Remember what a context holds. That this can't be done costs time, and nothing else."""
        packed = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(_encode(known))
        file = self._file(context_id, paths)
        unfinished = file.with_name(f"{secrets.token_hex(8)}.new")
        try:
            # Not synced to the disk: what a power cut leaves fails its checksum.
            with open(unfinished, "wb", opener=owner_only) as new:
                new.write(packed)
            os.replace(unfinished, file)
        except OSError as error:
            _log.warning("what a context holds can't be remembered in %s: %s", self._folder, error)
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Remove what nobody has asked for in a long time, and what was left unfinished."""
        horizon = time.time() - KEPT_SECONDS
        for file in self._folder.iterdir():
            with suppress(OSError):
                if file.stat().st_mtime < horizon:
                    file.unlink()

    def _file(self, context_id: str, paths: Sequence[str]) -> Path:
        digest = blake2b(digest_size=20)
        for part in (context_id, *paths):
            encoded = os.fsencode(part)
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return self._folder / f"{digest.hexdigest()}{_SUFFIX}"
