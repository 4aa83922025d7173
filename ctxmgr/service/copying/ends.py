"""The two ends of a copy: what is copied, kept from being used meanwhile, and where it goes, which has to be empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from ctxmgr.errors import DataFolderError
from ctxmgr.service.catalog import copymark, versions
from ctxmgr.service.catalog.copymark import CopyMark
from ctxmgr.service.catalog.database import MIGRATING, Catalog
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.storage.objectstore import shown
from ctxmgr.service.tasks import processes
from ctxmgr.service.tasks.nodes import users_of
from ctxmgr.service.tasks.places import opening, signing_key

__all__ = ["End", "Place", "check_unused", "open_source", "open_target"]


class Place(NamedTuple):
    """Where a service keeps what it keeps.

    Attributes:
        folder: the data folder.
        catalog: the URL of a PostgreSQL database; "" for the SQLite database in the folder.
        store: the URL of an object store; "" for files in the folder.
    """

    folder: str | os.PathLike[str]
    catalog: str = ""
    store: str = ""


class End(NamedTuple):
    """One end of a copy, open.

    Attributes:
        store: what people call the place of the packs.
    """

    folder: DataFolder
    catalog: Catalog
    packs: BlobStore
    store: str


@contextmanager
def open_source(place: Place) -> Iterator[End]:
    """Open what is copied; for the time of the ``with`` statement no service can be started on it.

    Raises:
        DataFolderError: there is nothing, it can't be used, or services use it.
        ContentError: its store can't be used.
    """
    root = Path(os.path.realpath(os.path.expanduser(place.folder)))
    if not place.catalog and not (root / "catalog.db").exists():
        raise DataFolderError(
            f"there is nothing to copy in {str(root)!r}: it has no catalog. Name the data folder of a service, and the "
            "URL of its catalog if that is elsewhere"
        )
    with ExitStack() as stack:
        folder = _folder(place, stack)
        stack.enter_context(opening(folder))
        catalog = _catalog(place, folder, stack)
        if catalog.shared:
            stack.enter_context(_held(catalog))
        with catalog.write() as connection:
            there = versions.bring_up(connection, catalog.name, lambda each: _users(each, catalog, folder))
        if not there:
            raise DataFolderError(f"there is nothing to copy: the catalog {catalog.name} is empty")
        check_unused(catalog, folder)
        yield End(folder, catalog, BlobStore.open(place.store or folder.blobs), _store_of(place, folder))


@contextmanager
def open_target(place: Place, source: End) -> Iterator[End]:
    """Open where a copy goes, and mark it: services refuse to open it from now on, until the copy is complete.

    Raises:
        DataFolderError: it can't be used, or has something that is no part of a copy of this source.
        ContentError: its store can't be used.
    """
    with ExitStack() as stack:
        folder = _folder(place, stack)
        catalog = _catalog(place, folder, stack)
        if catalog.name == source.catalog.name:
            raise DataFolderError(f"source and target have the same catalog, {catalog.name}: name another for the copy")
        packs = BlobStore.open(place.store or folder.blobs)
        store = _store_of(place, folder)
        mark = CopyMark(_identity(source), source.catalog.name, store)
        with ExitStack() as alone:
            if folder.root != source.folder.root:  # whose lock is held already
                alone.enter_context(opening(folder))
            with catalog.write(MIGRATING) as connection:
                if versions.is_unfinished(connection):
                    _check_same(copymark.find(connection), mark, catalog)
                else:
                    _check_empty(connection, catalog, packs, store, source)
                    copymark.begin(connection, mark)
        yield End(folder, catalog, packs, store)


def check_unused(catalog: Catalog, folder: DataFolder) -> None:
    """Check that no service uses a catalog.

    Raises:
        DataFolderError: some do; the text names them.
    """
    with catalog.read() as connection:
        users = _users(connection, catalog, folder)
    if users:
        raise DataFolderError(
            f"the catalog {catalog.name} is in use, and the copy would miss what is written meanwhile: stop "
            f"{', '.join(users)} first, and start none before the copy is complete"
        )


def _folder(place: Place, stack: ExitStack) -> DataFolder:
    folder = DataFolder.open(place.folder)
    stack.callback(folder.close)
    if folder.unwritable:
        raise DataFolderError(f"{folder.unwritable}, and a copy has to: it keeps others out by locks in both folders")
    return folder


def _catalog(place: Place, folder: DataFolder, stack: ExitStack) -> Catalog:
    catalog = Catalog.bare(place.catalog or folder.catalog)
    stack.callback(catalog.close)
    return catalog


@contextmanager
def _held(catalog: Catalog) -> Iterator[None]:
    """Keep all out who begin to use a catalog that several machines may share."""
    with ExitStack() as stack:
        try:
            stack.enter_context(catalog.alone(MIGRATING, 0))
        except TimeoutError:
            problem = f"the catalog {catalog.name} is being opened or copied by another process: try again later"
            raise DataFolderError(problem) from None
        yield


def _users(connection: Connection, catalog: Catalog, folder: DataFolder) -> list[str]:
    return processes.users(connection) if catalog.shared else users_of(connection, folder.nodes)


def _store_of(place: Place, folder: DataFolder) -> str:
    return shown(place.store.rstrip("/")) if place.store else repr(str(folder.blobs))


def _identity(source: End) -> str:
    """Return what tells a service from all others: its key does, which nothing may show."""
    key = signing_key(source.folder, source.catalog)
    return blake2b(key, digest_size=16, person=b"ctxmgr copy").hexdigest()


def _check_same(found: CopyMark | None, mark: CopyMark, catalog: Catalog) -> None:
    if found is None:
        raise DataFolderError(f"the catalog {catalog.name} is a copy that does not say of what: name an empty database")
    begun = f"the catalog {catalog.name} is an unfinished copy of {found.source}"
    begin_anew = "to begin anew, name an empty database, or a folder that does not exist yet, and an empty store"
    if found.identity != mark.identity:
        raise DataFolderError(f"{begun}, which is another service than {mark.source}: {begin_anew}")
    if found.store != mark.store:
        raise DataFolderError(f"{begun} with its content in {found.store}, not in {mark.store}: name that store")
    if found.schema != mark.schema:
        raise DataFolderError(
            f"{begun} with schema {found.schema}, and this version of ctxmgr makes {mark.schema}: go on with the one "
            f"that began it; {begin_anew}"
        )


def _check_empty(connection: Connection, catalog: Catalog, packs: BlobStore, store: str, source: End) -> None:
    if (done := copymark.find(connection)) is not None:
        raise DataFolderError(
            f"the catalog {catalog.name} is a complete copy of {done.source}, and services may have used it since: to "
            "copy once more, name an empty database, or a folder that does not exist yet, and an empty store"
        )
    if versions.has_tables(connection):
        raise DataFolderError(
            f"the catalog {catalog.name} has been used, and a copy goes into an empty one: name an empty database, or "
            "a folder that does not exist yet"
        )
    if store != source.store and not packs.is_empty():
        raise DataFolderError(f"the store {store} has packs, and a copy goes into an empty one: name another")
