"""The folder of a node: what it remembers of the directories it has synced, and who this machine is."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from ctxmgr.engine.workspace.durable import owner_only
from ctxmgr.errors import DataFolderError
from ctxmgr.oserrors import described

__all__ = ["machine_id", "made"]

_PLACES: Final = ("archives", "locks", "manifests", "workspaces")
_MACHINE: Final = "machine"


def made(folder: str | os.PathLike[str]) -> Path:
    """Return a node's folder with its places, made if it does not exist.

    Raises:
        DataFolderError: it can't be.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in _PLACES:
            (path / name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(path, error) from error
    return path


def machine_id(folder: Path) -> str:
    """Return the name that this folder, and so this user on this machine, keeps; made when it is first asked for.

    Raises:
        DataFolderError: it can't be.
    """
    file = folder / _MACHINE
    try:
        with suppress(FileNotFoundError):
            return file.read_text("ascii")
        unfinished = folder / f"{_MACHINE}-{secrets.token_hex(8)}"
        with open(unfinished, "x", opener=owner_only) as new:
            new.write(f"machine-{secrets.token_hex(16)}")
            new.flush()
            os.fsync(new.fileno())
        try:
            os.link(unfinished, file)  # of two that do this at the same moment, the first wins
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
        return file.read_text("ascii")
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> DataFolderError:
    text = f"can't keep in {str(folder)!r} what is to be remembered of what is synced here: {described(error)}"
    return DataFolderError(f"{text}; or name another data folder in CTXMGR_HOME")
