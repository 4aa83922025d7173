"""Stores again, from a workspace, content that an upload relies on and that was lost or damaged meanwhile.

No success rests on content that is gone: what the context has is asked for as a whole, what the upload adds by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.entries import PACK, Entry, Manifest, parent, show
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.scan import Scan, store_files

from .port import ContextStore
from .projection import Origins

__all__ = ["Healing"]

logger: Final = logging.getLogger(__name__)


class Healing:
    """Heals what one upload relies on, as far as its workspace has it. What only other workspaces have they heal."""

    def __init__(
        self, store: ContextStore, context_id: str, directory: str, found: Scan, check: Callable[[], None]
    ) -> None:
        """Heal from a workspace.

        Args:
            store: keeps the context.
            context_id: the context.
            directory: the workspace's.
            found: what it has.
            check: called often; what it raises stops the work.
        """
        self._store = store
        self._context_id = context_id
        self._directory = directory
        self._found = found
        self._check = check

    def ensure_head(self, origins: Origins) -> None:
        """Make sure that the content of what the context holds is stored; otherwise as `ensure`."""
        lost = self._store.lost(self._context_id, origins.paths)
        if lost:
            self._heal(lost, [item for rows in origins.rows for item in rows.items()])

    def ensure(self, entries: Manifest, stored: Collection[bytes] = ()) -> None:
        """Make sure that the content of entries is stored.

        Args:
            entries: what the context has in its archives, or is about to have.
            stored: the chunks that this upload has stored, or found to be stored, itself.

        Raises:
            ContentError: content that the upload relies on is lost, and can't be stored again.
            WorkspaceChanged: a file is not what the scan saw any more.
        """
        wanted = {digest for entry in entries.values() for digest in entry.chunks}.difference(stored)
        if wanted and (lost := self._store.content.missing(wanted)):
            self._heal(lost, entries.items())

    def _heal(self, lost: set[bytes], relied_on: Iterable[tuple[bytes, Entry]]) -> None:
        local = {path: entry for path, entry in self._found.manifest.items() if not lost.isdisjoint(entry.chunks)}
        if local:
            logger.warning(
                "the content of %s was lost or damaged in the data folder: %d files are stored again",
                show(next(iter(local))),
                len(local),
            )
            writer = PackWriter(self._store.content)
            store_files(self._directory, self._found, local, writer, progress=lambda files, size: self._check())
            writer.flush()
        lost = lost.difference(*(entry.chunks for entry in local.values()))
        if not lost:
            return
        # A file that the workspace has as the context has it is healed; one that it has otherwise is replaced, or is
        # another workspace's. But files that are kept in a pack are in no file as they are stored.
        packed = {parent(path) for path in self._found.manifest}
        for path, entry in relied_on:
            if entry.target == PACK and parent(path) in packed and not lost.isdisjoint(entry.chunks):
                raise ContentError(
                    f"the content of {show(path)} is lost or damaged in the data folder, and the workspace does not "
                    "hold it as it was stored: restore the data folder's blobs from a backup, or sync to a new context"
                )
