"""Packs as files of a folder: where each lies, and what shows that it is as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["PREFIX", "Stamp", "pack_key", "stamp_of"]

PREFIX: Final = "packs"


class Stamp(NamedTuple):
    """What shows, without reading a pack, that it is as it was: its size and the time of its last change.

    For a local file the time is the inode's, which no program can set back.
    """

    size: int
    changed_ns: int


def pack_key(name: str) -> str:
    """Return where a pack of that name lies in a store, as a path with slashes."""
    return f"{PREFIX}/{name[:2]}/{name}"


def stamp_of(folder: Path, name: str) -> Stamp:
    """Return the stamp of a pack in a folder.

    Raises:
        OSError: it can't be looked at; ``FileNotFoundError`` where it is not there.
    """
    status = os.stat(folder / pack_key(name))
    return Stamp(status.st_size, status.st_ctime_ns)
