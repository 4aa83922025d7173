"""Makes sure that the content an upload relies on is stored, and stores again what was lost or damaged meanwhile.

A pack whose stamp is the one it was stored or last read with is whole. Any other is read and compared with its name, so
that an upload which finds nothing changed costs one look at each pack, and no success rests on content that is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.content.packs import Pack, Stamp
from ctxmgr.engine.content.store import ChunkIndex, PackStore
from ctxmgr.engine.manifest.entries import PACK, Manifest, parent, show
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.scan import Scan, store_files

__all__ = ["Healing"]

logger: Final = logging.getLogger(__name__)


class Healing:
    """What one upload knows of the packs it relies on; each is looked at once."""

    def __init__(
        self,
        store: PackStore,
        index: ChunkIndex,
        directory: str,
        found: Scan,
        check: Callable[[], None],
    ) -> None:
        """Heal from a workspace.

        Args:
            store, index: where the content is.
            directory: the workspace's.
            found: what it has.
            check: called often; what it raises stops the work.
        """
        self._store = store
        self._index = index
        self._directory = directory
        self._found = found
        self._check = check
        self._whole: set[str] = set()
        self._damaged: set[str] = set()

    def ensure(self, entries: Manifest) -> None:
        """Make sure that the content of entries is stored, as far as the workspace has it too.

        Args:
            entries: what the context has, or is about to have. What only other workspaces have is theirs to heal.

        Raises:
            ContentError: content that the upload relies on is lost, and can't be stored again.
            WorkspaceChanged: a file is not what the scan saw any more.
        """
        lost = self._lost(entries)
        if not lost:
            return
        local = {path: entry for path, entry in self._found.manifest.items() if not lost.isdisjoint(entry.chunks)}
        if local:
            logger.warning(
                "the content of %s was lost or damaged in the data folder: %d files are stored again",
                show(next(iter(local))),
                len(local),
            )
            writer = PackWriter(self._store, self._index, distrusted=frozenset(self._damaged))
            store_files(self._directory, self._found, local, writer, progress=lambda files, size: self._check())
            writer.flush()
            self._whole.clear()
            self._damaged.clear()
        lost = lost.difference(*(entry.chunks for entry in local.values()))
        if not lost:
            return
        # A file that the workspace has as the context has it is healed; one that it has otherwise is replaced, or is
        # another workspace's. But files that are kept in a pack are in no file as they are stored.
        packed = {parent(path) for path in self._found.manifest}
        for path, entry in entries.items():
            if entry.target == PACK and parent(path) in packed and not lost.isdisjoint(entry.chunks):
                raise ContentError(
                    f"the content of {show(path)} is lost or damaged in the data folder, and the workspace does not "
                    "hold it as it was stored: restore the data folder's blobs from a backup, or sync to a new context"
                )

    def _lost(self, entries: Manifest) -> set[bytes]:
        wanted = {digest for entry in entries.values() for digest in entry.chunks}
        packs, known = self._index.holders(wanted)
        self._look_at(packs)
        if known == len(wanted) and packs <= self._whole:
            return set()
        places = self._index.locate(wanted)
        damaged = {digest for digest, place in places.items() if place.pack in self._damaged}
        return wanted.difference(places) | damaged

    def _look_at(self, packs: set[str]) -> None:
        unknown = sorted(packs - self._whole - self._damaged)
        proofs = self._index.proofs(unknown)
        for name in unknown:
            self._check()
            (self._whole if self._is_whole(name, proofs) else self._damaged).add(name)

    def _is_whole(self, name: str, proofs: dict[str, Stamp]) -> bool:
        stamp = self._store.stamp(name)
        if stamp is None:
            return False
        if proofs.get(name) == stamp:
            return True
        try:
            self._store.verify(Pack(name, stamp.size))
        except ContentError:
            return False
        self._index.prove(name, stamp)
        return True
