"""A data folder that can't be written, opened for reading: a temporary folder stands in for all that a service writes.

It has a copy of the catalog, in which sessions and tasks come and go as ever and nothing that is kept can be changed,
and copies of what workspaces had at their last sync. Packs are read where they are. So a disk that is full, or mounted
read-only, keeps nobody from restoring what is on it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctxmgr.engine.workspace.uploadname import SUFFIX
from ctxmgr.errors import DataFolderError
from ctxmgr.service import forks

if TYPE_CHECKING:
    from .datafolder import DataFolder

__all__ = ["make_stand_in"]

logger: Final = logging.getLogger(__name__)

_MEMORY: Final = "/dev/shm"  # noqa: S108  # mkdtemp makes the folder in it


def make_stand_in(folder_class: type[DataFolder], source: Path, problem: str) -> DataFolder:
    """Open a data folder for reading.

    Args:
        folder_class: makes what is returned.
        source: the folder.
        problem: why it can't be written.

    Raises:
        DataFolderError: it can't be read either, or there is no place for what stands in.
    """
    if not (source / "catalog.db").exists():
        raise DataFolderError(f"{problem}, and it has no catalog that could be read")
    failure: Exception | None = None
    for place in _places(source):
        try:
            folder = folder_class(Path(tempfile.mkdtemp(prefix="ctxmgr-", dir=place)), source, problem)
        except OSError as error:
            failure = error
            continue
        try:
            folder.make_places()
            with forks.transaction():
                _copy_catalog(source / "catalog.db", folder.catalog)
            with suppress(FileNotFoundError):
                shutil.copyfile(source / folder.url_key.name, folder.url_key)
            for suffix in (".state", SUFFIX):
                for state in (source / folder.workspaces.name).glob(f"*{suffix}"):
                    shutil.copyfile(state, folder.workspaces / state.name)
        except (OSError, sqlite3.Error) as error:
            failure = error
            folder.close()
            continue
        logger.warning("%s: it is open for reading only", problem)
        return folder
    raise DataFolderError(f"{problem}, and it can't be read either: {failure}")


def _places(source: Path) -> Iterator[str]:
    """Name the directories for temporary files; those on a disk that is full come last."""
    temporary = tempfile.gettempdir()
    places = [place for place in (temporary, _MEMORY) if os.path.isdir(place)]
    return iter(sorted(places, key=lambda place: os.stat(place).st_dev == source.stat().st_dev))


def _copy_catalog(source: Path, copy: Path) -> None:
    try:
        read_only = f"{source.as_uri()}?mode=ro"
        with closing(sqlite3.connect(read_only, uri=True)) as found, closing(sqlite3.connect(copy)) as target:
            found.backup(target)
    except sqlite3.Error:
        # SQLite can't read a database with a log where it can write nothing beside it. Nobody else can write it either.
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{source}{suffix}", f"{copy}{suffix}")
    with closing(sqlite3.connect(copy)) as target, target:
        # What other processes do is not seen from here: nobody must wait for it, or take it over.
        for forgotten in ("DELETE FROM nodes", "DELETE FROM tasks WHERE finished_ms IS NULL"):
            target.execute(forgotten)
