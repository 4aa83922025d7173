"""What nodes send in pieces to services that share an object store: each piece may come to another service.

So each is an object, found by its offset. What nobody takes is removed by a prune, like other uploads.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import obstore
from blake3 import blake3
from obstore.exceptions import BaseError

from ctxmgr.errors import ServiceError
from ctxmgr.oserrors import described

from .blobstore import UPLOADS
from .objectstore import check_process, first_line
from .room import check_room
from .staging import StagedMissing, check_quota, check_size

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["ObjectStaging"]

_log: Final = logging.getLogger(__name__)
_FOLDER: Final = f"{UPLOADS}/staged"
_SECONDS_BETWEEN_COUNTS: Final = 10.0


class ObjectStaging:
    """Does in an object store what ``Staging`` does in a folder. Can be used by several threads at once."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        """Use an object store.

        Args:
            store: where pieces are.
            folder: where something is put together when it is taken.
        """
        self._store = store
        self._folder = folder
        self._counted: dict[str, tuple[float, dict[str, int]]] = {}

    def add(self, account: str, name: str, size: int, offset: int, piece: bytes) -> int:
        """Store a piece of something, and return up to where it is there, if all pieces before are.

        Raises:
            ServiceError: it is too large, or there is no room for it; or the store can't be used now.
        """
        check_size(size, offset, piece)
        if not piece:
            return offset
        check_process()
        try:
            self._count(account, name, len(piece))
            obstore.put(self._store, f"{_place(account)}/{name}/{offset}", piece)
        except (BaseError, OSError) as error:
            raise _unusable(error) from error
        return offset + len(piece)

    @contextmanager
    def taken(self, account: str, name: str) -> Iterator[IO[bytes]]:
        """Open something that was staged whole; afterwards, unless that failed, it is gone.

        Raises:
            StagedMissing: it is not there, or not what its name says; to be sent again.
            ServiceError: the store can't be used now.
        """
        check_process()
        try:
            pieces = self._pieces(account, name)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  (closed below)
        except (BaseError, OSError) as error:
            raise _unusable(error) from error
        with file:
            if self._put_together(pieces, file) != name:
                self._forget(pieces)
                raise StagedMissing(name)
            file.seek(0)
            yield file
        self._forget(pieces)

    def _put_together(self, pieces: dict[int, tuple[str, int]], file: IO[bytes]) -> str:
        """Write pieces into a file as far as they follow each other, and return the BLAKE3 of that."""
        digest, end = blake3(), 0
        try:
            while end in pieces:
                path, size = pieces[end]
                check_room(self._folder, size)
                piece = bytes(obstore.get(self._store, path).bytes())
                file.write(piece)
                digest.update(piece)
                end += len(piece)
        except FileNotFoundError:
            return ""  # another service has taken it
        except (BaseError, OSError) as error:
            raise _unusable(error) from error
        return digest.hexdigest()

    def _pieces(self, account: str, name: str) -> dict[int, tuple[str, int]]:
        """Return the keys and sizes of pieces, by offset."""
        listed = [item for batch in obstore.list(self._store, f"{_place(account)}/{name}") for item in batch]
        return {int(item["path"].rpartition("/")[2]): (item["path"], item["size"]) for item in listed if item["size"]}

    def _forget(self, pieces: dict[int, tuple[str, int]]) -> None:
        try:
            obstore.delete(self._store, [path for path, _ in pieces.values()])
        except FileNotFoundError:
            pass  # by another service
        except (BaseError, OSError) as error:
            _log.info("what was staged can't be removed, and a prune will: %s", first_line(error))

    def _count(self, account: str, name: str, size: int) -> None:
        """Count what an account adds to what it has staged.

        Raises:
            ServiceError: that is too much.
        """
        counted, staged = self._counted.get(account, (0.0, {}))
        now = time.monotonic()
        if now - counted > _SECONDS_BETWEEN_COUNTS:
            staged = {}
            for batch in obstore.list(self._store, _place(account)):
                for item in batch:
                    of = item["path"].split("/")[-2]
                    staged[of] = staged.get(of, 0) + item["size"]
            self._counted[account] = (now, staged)
        check_quota(list(staged.values()), size)
        staged[name] = staged.get(name, 0) + size


def _place(account: str) -> str:
    return f"{_FOLDER}/{sha256(account.encode()).hexdigest()[:32]}"


def _unusable(error: BaseException) -> ServiceError:
    problem = described(error) if isinstance(error, OSError) and error.errno is not None else first_line(error)
    return ServiceError("ServiceUnavailable.Staging", f"an upload can't be stored for now: {problem}")
