"""The check of a store: every pack, chunk, row and revision, and the repair of what can be repaired.

Safe beside whoever is at work: rows are compared in one transaction, and packs with what the index says at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blake3 import blake3
from sqlalchemy import delete, func, select

from ctxmgr.engine.content.compression import Expander
from ctxmgr.engine.content.packs import Located, table_of
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.catalog.contentlock import exclude
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.insertion import batches
from ctxmgr.service.catalog.schema import chunks, pack_proofs, packs, retired_packs
from ctxmgr.service.storage.blobstore import BlobStore

from .checkrows import check_rows
from .packs import PackRow, PlacedChunk, bounded, rewrite, rows_of
from .report import BadChunk, Report

__all__ = ["check_store", "repair"]


def check_store(catalog: Catalog, store: BlobStore, *, read_data: bool = False) -> Report:
    """Check everything.

    Args:
        catalog, store: what to check.
        read_data: read every pack as a whole, and compare it and every chunk in it with its name. Otherwise a pack has
            to be there, to have its size, and its table to say what the index says.

    Raises:
        CatalogError: the catalog can't be read.
        ContentError: the packs can't be listed.
    """
    report = Report()
    for problem in catalog.integrity():
        report.add("catalog", "", problem)
    with catalog.read() as connection:
        held = select(
            chunks.c.pack_id.label("name"), func.count().label("rows"), func.min(chunks.c.account).label("account")
        ).group_by(chunks.c.pack_id)
        listed = [PackRow(row.name, row.rows, row.account) for row in connection.execute(held.order_by("name"))]
    for batch in bounded(listed):
        names = [pack.name for pack in batch]
        with catalog.read() as connection:
            rows = rows_of(connection, names)
            sizes = {row.id: row.size for row in connection.execute(select(packs).where(packs.c.id.in_(names)))}
        for name, placed in rows.items():
            report.packs += 1
            report.chunks += len(placed)
            _check_pack(store, name, sizes.get(name), placed, report, read_data=read_data)
    with catalog.read() as connection:
        check_rows(connection, report)
        known = set(connection.execute(select(packs.c.id).union(select(retired_packs.c.pack_id))).scalars())
    report.unused_packs = sum(pack.name not in known for pack in store.packs())
    return report


def repair(catalog: Catalog, store: BlobStore, report: Report) -> None:
    """Take what can't be read out of the index, so that whoever has it is asked to store it again, and save the rest.

    Raises:
        CatalogError: the catalog can't be written.
        ContentError: what is whole in a damaged pack can't be stored in another.
    """
    for batch in batches(report.bad):
        with catalog.write() as connection:
            exclude(connection)
            for bad in batch:
                same = (chunks.c.account == bad.account) & (chunks.c.digest == bad.digest)
                removed = connection.execute(delete(chunks).where(same, chunks.c.pack_id == bad.pack))
                report.repaired += removed.rowcount
            names = {bad.pack for bad in batch}
            connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id.in_(names)))
    rewrite(catalog, store, report.suspect)


def _check_pack(
    store: BlobStore, name: str, size: int | None, placed: Sequence[PlacedChunk], report: Report, *, read_data: bool
) -> None:
    suspect = read_data
    try:
        for problem in _problems(store, name, size, placed, read_data=read_data):
            report.add("pack", name, problem)
            report.suspect.add(name)
            suspect = True
    except ContentError as error:
        report.add("pack", name, str(error))
        report.suspect.add(name)
        suspect = True
    if suspect:
        for chunk, why in _unreadable(store, placed):
            report.add("chunk", chunk.digest.hex(), f"in pack {name}: {why}")
            report.bad.add(BadChunk(chunk.account, chunk.digest, name))


def _problems(
    store: BlobStore, name: str, size: int | None, placed: Sequence[PlacedChunk], *, read_data: bool
) -> Iterator[str]:
    stamp = store.stamp(name)
    if stamp is None:
        yield "it is missing"
        return
    if size is None:
        yield "the catalog has no record of it"
    elif stamp.size != size:
        yield f"it has {stamp.size} bytes, and had {size} when it was stored"
    if read_data and blake3(store.read(name, 0, stamp.size)).hexdigest() != name:
        yield "what is in it does not have the digest by which it is named"
    held = table_of(name, stamp.size, lambda start, end: store.read(name, start, end))
    table = {(digest, Located(name, *place)) for digest, *place in held}
    wrong = sum((chunk.digest, chunk.place) not in table for chunk in placed)
    if wrong:
        yield f"{wrong} of the {len(placed)} chunks that the index has in it are not in its table"


def _unreadable(store: BlobStore, placed: Sequence[PlacedChunk]) -> Iterator[tuple[PlacedChunk, str]]:
    """Read chunk by chunk what lies in a pack, and compare each with its name."""
    expander = Expander()
    for chunk in placed:
        try:
            (data,) = store.read_chunks([chunk.place])
            expander.chunk(data, chunk.place.length, chunk.digest)
        except ContentError as error:
            yield chunk, str(error)
