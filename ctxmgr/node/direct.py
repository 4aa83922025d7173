"""The way straight to the object store behind a service, by presigned URLs, for as long as it works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence
from typing import Final, TypeVar

from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.content.runs import runs
from ctxmgr.errors import ProtocolError, RequestTimeout, ServiceError, TransportError

from .door import Door, Unreachable

__all__ = ["Direct"]

_log = logging.getLogger("ctxmgr")
_Message = TypeVar("_Message", nodewire.UploadUrl, nodewire.PackUrls)

AWAY_SECONDS: Final = 300.0
"""How long content goes through the service, once the way has failed."""
_ATTEMPTS: Final = 2
_LEAST_READ: Final = 256 << 10
"""Bytes that are worth a request of their own: the service answers many small pieces in one."""
_MAX_KNOWN: Final = 1_000
_NOT_UPLOADED: Final = "InvalidStage.NotFound"
_EXPIRED: Final = 403
_GONE: Final = frozenset([404, 416])
"""What is told of a pack that is not there any more, or not whole; the service knows more about it."""


class Direct:
    """See the module. What can't go this way is left to the caller. Used by several threads at once.

    Args:
        door: the way to the service.
        offered: whether the service says that there is this one.
    """

    def __init__(self, door: Door, *, offered: bool) -> None:
        self._door = door
        self._closed_until = 0.0 if offered else float("inf")
        self._guard = threading.Lock()
        self._told = False
        self._urls: dict[str, tuple[str, float]] = {}

    def put(self, pack: SealedPack) -> bool:
        """Send a pack to the store, and have the service take it from there; return whether that is done.

        Raises:
            ServiceError: the service can't be reached, or refuses the pack.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            if not self._is_open():
                break
            try:
                signed = self._signed(nodewire.PutUrl(pack.name), nodewire.UploadUrl)
                if not signed.url:
                    break
                self._door.send(signed.url, pack.data)
                proof = blake3(pack.data, key=signed.challenge).digest()
                self._door.call(nodewire.StorePack(pack.name, len(pack.data), proof=proof), nodewire.Done)
            except TransportError as error:
                self._failed(error, attempt)
            except ServiceError as error:
                if error.code != _NOT_UPLOADED:
                    raise
                if attempt == _ATTEMPTS:
                    # Whatever it is that answers there keeps nothing.
                    self._close(error)
            else:
                return True
        return False

    def read(self, places: Sequence[Located]) -> dict[Located, memoryview]:
        """Read what lies together in large pieces from the store; the rest is absent.

        Raises:
            ServiceError: the service can't be reached.
        """
        if not self._is_open():
            return {}
        large = [run for run in runs(sorted(set(places))) if sum(place.stored for place in run) >= _LEAST_READ]
        self._learn({run[0].pack for run in large})
        found: dict[Located, memoryview] = {}
        for run in large:
            start = run[0].offset
            data = self._read_run(run[0].pack, start, max(place.offset + place.stored for place in run))
            if data is not None:
                for place in run:
                    found[place] = data[place.offset - start : place.offset - start + place.stored]
        return found

    def _read_run(self, pack: str, start: int, end: int) -> memoryview | None:
        for attempt in range(1, _ATTEMPTS + 1):
            self._learn({pack})
            with self._guard:
                url, _ = self._urls.get(pack, ("", 0.0))
            if not url or not self._is_open():
                break
            try:
                return memoryview(self._door.fetch(url, start, end))
            except TransportError as error:
                with self._guard:
                    self._urls.pop(pack, None)
                if getattr(error, "http_status", 0) in _GONE:
                    break
                self._failed(error, attempt)
        return None

    def _learn(self, packs: Collection[str]) -> None:
        """Have the URLs of packs known, also that one has none."""
        now = time.monotonic()
        with self._guard:
            if len(self._urls) > _MAX_KNOWN:
                self._urls.clear()
            unknown = sorted(pack for pack in packs if self._urls.get(pack, ("", 0.0))[1] < now)
        for at in range(0, len(unknown), nodewire.MAX_URLS):
            asked = unknown[at : at + nodewire.MAX_URLS]
            told = self._signed(nodewire.GetUrls(asked), nodewire.PackUrls)
            # A URL that is used up to its last second may be over when the store looks at it.
            until = now + (told.seconds / 2 or AWAY_SECONDS)
            with self._guard:
                self._urls.update((pack, (told.urls.get(pack, ""), until)) for pack in asked)

    def _signed(self, message: nodewire.Message, kind: type[_Message]) -> _Message:
        """Ask for URLs; a service that does not know of any, as an older one may, has none."""
        try:
            return self._door.call(message, kind)
        except Unreachable:
            raise
        except ServiceError:
            return kind()

    def _is_open(self) -> bool:
        return time.monotonic() >= self._closed_until

    def _failed(self, error: TransportError, attempt: int) -> None:
        """Take note of a failure; what broke on the way is tried again, by a new URL, before the way is given up."""
        if isinstance(error, ProtocolError):
            passing = error.http_status >= 500 or error.http_status == _EXPIRED
        else:
            passing = error.received and not isinstance(error, RequestTimeout)
        if passing and attempt < _ATTEMPTS:
            return
        self._close(error)

    def _close(self, error: Exception) -> None:
        self._closed_until = time.monotonic() + AWAY_SECONDS
        if not self._told:
            self._told = True
            _log.info("the store can't be reached from here, and content goes through the service: %s", error)
