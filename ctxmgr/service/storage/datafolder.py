"""The data folder: where a service keeps everything it has, and the marker that says the folder is ours."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.errors import DataFolderError
from ctxmgr.oserrors import described

from .marker import check_marker

__all__ = ["DataFolder"]

PROBE_SIZE = 256 << 10
"""Bytes that a service needs at least, for its catalog's log."""


@dataclass(frozen=True)
class DataFolder(NodeFolder):
    """The places inside one data folder.

    Attributes:
        root: where everything is, or what stands in for it where that can't be written.
        source: where the content is.
        unwritable: why the folder can't be written; "" where it can.
    """

    source: Path
    unwritable: str = ""

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> DataFolder:
        """Open a data folder, and make it where there is none.

        One that can't be written is opened for reading: see ``standin``.

        Raises:
            DataFolderError: the folder holds something else, is of a newer format, or can't be made or read.
        """
        root = Path(os.path.realpath(os.path.expanduser(folder)))
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_marker(root)
            if problem := _what_keeps_from_writing(root):
                from .standin import make_stand_in

                return make_stand_in(cls, root, problem)
            opened = cls(root, root)
            opened.make_places()
        except FileExistsError as error:
            raise DataFolderError(
                f"{str(error.filename)!r} is a file, and a directory is needed: name another data folder"
            ) from error
        except OSError as error:
            about = f"{error.filename!r}: " if error.filename else ""
            raise DataFolderError(f"can't use {str(root)!r} as a data folder: {about}{described(error)}") from error
        return opened

    def make_places(self) -> None:
        """Make the directories that are missing, and keep them to their owner."""
        for place in (self.blobs, self.locks, self.nodes, self.sessions, self.workspaces):
            place.mkdir(mode=0o700, exist_ok=True)
            with suppress(PermissionError):
                if stat.S_IMODE(place.stat().st_mode) & 0o077:
                    place.chmod(0o700)

    def holds_packs(self) -> bool:
        """Whether content is stored here."""
        return next((self.blobs / "packs").glob("??/*"), None) is not None

    def close(self) -> None:
        """Remove what stood in for a folder that can't be written."""
        if self.unwritable:
            shutil.rmtree(self.root, ignore_errors=True)

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.db"

    @property
    def blobs(self) -> Path:
        return self.source / "blobs"

    @property
    def nodes(self) -> Path:
        return self.root / "nodes"

    @property
    def sessions(self) -> Path:
        return self.root / "sessions"

    @property
    def staged(self) -> Path:
        return self.root / "staged"

    @property
    def url_key(self) -> Path:
        return self.root / "url.key"


def _what_keeps_from_writing(root: Path) -> str:
    """Return why a data folder can't be written; "" where it can."""
    try:
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(bytes(PROBE_SIZE))
            probe.flush()
    except OSError as error:
        return f"{str(root)!r} can't be written: {error.strerror}"
    catalog = root / "catalog.db"
    if catalog.exists() and not os.access(catalog, os.W_OK):
        return f"{str(catalog)!r} can't be written by this user"
    return ""
