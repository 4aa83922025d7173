"""Chunks on their way into packs and out of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Final

from blake3 import blake3

from ctxmgr.engine.manifest.entries import Entry, Manifest, show
from ctxmgr.engine.manifest.errors import ContentError

from .aside import Later, Outgoing, ahead
from .compression import Compressor, Expander
from .packs import ChunkRow, Located, seal
from .store import ContentStore

__all__ = ["BlobReader", "PackWriter", "verify_whole"]

WHOLE_SIZE: Final = 1 << 20
"""Bytes up to which a file is one chunk; also the average size of the chunks of a larger one."""
PACK_SIZE: Final = 16 << 20
PACK_CHUNKS: Final = 50_000
"""So many chunks close a pack of fewer bytes: whoever works on a pack has all their rows in memory."""
_BATCHES: Final = 2
"""Of what was read: one is packed while the store is asked about the next."""
_QUESTION_CHUNKS: Final = 1000
_QUESTION_BYTES: Final = 4 << 20
_READ_SIZE: Final = 8 << 20


class PackWriter:
    """Stores chunks, each once, in packs of about 16 MiB. Used by one thread.

    Chunks are durable and known to the store after `flush`, not before. A writer that is killed leaves nothing wrong,
    and the next one only stores what is not there yet. What is added is compressed and stored while more of it comes,
    and an error may be raised by a later call. After it nothing is lost either: the next `add` or `flush` tries again.
    """

    def __init__(self, content: ContentStore, *, pack_size: int = PACK_SIZE) -> None:
        """Write to a store.

        Args:
            content: asked which chunks have to be stored, and given them in packs.
            pack_size: bytes after which a pack is closed.
        """
        self._content = content
        self._outgoing = Outgoing(content)
        self._pack_size = pack_size
        self._compressor = Compressor()
        self._seen: set[bytes] = set()
        self._found: set[bytes] = set()
        self._packs: set[str] = set()
        self._read: dict[bytes, bytes] = {}
        self._read_bytes = 0
        self._packing: deque[tuple[dict[bytes, bytes], Later[None]]] = deque()
        self._rows: list[ChunkRow] = []
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def added(self) -> Set[bytes]:
        """The digests of all chunks that were added: after `flush`, those that are known to be stored."""
        return self._seen

    def packs(self, digests: Set[bytes] = frozenset()) -> frozenset[str] | None:
        """Return the packs that hold, after `flush`, what was added, and some others; None if one is not stored."""
        others = (digests - self._seen) | self._found
        holders = self._content.holders(others) if others else set()
        return None if holders is None else frozenset(self._packs | holders)

    def add(self, data: bytes | memoryview) -> bytes:
        """Store a chunk unless it is stored already.

        Returns:
            its BLAKE3-256 digest.

        Raises:
            ContentError: a pack could not be stored.
        """
        digest: bytes = blake3(data).digest()
        if digest not in self._seen:
            # The store is asked about many chunks at once: a question a chunk would cost more than the chunk.
            self._seen.add(digest)
            self._read[digest] = bytes(data)
            self._read_bytes += len(data)
            if len(self._read) >= _QUESTION_CHUNKS or self._read_bytes >= min(_QUESTION_BYTES, self._pack_size):
                self._begin()
        return digest

    def flush(self) -> None:
        """Store everything that was added.

        Raises:
            ContentError: a pack could not be stored.
        """
        self._begin()
        self._settle()
        self._close_pack()
        self._outgoing.finish()

    def _begin(self) -> None:
        """Have packed what was read, while more is read."""
        self._settle(_BATCHES - 1)
        batch, self._read, self._read_bytes = self._read, {}, 0
        before = self._packing[-1][1] if self._packing else None
        self._packing.append((batch, Later(partial(self._pack, batch, before))))

    def _settle(self, left: int = 0) -> None:
        """Wait until all batches are packed, but so many; after an error, what is in them counts as just read."""
        while len(self._packing) > left:
            try:
                self._packing[0][1].result()
            except Exception:
                for batch, later in self._packing:
                    later.wait()
                    self._read.update(batch)
                self._read_bytes = sum(map(len, self._read.values()))
                self._packing.clear()
                raise
            self._packing.popleft()

    def _pack(self, batch: dict[bytes, bytes], before: Later[None] | None) -> None:
        missing = self._content.missing(batch.keys()) if batch else set()
        if before is not None:
            before.result()
        # What is packed leaves the batch at once, so that after an error the rest is there to be tried again.
        for digest in list(batch):
            if digest in missing:
                if self._size >= self._pack_size or len(self._rows) >= PACK_CHUNKS:
                    self._close_pack()
                data = batch[digest]
                stored = self._compressor.smaller(data)
                self._rows.append((digest, self._size, len(stored), len(data)))
                self._parts.append(stored)
                self._size += len(stored)
            else:
                self._found.add(digest)
            del batch[digest]

    def _close_pack(self) -> None:
        if not self._rows:
            return
        pack = seal(self._parts, self._rows)
        self._packs.add(pack.name)
        self._rows = []
        self._parts = []
        self._size = 0
        self._outgoing.put(pack)


class BlobReader:
    """Reads content back, each chunk and each file as a whole verified. Used by one thread."""

    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._expander = Expander()

    def contents(self, files: Manifest) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        """Read the content of files, in the order in which it lies in the packs.

        No more than some 8 MiB of what is stored are held at a time, twice that of a store that is read ahead, and one
        chunk of what was.

        Args:
            files: the entries to read, by path. One without a digest stands for a part of a file.

        Returns:
            an iterator over each path and the pieces of its content, to be used up before the next path is asked for.

        Raises:
            ContentError: content is missing or damaged; the message names the file. Where it is not stored at all, this
                is raised by the call, and otherwise by the iterators.
        """
        return self._give(files, self._places(files))

    def _give(self, files: Manifest, places: Mapping[bytes, Located]) -> Iterator[tuple[bytes, Iterator[memoryview]]]:
        whole: dict[bytes, list[bytes]] = {}
        others: list[bytes] = []
        for path, entry in files.items():
            if len(entry.chunks) == 1:
                whole.setdefault(entry.chunks[0], []).append(path)
            else:
                others.append(path)
        for digest, piece in self._chunks(
            sorted(whole, key=places.__getitem__), places, lambda digest: whole[digest][0]
        ):
            for path in whole[digest]:
                verify_whole(digest, files[path], path)
                yield path, iter((piece,))
        others.sort(key=lambda path: places[files[path].chunks[0]] if files[path].chunks else ("", 0, 0, 0))
        for path in others:
            yield path, self._pieces(path, files[path], places)

    def _places(self, files: Manifest) -> Mapping[bytes, Located]:
        wanted = {digest for entry in files.values() for digest in entry.chunks}
        places = self._content.locate(wanted)
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

    def _pieces(self, path: bytes, entry: Entry, places: Mapping[bytes, Located]) -> Iterator[memoryview]:
        whole, left = blake3(), entry.size
        if not left:
            verify_whole(whole.digest(), entry, path)
        for _, piece in self._chunks(entry.chunks, places, lambda digest: path):
            whole.update(piece)
            left -= len(piece)
            if not left:
                verify_whole(whole.digest(), entry, path)
            yield piece

    def _chunks(
        self, wanted: Iterable[bytes], places: Mapping[bytes, Located], path_of: Callable[[bytes], bytes]
    ) -> Iterator[tuple[bytes, memoryview]]:
        """Read chunks one after another, in few reads.

        Args:
            wanted: their digests.
            places: where they lie.
            path_of: returns the file that a chunk is of, for errors.
        """
        reads = (partial(self._read, batch, places, path_of) for batch in _batches(wanted, places))
        for batch, read in ahead(reads) if self._content.at_once > 1 else (read() for read in reads):
            for digest, stored in zip(batch, read, strict=True):
                yield digest, self._expanded(digest, stored, places, path_of)

    def _expanded(
        self,
        digest: bytes,
        stored: memoryview,
        places: Mapping[bytes, Located],
        path_of: Callable[[bytes], bytes],
    ) -> memoryview:
        length = places[digest].length
        with suppress(ContentError):
            return self._expander.chunk(stored, length, digest)
        # What was damaged on the way comes whole the next time.
        _, (stored,) = self._read([digest], places, path_of)
        try:
            return self._expander.chunk(stored, length, digest)
        except ContentError as error:
            raise ContentError(
                f"the content of {show(path_of(digest))} is damaged, in pack {places[digest].pack}: {error}"
            ) from error

    def _read(
        self, batch: list[bytes], places: Mapping[bytes, Located], path_of: Callable[[bytes], bytes]
    ) -> tuple[list[bytes], Sequence[memoryview]]:
        try:
            try:
                return batch, self._content.read([places[digest] for digest in batch])
            except ContentError:
                # Since they were located, packs may have been written anew, and the old ones removed.
                moved = self._content.locate(batch)
                if any(digest not in moved for digest in batch) or all(moved[each] == places[each] for each in batch):
                    raise
                return batch, self._content.read([moved[digest] for digest in batch])
        except ContentError as error:
            raise ContentError(f"the content of {show(path_of(batch[0]))} can't be read: {error}") from error


def verify_whole(digest: bytes, entry: Entry, path: bytes) -> None:
    """Refuse, before its last piece is handed out, a file whose chunks are intact and not its own."""
    if entry.digest and digest != entry.digest:
        raise ContentError(
            f"the content of {show(path)} is damaged: the catalog lists chunks that give {digest.hex()}, "
            f"and its digest is {entry.digest.hex()}"
        )


def _batches(wanted: Iterable[bytes], places: Mapping[bytes, Located]) -> Iterator[list[bytes]]:
    """Cut chunks into batches, each worth one question to the store."""
    batch: list[bytes] = []
    size = 0
    for digest in wanted:
        stored = places[digest].stored
        if batch and size + stored > _READ_SIZE:
            yield batch
            batch, size = [], 0
        batch.append(digest)
        size += stored
    if batch:
        yield batch
