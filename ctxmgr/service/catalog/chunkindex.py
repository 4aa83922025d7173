"""The index of stored chunks, kept in the catalog: which pack holds which chunk of an account, and where in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, Select, bindparam, delete, func, literal, select

from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.entries import Entry, show
from ctxmgr.errors import ServiceError

from .clock import now_ms
from .contentlock import share
from .database import Catalog
from .insertion import batches, insert_missing, insert_or_replace
from .schema import chunks, pack_proofs, packs, retired_packs

__all__ = ["CatalogChunkIndex", "check_stored", "record_pack"]

Stamp = tuple[int, int]
"""What shows that a pack is unchanged: its size, and the time of its last change."""

_DIGEST: Final = 32
_DIGESTS_AT_ONCE: Final = 10_000

# Digests come joined, and the database cuts them: a parameter for each would cost several times the answer.
_first = select(literal(1).label("at")).cte("asked", recursive=True)
_asked = _first.union_all(select(_first.c.at + _DIGEST).where(_first.c.at + _DIGEST < bindparam("size")))
_digest = func.substr(bindparam("digests", type_=LargeBinary), _asked.c.at, _DIGEST, type_=LargeBinary)
_found = _asked.join(chunks, (chunks.c.account == bindparam("account")) & (chunks.c.digest == _digest))

_COUNT: Final = select(func.count()).select_from(_found)
_PLACES: Final = select(
    chunks.c.digest, chunks.c.pack_id, chunks.c.offset, chunks.c.stored, chunks.c.length
).select_from(_found)
# What is about to be removed, since no revision refers to it, counts as not there for who would rely on it.
_RELIABLE: Final = chunks.c.condemned_ms.is_(None)
_RELIABLE_PLACES: Final = _PLACES.where(_RELIABLE)
_HOLDERS: Final = select(chunks.c.pack_id, func.count()).select_from(_found).where(_RELIABLE).group_by(chunks.c.pack_id)


class CatalogChunkIndex:
    """The chunks of one account, and what shows that packs are whole. Each call is a transaction of its own."""

    def __init__(self, catalog: Catalog, account: str) -> None:
        self._catalog = catalog
        self._account = account

    def add(self, pack: SealedPack, stamp: Callable[[], Stamp | None]) -> bool:
        """Record a pack that was just stored, and its chunks; where they lay before is forgotten.

        Args:
            pack: the pack.
            stamp: returns the pack's stamp, now that it is stored whole.

        Returns:
            False where the pack is not there any more: whoever removes packs took it for an old one. Store it again.
        """
        # In the order of the index, neighbours come on the same page.
        placed = [(self._account, digest, pack.name, *place, None) for digest, *place in sorted(pack.rows)]

        def add() -> bool:
            with self._catalog.write() as connection:
                if not record_pack(connection, pack, stamp):
                    return False
                insert_or_replace(connection, chunks, placed)
                return True

        return self._catalog.insist(add)

    def prove(self, pack: str, stamp: Stamp) -> None:
        """Record what a pack's stamp was before the pack was read and found whole."""
        with self._catalog.write() as connection:
            _prove(connection, pack, stamp)

    def proofs(self, names: Collection[str]) -> dict[str, Stamp]:
        """Return the stamps of packs that were found whole."""
        found: dict[str, Stamp] = {}
        with self._catalog.read() as connection:
            for batch in batches(names):
                rows = connection.execute(select(pack_proofs).where(pack_proofs.c.pack_id.in_(batch)))
                found |= {name: (size, changed_ns) for name, size, changed_ns in rows}
        return found

    def holders(self, digests: Collection[bytes]) -> tuple[set[str], int]:
        """Return the packs that chunks lie in, and how many of the chunks lie in any: a fraction of what all cost.

        Chunks that are about to be removed count as not there.
        """
        found: set[str] = set()
        known = 0
        with self._catalog.read() as connection:
            for pack, count in _answers(connection, _HOLDERS, self._account, digests):
                found.add(pack)
                known += count
        return found, known

    def locate(self, digests: Collection[bytes], *, reliable: bool = False) -> dict[bytes, Located]:
        """Return where chunks lie; those that no pack holds are absent.

        Args:
            digests: the chunks.
            reliable: leave out those that are about to be removed, since no revision refers to them.
        """
        places = _RELIABLE_PLACES if reliable else _PLACES
        with self._catalog.read() as connection:
            rows = _answers(connection, places, self._account, digests)
            return {digest: Located(pack, offset, stored, length) for digest, pack, offset, stored, length in rows}

    def has_at(self, places: Collection[tuple[str, int, int]]) -> bool:
        """Whether the account has a chunk at each of some places: a pack, an offset, and the bytes it takes there."""
        wanted: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for pack, *place in places:
            wanted[pack].add((place[0], place[1]))
        own = select(chunks.c.offset, chunks.c.stored).where(chunks.c.account == self._account)
        with self._catalog.read() as connection:
            for pack, asked in wanted.items():
                # What is read together lies together: a range costs a fraction of what its places one by one would.
                inside = chunks.c.offset.between(min(asked)[0], max(asked)[0])
                rows = connection.execute(own.where(chunks.c.pack_id == pack, inside))
                if not asked <= {(offset, stored) for offset, stored in rows}:
                    return False
        return True

    def has_pack(self, name: str) -> bool:
        """Whether a chunk of the account lies in a pack."""
        of_pack = (chunks.c.account == self._account) & (chunks.c.pack_id == name)
        with self._catalog.read() as connection:
            return connection.execute(select(chunks.c.digest).where(of_pack).limit(1)).first() is not None

    def own_packs(self, names: Collection[str]) -> set[str]:
        """Return those of some packs in which chunks of the account lie, and of no other."""
        held = select(chunks.c.pack_id, func.min(chunks.c.account), func.max(chunks.c.account))
        found: set[str] = set()
        with self._catalog.read() as connection:
            for batch in batches(names):
                rows = connection.execute(held.where(chunks.c.pack_id.in_(batch)).group_by(chunks.c.pack_id))
                found.update(pack for pack, *holders in rows if holders == [self._account, self._account])
        return found


def check_stored(connection: Connection, account: str, entries: Collection[tuple[bytes, Entry]]) -> None:
    """Refuse entries of which an account has not stored all chunks: nobody gets content by knowing its name.

    Args:
        connection: the write transaction in which a context comes to refer to them; until it ends, none is removed.
        account: the context's.
        entries: each with its path.

    Raises:
        ServiceError: ``InvalidChunk.NotFound``.
    """
    share(connection)
    wanted = {digest for _, entry in entries for digest in entry.chunks}
    if sum(count for (count,) in _answers(connection, _COUNT, account, wanted)) == len(wanted):
        return
    stored = {digest for digest, *_ in _answers(connection, _PLACES, account, wanted)}
    for path, entry in entries:
        for digest in entry.chunks:
            if digest not in stored:
                raise ServiceError(
                    "InvalidChunk.NotFound",
                    f"the content of {show(path)} is not stored: this account has no chunk {digest.hex()}; "
                    "store it, and sync again",
                )


def _answers(connection: Connection, question: Select[Any], account: str, digests: Collection[bytes]) -> Iterator[Any]:
    # In order, neighbours lie on the same page.
    ordered = sorted(digests)
    for at in range(0, len(ordered), _DIGESTS_AT_ONCE):
        joined = b"".join(ordered[at : at + _DIGESTS_AT_ONCE])
        yield from connection.execute(question, {"account": account, "digests": joined, "size": len(joined)})


def record_pack(connection: Connection, pack: SealedPack, stamp: Callable[[], Stamp | None]) -> bool:
    """Record a pack that was just stored, if it is there; see `CatalogChunkIndex.add`.

    Args:
        connection: a write transaction, during which nobody removes a pack.
    """
    share(connection)
    found = stamp()
    if found is None:
        return False
    insert_missing(connection, packs, [(pack.name, len(pack.data), now_ms())])
    connection.execute(delete(retired_packs).where(retired_packs.c.pack_id == pack.name))
    _prove(connection, pack.name, found)
    return True


def _prove(connection: Connection, pack: str, stamp: Stamp | None) -> None:
    connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id == pack))
    if stamp is not None:
        insert_missing(connection, pack_proofs, [(pack, *stamp)])
