"""The content of a copy: every pack that something lies in, read back where it goes and compared with its name.

What is there of an earlier run stays: a pack whose proof has the stamp that it has now is not looked into again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, exists, func, select

from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.insertion import insert_or_replace
from ctxmgr.service.catalog.schema import chunks, pack_proofs, packs
from ctxmgr.service.storage.blobstore import Pack
from ctxmgr.service.storage.packfiles import Stamp

from .ends import End

__all__ = ["Progress", "copy_content", "packs_in_use"]

_AT_ONCE: Final = 6
"""Packs that are held in memory, each of some 16 MiB."""
_BETWEEN_PROOFS: Final = 48
"""Packs that a run which was ended has to read again, at most."""


class Progress(NamedTuple):
    """How far the copy of the content is.

    Attributes:
        packs_done, packs_total: packs that are in their place, and all.
        bytes_done, bytes_total: of them.
        stored: how many of them this run had to store.
    """

    packs_done: int
    packs_total: int
    bytes_done: int
    bytes_total: int
    stored: int = 0


def packs_in_use() -> Select[Any]:
    """Select the packs that chunks lie in: others are on their way out, and stay behind."""
    return select(packs).where(exists().where(chunks.c.pack_id == packs.c.id))


def copy_content(source: End, target: End, observe: Callable[[Progress], None]) -> Progress:
    """Copy the packs of a service.

    Args:
        source, target: from where, and to where.
        observe: called whenever a pack is in its place.

    Raises:
        ContentError: a pack is missing or damaged, or can't be stored; the text names it.
        CatalogError: a catalog can't be used.
    """
    with source.catalog.read() as connection:
        used = packs_in_use().subquery()
        count, size = connection.execute(select(func.count(), func.coalesce(func.sum(used.c.size), 0))).one()
    progress = Progress(0, int(count), 0, int(size))
    observe(progress)
    with ThreadPoolExecutor(_AT_ONCE, "ctxmgr-copy") as pool:
        try:
            for page in _pages(source.catalog):
                with target.catalog.read() as connection:
                    proofs = _proofs(connection, [pack.name for pack in page])
                carry = partial(_carry, source, target)
                carried = pool.map(carry, page, [proofs.get(pack.name) for pack in page])
                stamps: list[tuple[Any, ...]] = []
                for pack, (stamp, stored) in zip(page, carried, strict=True):
                    stamps.append((pack.name, *stamp))
                    done = progress.packs_done + 1, progress.packs_total, progress.bytes_done + pack.size
                    progress = Progress(*done, progress.bytes_total, progress.stored + stored)
                    observe(progress)
                with target.catalog.write() as connection:
                    insert_or_replace(connection, pack_proofs, stamps)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return progress


def _pages(catalog: Catalog) -> Iterator[list[Pack]]:
    """List the packs in the order of their names, a page at a time: no transaction lasts as long as the copy."""
    last = ""
    while True:
        rows = packs_in_use().where(packs.c.id > last).order_by(packs.c.id).limit(_BETWEEN_PROOFS)
        with catalog.read() as connection:
            page = [Pack(row.id, row.size) for row in connection.execute(rows)]
        if not page:
            return
        yield page
        last = page[-1].name


def _proofs(connection: Connection, names: Sequence[str]) -> dict[str, Stamp]:
    rows = connection.execute(select(pack_proofs).where(pack_proofs.c.pack_id.in_(names)))
    return {row.pack_id: Stamp(row.size, row.changed_ns) for row in rows}


def _carry(source: End, target: End, pack: Pack, proof: Stamp | None) -> tuple[Stamp, bool]:
    """Have a pack in its place, whole; return its stamp there, and whether it had to be stored."""
    stamp = target.packs.stamp(pack.name)
    if stamp is not None and (stamp == proof or _is_whole(target, pack, stamp)):
        return stamp, False
    try:
        data = source.packs.verify(pack)
    except ContentError as error:
        raise ContentError(
            f"{error}, in the source {source.store}: 'ctxmgr check --read-data --repair' there takes what is lost out "
            "of its catalog, and names the files"
        ) from error
    target.packs.put(pack.name, data)
    stamp = target.packs.stamp(pack.name)
    if stamp is None or not _is_whole(target, pack, stamp):
        raise ContentError(f"pack {pack.name} was stored in {target.store}, and is not there as it was stored")
    return stamp, True


def _is_whole(end: End, pack: Pack, stamp: Stamp) -> bool:
    try:
        end.packs.verify(Pack(pack.name, stamp.size))
    except ContentError:
        return False
    return stamp.size == pack.size
