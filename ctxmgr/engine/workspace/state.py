"""What a workspace had at its last sync, in one file on the node: the next plan's base and a cache of digests."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import zstandard

from ctxmgr.engine.manifest.entries import Entry, Fingerprint

from .durable import replace_durably

if TYPE_CHECKING:
    pass

__all__ = ["WorkspaceState", "load_state", "save_state"]

_log = logging.getLogger(__name__)

_MAGIC: Final = b"ctxmgr-state-1\n"


class WorkspaceState(msgspec.Struct, array_like=True):
    """What a workspace and its context had in common when they were last synced.

    Attributes:
        revision: the context's head revision that was seen then; 0 before the first sync.
        files: each path's entry, and the fingerprint under which the workspace's content is known to be that entry;
            ``None`` where it has to be read to know.
        told: the ignore rules of which a sync has said that the context holds something they exclude.
    """

    revision: int = 0
    files: dict[bytes, tuple[Entry, Fingerprint | None]] = {}
    told: list[str] = []

    def base(self) -> dict[bytes, Entry]:
        """Return the entries alone."""
        return {path: entry for path, (entry, _) in self.files.items()}


_decode = msgspec.msgpack.Decoder(WorkspaceState).decode
_encode = msgspec.msgpack.Encoder().encode


def load_state(file: Path) -> WorkspaceState:
    """Read a workspace's state.

    A state that is missing or can't be read is an empty one: then nothing counts as deleted, both versions of a path
    that differs are kept, and only time is lost.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return WorkspaceState()
    except OSError as error:
        _log.warning("The workspace state %s can't be read; it is taken as empty: %s", file, error)
        return WorkspaceState()
    if not data.startswith(_MAGIC):
        _log.warning("The workspace state %s is of another version or damaged; it is taken as empty", file)
        return WorkspaceState()
    try:
        return _decode(zstandard.ZstdDecompressor().decompress(data[len(_MAGIC) :]))
    except (zstandard.ZstdError, msgspec.DecodeError, MemoryError) as error:
        _log.warning("The workspace state %s is damaged; it is taken as empty: %s", file, error)
        return WorkspaceState()


def save_state(file: Path, state: WorkspaceState) -> None:
    """Replace a workspace's state, durably and at once: after a crash the file holds the old one or the new one."""
    packed = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(_encode(state))
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(file, _MAGIC + packed, unfinished=file.with_name(file.name + ".new"))
