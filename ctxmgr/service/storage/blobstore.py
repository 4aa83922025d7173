"""Where packs are stored: a local folder, or any object store obstore knows by URL."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import obstore
from blake3 import blake3
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from ctxmgr.engine.content.packs import ChunkRow, Located, table_of
from ctxmgr.engine.content.runs import runs
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.durable import replace_durably, sync_directory
from ctxmgr.oserrors import described

from .objectstore import check_process, first_line, open_store, try_out
from .packfiles import PREFIX, Stamp, pack_key, stamp_of
from .room import check_room

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["UPLOADS", "BlobStore", "Pack"]

UPLOADS: Final = "uploads"
"""Where in an object store lies what nodes have sent straight to it, until it is taken as a pack."""
_UNFINISHED: Final = "unfinished"
_AT_ONCE: Final = 3
_ABANDONED_SECONDS: Final = 24 * 3600
_HEX: Final = frozenset("0123456789abcdef")


class Pack(NamedTuple):
    """A pack that is stored: its name, which is the BLAKE3-256 of it in hexadecimal digits, and its size in bytes."""

    name: str
    size: int


class BlobStore:
    """The packs of a service. Safe to use from several threads and processes at once.

    A pack is named by its content and never changes, so storing one twice is harmless.
    """

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        """Use an object store.

        Args:
            store: where packs are listed and, without ``folder``, read and written.
            folder: the folder behind a local store. obstore renames a local object into place without an fsync, so
                that a power cut could leave half of it under its name; and its threads do not survive a fork, so that
                a child would wait for them for ever. Packs are read and written in the folder directly.
        """
        self._store = store
        self._folder = folder

    @property
    def at_once(self) -> int:
        """How many packs are best stored at the same time, see ``ContentStore``."""
        return _AT_ONCE if self._folder is None else 1

    @classmethod
    def open(cls, location: str | os.PathLike[str], *, passed: Path | None = None) -> BlobStore:
        """Open the store at a location.

        Args:
            location: a folder, made if missing, or a URL such as ``s3://bucket/prefix`` or ``memory:///``.
            passed: where it is noted that the store behind a URL has passed its trial, see ``objectstore.try_out``.

        Raises:
            ContentError: there can be no store, or it does not do what it says.
        """
        if isinstance(location, str) and "://" in location:
            store = open_store(location)
            try_out(store, location, passed)
            return cls(store)
        try:
            folder = Path(location).absolute()
            for part in (PREFIX, _UNFINISHED):
                (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(folder / _UNFINISHED)
            return cls(LocalStore(folder), folder)
        except (OSError, BaseError, ValueError) as error:
            raise ContentError(
                f"the blob store {os.fspath(location)!r} can't be opened: {_described(error)}"
            ) from error

    def put(self, name: str, data: bytes | bytearray | memoryview) -> None:
        """Store a pack; on return it is there to stay.

        Raises:
            ContentError: it could not be stored; nothing half stored is found under its name.
        """
        try:
            if self._folder is None:
                check_process()
                obstore.put(self._store, pack_key(name), data)
            else:
                _put_durably(self._folder, pack_key(name), data)
        except (OSError, BaseError) as error:
            where = "the blob store" if self._folder is None else repr(str(self._folder))
            raise ContentError(
                f"pack {name} of {len(data)} bytes can't be stored in {where}: {_described(error)}"
            ) from error

    def stamp(self, name: str) -> Stamp | None:
        """Return what shows that a pack is unchanged; ``None`` where it is not there.

        Raises:
            ContentError: the store can't be asked.
        """
        try:
            if self._folder is None:
                check_process()
                found = obstore.head(self._store, pack_key(name))
                return Stamp(found["size"], int(found["last_modified"].timestamp() * 1_000_000) * 1000)
            return stamp_of(self._folder, name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, BaseError) as error:
            raise ContentError(f"pack {name} can't be looked at: {_described(error)}") from error

    def delete(self, name: str) -> None:
        """Remove a pack; one that is not there is fine.

        Raises:
            ContentError: it can't be removed.
        """
        try:
            if self._folder is None:
                check_process()
                obstore.delete(self._store, pack_key(name))
            else:
                (self._folder / pack_key(name)).unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except (OSError, BaseError) as error:
            raise ContentError(f"pack {name} can't be removed: {_described(error)}") from error

    def read(self, name: str, start: int, end: int) -> memoryview:
        """Read the bytes of a pack from ``start`` to ``end``, exclusive.

        Raises:
            ContentError: the pack is missing, too short, or can't be read.
        """
        if start == end:
            return memoryview(b"")
        try:
            if self._folder is None:
                check_process()
                data = memoryview(obstore.get_range(self._store, pack_key(name), start=start, end=end))
            else:
                data = memoryview(_read_range(self._folder / pack_key(name), start, end))
        except FileNotFoundError as error:
            raise ContentError(f"pack {name} is missing from the blob store") from error
        except (OSError, BaseError) as error:
            raise ContentError(f"pack {name} can't be read: {_described(error)}") from error
        if len(data) != end - start:
            raise ContentError(f"pack {name} is cut off: bytes {start} to {end} gave only {len(data)}")
        return data

    def read_chunks(self, places: Sequence[Located]) -> list[memoryview]:
        """Read chunks as they are stored, in the order given; what lies together is read together.

        Raises:
            ContentError: as `read`.
        """
        found: dict[Located, memoryview] = {}
        for run in runs(sorted(set(places))):
            pack, start, *_ = run[0]
            data = self.read(pack, start, max(place.offset + place.stored for place in run))
            for place in run:
                found[place] = data[place.offset - start : place.offset - start + place.stored]
        return [found[place] for place in places]

    def packs(self) -> Iterator[Pack]:
        """List every pack that is stored, without opening any."""
        try:
            for batch in obstore.list(self._store, PREFIX):
                for item in batch:
                    name = item["path"].rpartition("/")[2]
                    if len(name) == 64 and _HEX.issuperset(name):
                        yield Pack(name, item["size"])
        except (OSError, BaseError) as error:
            raise ContentError(f"the packs can't be listed: {_described(error)}") from error

    def remove_uploads(self, until: int) -> int:
        """Remove what nodes sent straight to the store before a time, and what never was taken as a pack.

        Args:
            until: milliseconds since the epoch.

        Returns:
            how many bytes that were.

        Raises:
            ContentError: the store can't be asked.
        """
        size = 0
        try:
            for batch in obstore.list(self._store, UPLOADS):
                old = [item for item in batch if item["last_modified"].timestamp() * 1000 <= until]
                if old:
                    obstore.delete(self._store, [item["path"] for item in old])
                size += sum(item["size"] for item in old)
        except (OSError, BaseError) as error:
            raise ContentError(f"unfinished uploads can't be removed: {_described(error)}") from error
        return size

    def is_empty(self) -> bool:
        """Whether no pack is stored.

        Raises:
            ContentError: the store can't be asked.
        """
        return next(self.packs(), None) is None

    def table(self, pack: Pack) -> list[ChunkRow]:
        """Read which chunks a pack holds, from the pack itself: with it an index can be rebuilt.

        Raises:
            ContentError: the pack is missing or damaged.
        """
        return table_of(pack.name, pack.size, lambda start, end: self.read(pack.name, start, end))

    def verify(self, pack: Pack) -> memoryview:
        """Read a whole pack, compare it with its name, and return it.

        Raises:
            ContentError: the pack is missing or damaged.
        """
        data = self.read(pack.name, 0, pack.size)
        if blake3(data).hexdigest() != pack.name:
            raise ContentError(f"pack {pack.name} is damaged: its content does not have the digest it is named by")
        return data


def _read_range(file: Path, start: int, end: int) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, end - start, start)
        while len(data) < end - start and (more := os.pread(descriptor, end - start - len(data), start + len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)


def _put_durably(folder: Path, key: str, data: bytes | bytearray | memoryview) -> None:
    check_room(folder, len(data))
    final = folder / key
    if not final.parent.is_dir():
        final.parent.mkdir(mode=0o700, exist_ok=True)
        sync_directory(final.parent.parent)
        sync_directory(folder)
    replace_durably(final, data, unfinished=folder / _UNFINISHED / secrets.token_hex(16))


def _sweep(folder: Path) -> None:
    """Remove what killed writers left: nobody writes one pack for a day."""
    oldest = time.time() - _ABANDONED_SECONDS
    for leftover in folder.iterdir():
        with suppress(OSError):
            if leftover.stat().st_mtime < oldest:
                leftover.unlink()


def _described(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return described(error)
    return first_line(error)
