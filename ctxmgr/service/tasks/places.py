"""Where a service keeps what it keeps: the data folder, and the catalog and the store, which may be elsewhere."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from filelock import Timeout
from sqlalchemy import Connection, delete, insert, select

from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.durable import replace_durably
from ctxmgr.engine.workspace.locks import lock_of
from ctxmgr.errors import DataFolderError
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.schema import meta
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.storage.direct import DirectAccess
from ctxmgr.service.storage.objectstaging import ObjectStaging
from ctxmgr.service.storage.objectstore import open_store
from ctxmgr.service.storage.signing import Signer, load_key, new_key
from ctxmgr.service.storage.staging import Staging

from . import processes
from .nodes import users_of

__all__ = ["Places", "home_of", "keep_signing_key", "opening", "signing_key"]

OPEN_TIMEOUT: Final = 60.0
_URL_KEY: Final = "url key"
_PASSED: Final = "store.passed"


@dataclass(frozen=True)
class Places:
    """What is open.

    Attributes:
        staging: where nodes send things in pieces.
        direct: the way of nodes straight to the store; None where there is none.
        home: names the data folder among those of the services that share a catalog; "" where none is shared.
    """

    folder: DataFolder
    catalog: Catalog
    packs: BlobStore
    staging: Staging | ObjectStaging
    direct: DirectAccess | None
    signer: Signer
    home: str

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        catalog: str = "",
        store: str = "",
        store_endpoint: str = "",
        serves: bool = False,
    ) -> Places:
        """Open a data folder, a catalog and a store; make what is missing.

        Args:
            path: the data folder.
            catalog: the URL of a PostgreSQL database; "" for the SQLite database in the folder.
            store: the URL of an object store; "" for files in the folder.
            store_endpoint: where nodes reach the object store; "" to have all content go through the service.
            serves: this process is a service, which tries the store at each start; a command does so once a day.

        Raises:
            DataFolderError: one of them can't be used.
        """
        folder = DataFolder.open(path)
        with ExitStack() as undo:
            undo.callback(folder.close)
            try:
                direct = DirectAccess.open(store, store_endpoint) if store_endpoint else None
                packs = BlobStore.open(store or folder.blobs, passed=None if serves else folder.root / _PASSED)
                shared = bool(catalog and store)
                staging = ObjectStaging(open_store(store), folder.staged) if shared else Staging(folder.staged)
                # The rest is looked at and made by one process at a time.
                with opening(folder):
                    expected = not packs.is_empty() if store else folder.holds_packs()
                    if catalog:
                        opened = Catalog.connect(catalog, expected=expected, users=processes.users)
                    else:
                        opened = Catalog.open(
                            folder.catalog,
                            expected=expected,
                            unwritable=folder.unwritable,
                            users=lambda connection: users_of(connection, folder.nodes),
                        )
                    undo.callback(opened.close)
                    key = signing_key(folder, opened)
                    home = home_of(folder, opened)
            except ContentError as error:
                raise DataFolderError(str(error)) from error
            undo.pop_all()
        return cls(folder, opened, packs, staging, direct, Signer(key), home)

    def close(self) -> None:
        """Close what is open."""
        self.catalog.close()
        self.folder.close()


@contextmanager
def opening(folder: DataFolder) -> Iterator[None]:
    """Keep services from being opened on a data folder for the time of a ``with`` statement.

    Raises:
        DataFolderError: another process does so, for very long.
    """
    lock = lock_of(folder.locks / "open.lock", timeout=OPEN_TIMEOUT)
    try:
        lock.acquire()
    except Timeout:
        problem = f"the data folder {str(folder.root)!r} is being opened or copied by another process: try again later"
        raise DataFolderError(problem) from None
    try:
        yield
    finally:
        lock.release()


def signing_key(folder: DataFolder, catalog: Catalog) -> bytes:
    """Return the key with which services sign URLs, made where there is none: all that share a catalog have the same.

    Raises:
        DataFolderError: it can't be read or made.
    """
    if not catalog.shared:
        return load_key(folder.url_key)
    with catalog.write(_URL_KEY) as connection:
        there = connection.execute(select(meta.c.value).where(meta.c.key == _URL_KEY)).scalar_one_or_none()
        if there is None:
            there = base64.b64encode(new_key()).decode()
            connection.execute(insert(meta).values(key=_URL_KEY, value=there))
    return base64.b64decode(there)


def keep_signing_key(folder: DataFolder, catalog: Catalog, connection: Connection, key: bytes) -> None:
    """Have services sign URLs with a key from now on."""
    if catalog.shared:
        connection.execute(delete(meta).where(meta.c.key == _URL_KEY))
        connection.execute(insert(meta).values(key=_URL_KEY, value=base64.b64encode(key).decode()))
    else:
        replace_durably(folder.url_key, key, unfinished=folder.url_key.with_suffix(".new"))


def home_of(folder: DataFolder, catalog: Catalog) -> str:
    """Return what tells a data folder from those of the other services of a catalog; "" where there are no others."""
    if not catalog.shared:
        return ""
    file = folder.root / "home"
    if not file.exists():
        replace_durably(file, secrets.token_hex(16).encode(), unfinished=file.with_suffix(".new"))
    return file.read_text()
