"""An upload of a directory that is as its last sync left it, without what a service needs for all others.

It is said to be done on the same evidence as by `engine.sync.narrow`: the context's head is the revision of the
workspace's state, the packs are whole, and every directory of the workspace has its print; and in the transaction that
records it, everything in the catalog is as it was before the workspace was looked at. Whatever is not plain is left to
the service.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.engine.policy.policy import read_policy
from ctxmgr.engine.sync.options import SyncOptions
from ctxmgr.engine.sync.place import Place, place_of
from ctxmgr.engine.workspace.prints import has_prints
from ctxmgr.engine.workspace.state import load_state
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog.repeats import Labels, Repeats, Standing
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.storage.marker import has_marker
from ctxmgr.service.storage.packfiles import stamp_of

__all__ = ["repeat_upload"]

_ACCOUNT = "local"
_MOUNT = "/"
_OPTIONS = SyncOptions(guard=True)


def repeat_upload(data: str, directory: str, name: str, labels: Labels) -> int | None:
    """Carry out an upload in which nothing has to be done, and record it.

    Args:
        data: the data folder, with catalog and content in it.
        directory: the real path of what is uploaded, all of it and with no choices but the guard against mass deletion.
        name: of the context.
        labels: those of the session that is kept for both.

    Returns:
        the context's revision; None where more has to be looked at: then nothing is recorded.
    """
    root = Path(os.path.realpath(data))
    folder = DataFolder(root, root)
    with suppress(OSError, ValueError, sqlite3.Error, ServiceError, WorkspaceError):
        if not has_marker(root) or stat.S_IMODE(folder.catalog.stat().st_mode) & 0o077:
            return None
        with Repeats.opened(folder.catalog, _ACCOUNT) as repeats:
            standing = repeats.standing(name, labels)
            if standing is None or standing.root != directory:
                return None
            policy, _ = read_policy(standing.policy, _MOUNT)
            place = place_of(folder, standing.context_id, _MOUNT, _MOUNT, policy, directory, _OPTIONS)
            files = _files_in_step(folder, place, standing, repeats)
            if files is None:
                return None
            delete, options = policy.sync_local_file, _OPTIONS.text()
            if repeats.record(standing, name, labels, delete=delete, options=options, files=files):
                return standing.head
    return None


def _files_in_step(folder: DataFolder, place: Place, standing: Standing, repeats: Repeats) -> int | None:
    """Return how many files there are, if workspace and context have exactly the same; else None."""
    if folder.workspace_journal(place.directory).exists():
        return None
    known = load_state(place.state)
    packs = place.packs_of(known)
    if packs is None or (known.revision, known.key) != (standing.head, standing.key):
        return None
    if not all(repeats.proof(pack) == stamp_of(folder.blobs, pack) for pack in packs):
        return None
    return known.count if has_prints(place.directory, known.root, known.prints) else None
