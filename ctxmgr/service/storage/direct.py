"""The way of nodes straight to the object store: presigned URLs of single objects, and what was uploaded by them.

An upload lies under a key of its account's own, which the holder of its URL may write again for as long as that lives.
So it is copied, inside the store, to a key that no URL was ever made for; there it is read and compared, and from there
it is copied to where packs lie: what is kept is what was read, whatever the node does meanwhile. What a crash leaves of
that, a prune removes.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

import obstore
from obstore.exceptions import BaseError

from ctxmgr.engine.manifest.errors import ContentError

from .blobstore import UPLOADS
from .objectstore import check_process, first_line, open_store, shown
from .packfiles import pack_key
from .staging import StagedMissing

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["VALID_SECONDS", "DirectAccess", "Uploaded"]

VALID_SECONDS: Final = 600
"""How long a URL lives: a transfer that has begun by then goes on."""

_log: Final = logging.getLogger(__name__)
_TAKEN: Final = f"{UPLOADS}/taken"


class Uploaded:
    """What was uploaded, where nobody but this service can change it.

    Attributes:
        data: all of it.
    """

    def __init__(self, store: S3Store, key: str, data: bytes) -> None:
        self._store = store
        self._key = key
        self.data = data

    def keep_as(self, name: str) -> None:
        """Store it as a pack, without sending it again.

        Raises:
            ContentError: it could not be stored.
        """
        try:
            obstore.copy(self._store, self._key, pack_key(name))
        except (OSError, BaseError) as error:
            raise ContentError(f"pack {name} can't be stored in the blob store: {first_line(error)}") from error


class DirectAccess:
    """See the module. Used by several threads at once."""

    def __init__(self, store: S3Store, signing: S3Store) -> None:
        """Use an S3 store.

        Args:
            store: as this service reaches it.
            signing: the same, as nodes reach it.
        """
        self._store = store
        self._signing = signing

    @classmethod
    def open(cls, url: str, endpoint: str) -> DirectAccess:
        """Open the store at a URL for nodes that reach it at an endpoint.

        Raises:
            ContentError: there are no presigned URLs of such a store, or the endpoint is none.
        """
        if not url.startswith("s3://"):
            kept = f"in {shown(url)}" if url else "in the data folder"
            raise ContentError(f"nodes can be sent straight to an S3 store alone, and content is kept {kept}")
        if not re.fullmatch(r"https?://[^/?#@\s]+/?", endpoint):
            raise ContentError(
                f"the endpoint of the store for nodes is {endpoint!r}: give a scheme, a host and maybe a port, such as "
                "https://s3.eu-central-1.amazonaws.com"
            )
        return cls(open_store(url), open_store(url, endpoint=endpoint.rstrip("/")))  # type: ignore[arg-type] # it is s3

    def put_url(self, account: str, name: str) -> str:
        """Return a URL to which an account can send a pack; "" where none can be made."""
        return self._signed("PUT", [_upload_key(account, name)])[0]

    def get_urls(self, names: list[str]) -> list[str]:
        """Return URLs from which packs can be read, in their order; "" where none can be made."""
        return self._signed("GET", [pack_key(name) for name in names])

    @contextmanager
    def taken(self, account: str, name: str, most: int) -> Iterator[Uploaded]:
        """Take what an account has uploaded; afterwards it is gone, unless it was kept.

        Args:
            most: bytes that it may have.

        Raises:
            StagedMissing: it is not there, or too large to be it.
            ContentError: the store can't be asked.
        """
        check_process()
        upload, own = _upload_key(account, name), f"{_TAKEN}/{secrets.token_hex(16)}"
        try:
            yield Uploaded(self._store, own, self._moved(upload, own, name, most))
        finally:
            with suppress(BaseError, OSError):  # what is left is removed by a prune
                obstore.delete(self._store, [upload, own])

    def _moved(self, upload: str, own: str, name: str, most: int) -> bytes:
        try:
            obstore.copy(self._store, upload, own)
            found = obstore.get(self._store, own)
            if found.meta["size"] <= most:
                return bytes(found.bytes())
        except FileNotFoundError:
            pass
        except (OSError, BaseError) as error:
            raise ContentError(f"the upload of pack {name} can't be read: {first_line(error)}") from error
        raise StagedMissing(name)

    def _signed(self, method: Literal["GET", "PUT"], keys: list[str]) -> list[str]:
        check_process()
        try:
            return list(obstore.sign(self._signing, method, keys, timedelta(seconds=VALID_SECONDS)))
        except (OSError, BaseError) as error:
            _log.warning(
                "no URLs of the store can be made, and content goes through this service: %s", first_line(error)
            )
            return [""] * len(keys)


def _upload_key(account: str, name: str) -> str:
    return f"{UPLOADS}/{sha256(account.encode()).hexdigest()[:32]}/{name}"
