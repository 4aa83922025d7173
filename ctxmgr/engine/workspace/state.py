"""What a workspace had at its last sync, in one file on the node: the next plan's base and a cache of digests.

The file is kept by directory, each with its own print, so that a sync compares most directories as a whole and unpacks
only those in which something differs.
"""

from __future__ import annotations

import logging
import stat
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec
import zstandard
from blake3 import blake3

from ctxmgr.engine.manifest.entries import DIRECTORY, Entry, Fingerprint, parent
from ctxmgr.errors import DataFolderError
from ctxmgr.oserrors import described

from .dirfd import UNKNOWN, Identity
from .durable import replace_durably
from .prints import DIRECTORY_NUMBERS, print_of
from .uploadname import forget_name

__all__ = ["Known", "PackedState", "WorkspaceState", "load_state", "save_state"]

_log = logging.getLogger(__name__)

_MAGIC: Final = b"ctxmgr-state-2\n"
_FIRST_MAGIC: Final = b"ctxmgr-state-1\n"
_SIZE: Final = struct.Struct("<I")

_NO_PRINT: Final = b""
"""That of a directory in which something has to be read to know it."""

Known = tuple[Entry, "Fingerprint | None"]
"""An entry, and the fingerprint under which the workspace's content is known to be that entry; None where it has to be
read to know."""


class WorkspaceState(msgspec.Struct, array_like=True):
    """What a workspace and its context had in common when they were last synced.

    Attributes:
        revision: the context's head revision that was seen then; 0 before the first sync.
        files: what is known of each path.
        told: the ignore rules of which a sync has said that the context holds something they exclude.
        key: what tells that revision from others of its number; empty if it can't be told.
        packs: if the context holds exactly these files at that revision, those that all their content lies in.
        root: tells the directory from others at its path.
    """

    revision: int = 0
    files: dict[bytes, Known] = {}
    told: list[str] = []
    key: str = ""
    packs: frozenset[str] | None = None
    root: Identity = UNKNOWN

    def base(self) -> dict[bytes, Entry]:
        """Return the entries alone."""
        return {path: entry for path, (entry, _) in self.files.items()}


class _Header(msgspec.Struct, array_like=True):
    revision: int
    told: list[str]
    key: str
    packs: list[str] | None
    count: int
    checksum: bytes
    directories: list[tuple[bytes, bytes, int]]
    root: Identity = UNKNOWN


_encode = msgspec.msgpack.Encoder().encode
_decode_first = msgspec.msgpack.Decoder(WorkspaceState).decode
_decode_header = msgspec.msgpack.Decoder(_Header).decode
_decode_files = msgspec.msgpack.Decoder(list[tuple[bytes, Entry, Fingerprint | None]]).decode


class PackedState:
    """A state whose directories are unpacked one by one.

    Attributes:
        revision, told, key, packs, root: as in `WorkspaceState`.
        count: how many files and links it has.
        prints: those of the directories in which something is.
    """

    def __init__(
        self,
        revision: int = 0,
        told: Sequence[str] = (),
        key: str = "",
        packs: frozenset[str] | None = None,
        root: Identity = UNKNOWN,
    ) -> None:
        self.revision = revision
        self.told = list(told)
        self.key = key
        self.packs = packs
        self.root = root
        self.count = 0
        self.prints: dict[bytes, bytes] = {}
        self._blobs: dict[bytes, bytes] = {}
        # Made once: for the blob of a directory, making one takes longer than using it.
        self._compress = zstandard.ZstdCompressor(level=1, write_checksum=True).compress
        self._expand = zstandard.ZstdDecompressor().decompress

    @classmethod
    def of(cls, state: WorkspaceState) -> PackedState:
        """Pack a state."""
        packed = cls(state.revision, state.told, state.key, state.packs, state.root)
        packed._put(state.files)
        return packed

    def files(self, directory: bytes) -> dict[bytes, Known]:
        """Return what is known of the paths in one directory."""
        blob = self._blobs.get(directory)
        if blob is None:
            return {}
        prefix = directory + b"/" if directory else b""
        return {prefix + name: (entry, seen) for name, entry, seen in _decode_files(self._expand(blob))}

    def unpacked(self) -> WorkspaceState:
        """Return the state as a whole."""
        files: dict[bytes, Known] = {}
        for directory in self._blobs:
            files |= self.files(directory)
        return WorkspaceState(self.revision, files, self.told, self.key, self.packs, self.root)

    def advanced(self, before: Collection[bytes], after: WorkspaceState) -> PackedState:
        """Return the state in which what was known of some paths has been replaced.

        Args:
            before: those paths.
            after: what is known of them now.
        """
        advanced = PackedState(after.revision, after.told, after.key, after.packs, after.root)
        advanced.count = self.count
        advanced.prints = dict(self.prints)
        advanced._blobs = dict(self._blobs)
        gone: dict[bytes, set[bytes]] = defaultdict(set)
        came: dict[bytes, dict[bytes, Known]] = defaultdict(dict)
        for path in before:
            gone[parent(path)].add(path)
        for path, known in after.files.items():
            came[parent(path)][path] = known
        for directory in gone.keys() | came.keys():
            there = self.files(directory)
            advanced.count -= _counted(there.values())
            advanced.prints.pop(directory, None)
            advanced._blobs.pop(directory, None)
            left = {path: known for path, known in there.items() if path not in gone.get(directory, ())}
            advanced._put(left | came.get(directory, {}))
        return advanced

    def pack(self) -> bytes:
        """Return the state as bytes."""
        listed = [(path, self.prints[path], len(blob)) for path, blob in self._blobs.items()]
        blobs = b"".join(self._blobs.values())
        packs = None if self.packs is None else sorted(self.packs)
        packed = _Header(self.revision, self.told, self.key, packs, self.count, _checksum(blobs), listed, self.root)
        header = self._compress(_encode(packed))
        return b"".join((_MAGIC, _SIZE.pack(len(header)), header, blobs))

    def _put(self, files: Mapping[bytes, Known]) -> None:
        by_directory: dict[bytes, list[tuple[bytes, Entry, Fingerprint | None]]] = defaultdict(list)
        for path, (entry, seen) in files.items():
            directory, _, name = path.rpartition(b"/")
            by_directory[directory].append((name, entry, seen))
        for directory, items in by_directory.items():
            self.prints[directory] = _print_of_known(items)
            self._blobs[directory] = self._compress(_encode(items))
        # An empty directory is known by its own entry alone.
        self.count += _counted(files.values())


def _print_of_known(items: Iterable[tuple[bytes, Entry, Fingerprint | None]]) -> bytes:
    names: list[bytes] = []
    numbers: list[int] = []
    for name, entry, seen in sorted(items, key=itemgetter(0)):
        names.append(name)
        if entry.kind == DIRECTORY:
            numbers += (stat.S_IFDIR | entry.mode, *DIRECTORY_NUMBERS)
        elif seen is None:
            return _NO_PRINT
        else:
            numbers += (seen.mode, seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode)
    return print_of(names, numbers)


def load_state(file: Path) -> PackedState:
    """Read a workspace's state.

    A state that is missing or can't be read is an empty one: then nothing counts as deleted, both versions of a path
    that differs are kept, and only time is lost.
    """
    try:
        return _parsed(file.read_bytes())
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("The workspace state %s can't be read; it is taken as empty: %s", file, error)
    except (zstandard.ZstdError, msgspec.DecodeError, struct.error, ValueError, MemoryError) as error:
        _log.warning("The workspace state %s is damaged or of another version; it is taken as empty: %s", file, error)
    return PackedState()


def save_state(file: Path, state: PackedState) -> None:
    """Replace a workspace's state, durably and at once: after a crash the file holds the old one or the new one.

    The name of the upload that it is the state of is forgotten.

    Raises:
        DataFolderError: the file can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(file, state.pack(), unfinished=file.with_name(file.name + ".new"))
        forget_name(file)
    except OSError as error:
        text = f"can't keep in {str(file.parent)!r} what was synced: {described(error)}"
        raise DataFolderError(text) from error


def _parsed(data: bytes) -> PackedState:
    if data.startswith(_FIRST_MAGIC):
        return PackedState.of(_decode_first(_expanded(data[len(_FIRST_MAGIC) :])))
    if not data.startswith(_MAGIC):
        raise ValueError("it begins with something else")
    start = len(_MAGIC) + _SIZE.size
    end = start + _SIZE.unpack_from(data, len(_MAGIC))[0]
    header = _decode_header(_expanded(data[start:end]))
    if _checksum(memoryview(data)[end:]) != header.checksum:
        raise ValueError("its checksum is another one")
    packs = None if header.packs is None else frozenset(header.packs)
    state = PackedState(header.revision, header.told, header.key, packs, header.root)
    state.count = header.count
    for path, found, size in header.directories:
        state.prints[path] = found
        state._blobs[path] = data[end : end + size]
        end += size
    return state


def _checksum(data: bytes | memoryview) -> bytes:
    return blake3(data).digest()


def _counted(known: Iterable[Known]) -> int:
    return sum(entry.kind != DIRECTORY for entry, _ in known)


def _expanded(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)
