"""Chunks on their way into packs and out of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from blake3 import blake3

from ctxmgr.engine.content.store import PackStore
from ctxmgr.engine.manifest.entries import Entry, Manifest, show
from ctxmgr.engine.manifest.errors import ContentError

from .packs import ChunkRow, Located, Pack, seal
from .store import ChunkIndex

__all__ = ["BlobReader", "ChunkRow", "Located", "Pack", "PackWriter", "verify_whole"]

WHOLE_SIZE: Final = 1 << 20
"""Bytes up to which a file is one chunk; also the average size of the chunks of a larger one."""
PACK_SIZE: Final = 16 << 20
_QUESTION_CHUNKS: Final = 1000
_QUESTION_BYTES: Final = 4 << 20
_READ_SIZE: Final = 8 << 20
# Reading a hole costs less than another request, up to about this many bytes.
_HOLE_SIZE: Final = 64 << 10


class PackWriter:
    """Stores chunks, each once, in packs of about 16 MiB. Used by one thread.

    A chunk that the index knows is compared with what is stored; where that is gone or damaged, it is stored again.
    Chunks are durable and known to the index after `flush`, not before. A pack is stored before the index hears of
    it, so that a writer that is killed leaves nothing wrong, and the next one only stores what is not there yet. After
    an error nothing is lost either: the next `add` or `flush` tries again.
    """

    def __init__(
        self, store: PackStore, index: ChunkIndex, *, pack_size: int = PACK_SIZE, distrusted: Collection[str] = ()
    ) -> None:
        """Write to a store.

        Args:
            store: where the packs go.
            index: asked which chunks are stored already, and told which are now.
            pack_size: bytes after which a pack is closed.
            distrusted: the names of packs whose chunks are stored again.
        """
        self._store = store
        self._index = index
        self._pack_size = pack_size
        self._distrusted = distrusted
        self._lost: dict[bytes, Located] = {}
        self._seen: set[bytes] = set()
        self._asked: dict[bytes, bytes] = {}
        self._asked_bytes = 0
        self._rows: list[ChunkRow] = []
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes | memoryview) -> bytes:
        """Store a chunk unless it is stored already.

        Returns:
            its BLAKE3-256 digest.

        Raises:
            ContentError: a pack could not be stored.
        """
        digest: bytes = blake3(data).digest()
        if digest not in self._seen:
            # The index is asked about many chunks at once: a question a chunk would cost more than the chunk.
            self._seen.add(digest)
            self._asked[digest] = bytes(data)
            self._asked_bytes += len(data)
            if len(self._asked) >= _QUESTION_CHUNKS or self._asked_bytes >= min(_QUESTION_BYTES, self._pack_size):
                self._ask()
        return digest

    def flush(self) -> None:
        """Store everything that was added.

        Raises:
            ContentError: a pack could not be stored.
        """
        self._ask()
        self._close_pack()

    def _ask(self) -> None:
        if not self._asked:
            return
        places = self._index.locate(self._asked.keys())
        intact = self._intact(places)
        self._lost |= {digest: place for digest, place in places.items() if digest not in intact}
        while self._asked:
            digest, data = next(iter(self._asked.items()))
            if digest not in intact:
                if self._size >= self._pack_size:
                    self._close_pack()
                self._rows.append((digest, self._size, len(data)))
                self._parts.append(data)
                self._size += len(data)
            del self._asked[digest]
            self._asked_bytes -= len(data)

    def _intact(self, places: Mapping[bytes, Located]) -> set[bytes]:
        """Return which chunks can be read where the index says they are."""
        intact = set()
        trusted = [(*place, digest) for digest, place in places.items() if place.pack not in self._distrusted]
        for run in _runs(sorted(trusted)):
            pack, start, *_ = run[0]
            try:
                data = self._store.read(pack, start, max(offset + length for _, offset, length, _ in run))
            except ContentError:
                continue
            for _, offset, length, digest in run:
                if bytes(data[offset - start : offset - start + length]) == self._asked[digest]:
                    intact.add(digest)
        return intact

    def _close_pack(self) -> None:
        if not self._rows:
            return
        sealed = b"".join((*self._parts, seal(self._rows)))
        pack = Pack(blake3(sealed).hexdigest(), len(sealed))
        self._store.put(pack.name, sealed)
        # Only now that they are stored elsewhere: a store that is away for a moment loses nothing by being asked.
        lost = {digest: self._lost[digest] for digest, _, _ in self._rows if digest in self._lost}
        if lost:
            self._index.forget(lost)
        self._index.add(pack, self._rows, self._store.stamp(pack.name))
        self._rows = []
        self._parts = []
        self._size = 0


class BlobReader:
    """Reads content back, each chunk and each file as a whole verified. Used by one thread."""

    def __init__(self, store: PackStore, index: ChunkIndex) -> None:
        self._store = store
        self._index = index

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        """Read the content of files, in the order in which it lies in the packs.

        No more than some 8 MiB are held at a time.

        Args:
            files: the entries to read, by path. One without a digest stands for a part of a file.

        Returns:
            an iterator over each path and the pieces of its content, to be used up before the next path is asked for.

        Raises:
            ContentError: content is missing or damaged; the message names the file. Where it is the index that misses
                it, this is raised by the call, and otherwise by the iterators.
        """
        return self._give(files, self._places(files))

    def _give(self, files: Manifest, places: Mapping[bytes, Located]) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        whole: list[tuple[str, int, int, bytes]] = []
        others: list[bytes] = []
        for path, entry in files.items():
            if len(entry.chunks) == 1:
                whole.append((*places[entry.chunks[0]], path))
            else:
                others.append(path)
        whole.sort()
        yield from self._whole(whole, files)
        others.sort(key=lambda path: (*places[files[path].chunks[0]],) if files[path].chunks else ("", 0, 0))
        for path in others:
            yield path, self._pieces(path, files[path], places)

    def _places(self, files: Manifest) -> Mapping[bytes, Located]:
        wanted = {digest for entry in files.values() for digest in entry.chunks}
        places = self._index.locate(wanted)
        if len(places) < len(wanted):
            for path, entry in files.items():
                for digest in entry.chunks:
                    if digest not in places:
                        raise ContentError(
                            f"the content of {show(path)} is not stored: chunk {digest.hex()} is missing"
                        )
        for path, entry in files.items():
            length = sum(places[digest].length for digest in entry.chunks)
            if length != entry.size:
                raise ContentError(f"the content of {show(path)} has {length} bytes stored instead of {entry.size}")
        return places

    def _whole(
        self, wanted: list[tuple[str, int, int, bytes]], files: Manifest
    ) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        for run in _runs(wanted):
            pack, start, *_ = run[0]
            end = max(offset + length for _, offset, length, _ in run)
            data = self._read(pack, start, end, run[0][3])
            for _, offset, length, path in run:
                piece = data[offset - start : offset - start + length]
                _verify(piece, files[path].chunks[0], pack, path)
                verify_whole(files[path].chunks[0], files[path], path)
                yield path, iter((piece,))

    def _pieces(self, path: bytes, entry: Entry, places: Mapping[bytes, Located]) -> Iterator[memoryview]:
        whole, left = blake3(), entry.size
        if not left:
            verify_whole(whole.digest(), entry, path)
        for run in _consecutive([(*places[digest], digest) for digest in entry.chunks]):
            pack, start, *_ = run[0]
            data = self._read(pack, start, run[-1][1] + run[-1][2], path)
            for _, offset, length, digest in run:
                piece = data[offset - start : offset - start + length]
                _verify(piece, digest, pack, path)
                whole.update(piece)
                left -= length
                if not left:
                    verify_whole(whole.digest(), entry, path)
                yield piece

    def _read(self, pack: str, start: int, end: int, path: bytes) -> memoryview:
        try:
            return self._store.read(pack, start, end)
        except ContentError as error:
            raise ContentError(f"the content of {show(path)} can't be read: {error}") from error


def _verify(piece: memoryview, digest: bytes, pack: str, path: bytes) -> None:
    if blake3(piece).digest() != digest:
        raise ContentError(f"the content of {show(path)} is damaged: chunk {digest.hex()} in pack {pack}")


def verify_whole(digest: bytes, entry: Entry, path: bytes) -> None:
    """Refuse, before its last piece is handed out, a file whose chunks are intact and not its own."""
    if entry.digest and digest != entry.digest:
        raise ContentError(
            f"the content of {show(path)} is damaged: the catalog lists chunks that give {digest.hex()}, "
            f"and its digest is {entry.digest.hex()}"
        )


def _runs(wanted: list[tuple[str, int, int, bytes]]) -> Iterator[list[tuple[str, int, int, bytes]]]:
    """Cut places in the order of packs and offsets into runs, each worth one read."""
    run: list[tuple[str, int, int, bytes]] = []
    start = end = 0
    for place in wanted:
        pack, offset, length, _ = place
        if run and (pack != run[0][0] or offset > end + _HOLE_SIZE or offset + length > start + _READ_SIZE):
            yield run
            run = []
        if not run:
            start = end = offset
        run.append(place)
        end = max(end, offset + length)
    if run:
        yield run


def _consecutive(wanted: list[tuple[str, int, int, bytes]]) -> Iterator[list[tuple[str, int, int, bytes]]]:
    """Cut the places of one file's chunks, in the file's order, into runs that lie in a pack just so."""
    run: list[tuple[str, int, int, bytes]] = []
    for place in wanted:
        pack, offset, length, _ = place
        if run and (pack != run[0][0] or offset != run[-1][1] + run[-1][2] or offset + length > run[0][1] + _READ_SIZE):
            yield run
            run = []
        run.append(place)
    if run:
        yield run
