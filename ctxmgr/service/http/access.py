"""Who is let in: the account behind a request's key."""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog.keys import Keys

__all__ = ["Caller", "Doorkeeper"]

SECONDS_REMEMBERED = 1.0
SECONDS_BETWEEN_USES = 60.0
MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Caller:
    """Who asks: an account, by one of its keys."""

    account: str
    key_id: str


class Doorkeeper:
    """Tells accounts by their keys. Can be called from any thread.

    A key that was good is remembered, by its hash, for a second: so long it may take until a revoked one is refused.

    Args:
        keys: the catalog's.
        own_key: a key that opens the account "local" without being in the catalog; "" for none.

    Attributes:
        later: runs what nobody need wait for, since it writes.
    """

    def __init__(self, keys: Keys, own_key: str = "") -> None:
        self._keys = keys
        self._own = _digest(own_key) if own_key else b""
        self._used: dict[str, float] = {}
        self.later: Callable[[Callable[[], None]], None] = lambda job: job()
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    def admit(self, key: str) -> Caller:
        """Return the owner of a key.

        Raises:
            ServiceError: ``Forbidden.NoKey`` or ``Forbidden.Key``.
        """
        if not key:
            raise ServiceError("Forbidden.NoKey", "the request has no key: send Authorization=Bearer and a key")
        digest = _digest(key)
        if self._own and hmac.compare_digest(digest, self._own):
            return Caller("local", "environment")
        now = time.monotonic()
        remembered = self._remembered.get(digest)
        if remembered is not None and remembered[1] > now:
            return remembered[0]
        found = self._keys.find(key)
        if found is None:
            self._remembered.pop(digest, None)
            raise ServiceError("Forbidden.Key", "the key is unknown here, or was revoked: ask for another one")
        caller = Caller(found.account, found.id)
        if self._used.get(found.id, -math.inf) < now - SECONDS_BETWEEN_USES:
            self._used[found.id] = now
            self.later(partial(self._keys.note_use, found))
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = (caller, now + SECONDS_REMEMBERED)
        return caller


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
