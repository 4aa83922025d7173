"""A whole service copied: in which order, and what of the moment is not carried over."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.durable import sync_directory
from ctxmgr.errors import DataFolderError
from ctxmgr.service.catalog import tasks, versions
from ctxmgr.service.catalog.database import MIGRATING
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.schema import chunks, nodes, pack_proofs, packs
from ctxmgr.service.tasks.nodes import DIED
from ctxmgr.service.tasks.places import home_of, keep_signing_key, signing_key

from .content import Progress, copy_content
from .ends import End, Place, check_unused, open_source, open_target
from .rows import copy_rows

__all__ = ["Copied", "copy_service"]


class Copied(NamedTuple):
    """What was copied.

    Attributes:
        content: the packs.
        rows: how many rows each table has.
    """

    content: Progress
    rows: dict[str, int]


def copy_service(source: Place, target: Place, *, observe: Callable[[Progress], None] = lambda _: None) -> Copied:
    """Copy a service, or go on with the copy of it that was begun there.

    Args:
        source: what is copied. It is left as it is, and nobody may use it meanwhile.
        target: where the copy goes: an empty place.
        observe: called whenever a pack is in its place.

    Raises:
        DataFolderError: the source is in use or damaged, the target has something else, one of them can't be used, or
            the copy is not what was sent.
    """
    try:
        with open_source(source) as here, open_target(target, here) as there:
            content = copy_content(here, there, observe)
            _copy_workspaces(here, there)
            rows = _copy_catalog(here, there)
    except (CatalogError, ContentError) as error:
        problem = error.message if isinstance(error, CatalogError) else str(error)
        raise DataFolderError(f"the copy is not complete: {problem}") from error
    return Copied(content, rows)


def _copy_catalog(source: End, target: End) -> dict[str, int]:
    """Copy all rows, and make the copy a service's, in one transaction."""
    homes = home_of(source.folder, source.catalog), home_of(target.folder, target.catalog)
    key = signing_key(source.folder, source.catalog)
    with target.catalog.write(MIGRATING) as connection:
        if not versions.is_unfinished(connection):
            raise DataFolderError(f"the catalog {target.catalog.name} was completed by another process meanwhile")
        with source.catalog.read() as reading:
            rows = copy_rows(reading, connection, homes)
        check_unused(source.catalog, source.folder)
        _match_proofs(connection)
        _end_dead_processes(connection)
        keep_signing_key(target.folder, target.catalog, connection, key)
        target.catalog.settle(connection)
        versions.make_usable(connection)
    return rows


def _match_proofs(connection: Connection) -> None:
    """Check that each pack in which something lies was read in its place, and forget those that are of use no more."""
    proven = select(pack_proofs.c.pack_id)
    missing = select(chunks.c.pack_id).where(chunks.c.pack_id.not_in(proven)).limit(1)
    if (name := connection.execute(missing).scalar_one_or_none()) is not None:
        raise ContentError(
            f"pack {name} is in the index of the source, which has no record of it: run 'ctxmgr check --repair' there"
        )
    connection.execute(delete(pack_proofs).where(pack_proofs.c.pack_id.not_in(select(packs.c.id))))


def _end_dead_processes(connection: Connection) -> None:
    """Fail what processes were running that used the source and died; nodes elsewhere can go on with the copy."""
    for node_id in connection.execute(select(nodes.c.id).where(nodes.c.account == "")).scalars().all():
        tasks.fail_all_of(connection, node_id, DIED)
    connection.execute(delete(nodes).where(nodes.c.account == ""))


def _copy_workspaces(source: End, target: End) -> None:
    """Copy what is known of directories of this machine, so that those in step stay so."""
    if source.folder.root == target.folder.root:
        return
    try:
        for file in source.folder.workspaces.iterdir():
            unfinished = target.folder.workspaces / f"{file.name}.copy"
            shutil.copyfile(file, unfinished)
            unfinished.replace(target.folder.workspaces / file.name)
        sync_directory(target.folder.workspaces)
    except OSError as error:
        raise DataFolderError(f"what is known of directories can't be copied: {error}") from error
