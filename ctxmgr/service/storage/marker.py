"""The marker that says that a folder is a data folder, and of which format."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from ctxmgr.engine.workspace.durable import replace_durably
from ctxmgr.engine.workspace.nodefolder import NODE_FOLDER
from ctxmgr.errors import DataFolderError

__all__ = ["FORMAT", "check_marker", "has_marker"]

FORMAT = 1
MARKER = "ctxmgr.json"


def has_marker(root: Path) -> bool:
    """Whether a folder is marked as a data folder of a format that is known here.

    Raises:
        OSError: that can't be read.
    """
    try:
        _check_format(root, (root / MARKER).read_bytes())
    except (FileNotFoundError, DataFolderError):
        return False
    return True


def check_marker(root: Path) -> None:
    """Check that a folder is a data folder, and make an empty one into one.

    Raises:
        DataFolderError: it holds something else, or is of a newer format.
        OSError: it can't be used.
    """
    try:
        text = (root / MARKER).read_bytes()
    except PermissionError as error:
        raise DataFolderError(
            f"the data folder {str(root)!r} can't be read: {MARKER} in it belongs to another user; use it as that one"
        ) from error
    except FileNotFoundError:
        # Another process may be making this folder at this moment, or was killed while it did: its marker's temporary
        # name is the first thing written, so nothing else excuses a folder that is not empty.
        strangers = sorted(name for name in os.listdir(root) if not name.startswith(MARKER) and name != NODE_FOLDER)
        if strangers and not (root / MARKER).exists():
            raise DataFolderError(
                f"{str(root)!r} is not a ctxmgr data folder: it holds {strangers[0]!r} and no {MARKER}; "
                "choose an empty or a new folder"
            ) from None
        if not strangers:
            _write_marker(root)
        text = (root / MARKER).read_bytes()
    _check_format(root, text)


def _check_format(root: Path, text: bytes) -> None:
    try:
        document = json.loads(text)
        number = document["format"] if isinstance(document, dict) else None
    except (ValueError, KeyError, RecursionError):
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise DataFolderError(
            f"{str(root / MARKER)!r} is damaged: it should say which format the data folder has, and says "
            f"{text[:80]!r}. Restore it from a backup, or name another data folder"
        )
    if number > FORMAT:
        raise DataFolderError(
            f"the data folder {str(root)!r} has format {number}, and this version of ctxmgr knows up to {FORMAT}: "
            "use the newer ctxmgr that wrote it"
        )


def _write_marker(root: Path) -> None:
    marker = json.dumps({"format": FORMAT}).encode() + b"\n"
    replace_durably(root / MARKER, marker, unfinished=root / f"{MARKER}.{secrets.token_hex(8)}")
