"""The name that a workspace's upload is recorded under, noted beside its state before the upload is committed.

Whoever finds a state that is older than its upload, since the process died in between, learns by the name what was
uploaded. It is made for one upload and forgotten with its state, so that of two workspaces with the same path and the
same state, on two machines or one a copy of the other, neither takes for its own what the other has uploaded. What
stands before its dot names the directory and its binding, for people, and is the same for all their uploads.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from ctxmgr.errors import DataFolderError
from ctxmgr.oserrors import described

from .durable import owner_only

__all__ = ["SUFFIX", "forget_name", "made_name", "noted_name", "workspace_of"]

SUFFIX: Final = ".upload"
_NAME: Final = re.compile(r"[0-9a-f]{30}\.[0-9a-f]{32}")


def noted_name(state: Path) -> str:
    """Return the name of an upload that may have ended without its state; "" if there is none.

    Args:
        state: the state's file.
    """
    with suppress(OSError, UnicodeDecodeError):
        name = state.with_suffix(SUFFIX).read_text("ascii")
        return name if _NAME.fullmatch(name) else ""
    return ""


def made_name(state: Path) -> str:
    """Return the name for an upload that is about to be committed; what is noted already stays until there is a state.

    Raises:
        DataFolderError: it can't be noted.
    """
    name = noted_name(state)
    if name:
        return name
    name = f"{blake2b(state.stem.encode(), digest_size=15).hexdigest()}.{secrets.token_hex(16)}"
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        # Not synced to the disk: after a power cut, what was uploaded then counts as uploaded by another.
        with open(state.with_suffix(SUFFIX), "w", encoding="ascii", opener=owner_only) as file:
            file.write(name)
    except OSError as error:
        text = f"can't note in {str(state.parent)!r} what is about to be uploaded: {described(error)}"
        raise DataFolderError(text) from error
    return name


def forget_name(state: Path) -> None:
    """Forget the name of an upload that a state tells of."""
    state.with_suffix(SUFFIX).unlink(missing_ok=True)


def workspace_of(name: str) -> str:
    """Return what the names of all uploads from one directory and binding begin with."""
    return name.partition(".")[0]
