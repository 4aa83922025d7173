"""What the archives of a context hold: read once, and then known by the digest of their content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.content.store import ContentStore
from ctxmgr.engine.manifest.entries import PACK, Entry, Manifest
from ctxmgr.engine.manifest.errors import ArchiveError

from .bundles import pack, unpack_own
from .cache import ArchiveCache, KnownArchive
from .unpacking import suffix_of, unpack

__all__ = ["Archives"]

_OWN: Final = b".pack"


class Archives:
    """Reads archives and makes packs, in one content store."""

    def __init__(self, cache: ArchiveCache, content: ContentStore, owner: str) -> None:
        """Use a content store.

        Args:
            cache: keeps what is known; in its folder lies what is being read.
            content: where the archives and their members lie.
            owner: names whose content that is, among all who share the cache.
        """
        self._cache = cache
        self._content = content
        self._owner = owner

    def members(self, path: bytes, archive: Entry, check: Callable[[], None]) -> dict[bytes, Entry]:
        """Return the members of a pack or, where its name says that it is one, of a user's archive.

        Args:
            path: the archive's.
            archive: its entry.
            check: called often; what it raises stops the work.

        Returns:
            the members by path, with all directories; their content is stored.

        Raises:
            ArchiveError: it can't be unpacked, or must not be.
        """
        suffix = _OWN if archive.target == PACK else suffix_of(path)
        known = self._cache.load(self._owner, archive.digest, suffix)
        if known is None or not self._is_stored(known):
            known = self._read(path, archive, suffix, check)
            self._cache.keep(self._owner, archive.digest, suffix, known)
        if known.refusal:
            raise ArchiveError(known.refusal)
        return known.members

    def _is_stored(self, known: KnownArchive) -> bool:
        """Whether the members' content is still there: no revision refers to it, so it is removed now and then."""
        wanted = {digest for entry in known.members.values() for digest in entry.chunks}
        return not wanted or not self._content.missing(wanted)

    def pack(self, members: Manifest, writer: PackWriter, check: Callable[[], None]) -> Entry:
        """Make a pack, as `bundles.pack`, and remember what is in it."""
        self._cache.folder.mkdir(mode=0o700, exist_ok=True)
        entry = pack(members, BlobReader(self._content), writer, self._cache.folder, check)
        self._cache.keep(self._owner, entry.digest, _OWN, KnownArchive(dict(members)))
        return entry

    def _read(self, path: bytes, archive: Entry, suffix: bytes, check: Callable[[], None]) -> KnownArchive:
        self._cache.folder.mkdir(mode=0o700, exist_ok=True)
        writer = PackWriter(self._content)
        ((_, pieces),) = BlobReader(self._content).contents({path: archive})
        known = KnownArchive({})
        if suffix == _OWN:
            known.members = unpack_own(pieces, writer, check)
        else:
            try:
                known.members = unpack(pieces, suffix, writer, self._cache.folder, check)
            except ArchiveError as error:
                known.refusal = str(error)
        # What is known is kept by the archive's digest, which is compared at the last piece.
        for _ in pieces:
            check()
        writer.flush()
        return known
