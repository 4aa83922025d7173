"""Where a service keeps what it keeps: the data folder, and the catalog and the store, which may be elsewhere."""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select

from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.engine.workspace.durable import replace_durably
from ctxmgr.engine.workspace.locks import lock_of
from ctxmgr.errors import DataFolderError
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.schema import meta
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.storage.direct import DirectAccess
from ctxmgr.service.storage.signing import Signer, load_key, new_key

from . import processes
from .nodes import users_of

__all__ = ["Places"]

OPEN_TIMEOUT: Final = 60.0
_URL_KEY: Final = "url key"
_PASSED: Final = "store.passed"


@dataclass(frozen=True)
class Places:
    """What is open.

    Attributes:
        direct: the way of nodes straight to the store; None where there is none.
        home: names the data folder among those of the services that share a catalog; "" where none is shared.
    """

    folder: DataFolder
    catalog: Catalog
    packs: BlobStore
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
                # The rest is looked at and made by one process at a time.
                with lock_of(folder.locks / "open.lock", timeout=OPEN_TIMEOUT):
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
                    key = _shared_key(opened) if opened.shared else load_key(folder.url_key)
                    home = _home(folder.root / "home") if opened.shared else ""
            except ContentError as error:
                raise DataFolderError(str(error)) from error
            undo.pop_all()
        return cls(folder, opened, packs, direct, Signer(key), home)

    def close(self) -> None:
        """Close what is open."""
        self.catalog.close()
        self.folder.close()


def _shared_key(catalog: Catalog) -> bytes:
    """Return the key with which all services that share a catalog sign URLs."""
    with catalog.write(_URL_KEY) as connection:
        there = connection.execute(select(meta.c.value).where(meta.c.key == _URL_KEY)).scalar_one_or_none()
        if there is None:
            there = base64.b64encode(new_key()).decode()
            connection.execute(insert(meta).values(key=_URL_KEY, value=there))
    return base64.b64decode(there)


def _home(file: Path) -> str:
    if not file.exists():
        replace_durably(file, secrets.token_hex(16).encode(), unfinished=file.with_suffix(".new"))
    return file.read_text()
