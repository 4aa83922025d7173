"""Keeps what moves between a workspace and the store below a rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from .packs import Located, SealedPack
from .store import ContentStore

__all__ = ["ThrottledContent", "TokenBucket", "throttled"]

_BURST = 1.0  # seconds whose bytes may move at once after a pause
_STEP = 0.2  # seconds after which a wait is looked at again, so that it can be stopped


class TokenBucket:
    """Gives out bytes at a rate: whoever takes some waits until they are there. Used by several threads at once.

    Args:
        rate: bytes a second.
        check: called often while somebody waits; what it raises ends the wait.
        clock: tells seconds.
        sleep: waits for some.
    """

    def __init__(
        self,
        rate: int,
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._paid_until = clock() - _BURST

    def take(self, size: int) -> None:
        """Take bytes, also more than there are at once, and wait for them."""
        with self._lock:
            until = self._paid_until = max(self._paid_until, self._clock() - _BURST) + size / self._rate
        while (left := until - self._clock()) > 0:
            self._check()
            self._sleep(min(left, _STEP))


class ThrottledContent:
    """A ``ContentStore`` whose packs and chunks move as a bucket allows."""

    def __init__(self, content: ContentStore, bucket: TokenBucket) -> None:
        self.at_once = content.at_once
        self._content = content
        self._bucket = bucket

    def missing(self, digests: Collection[bytes]) -> set[bytes]:
        return self._content.missing(digests)

    def put(self, pack: SealedPack) -> None:
        self._bucket.take(len(pack.data))
        self._content.put(pack)

    def locate(self, digests: Collection[bytes]) -> dict[bytes, Located]:
        return self._content.locate(digests)

    def holders(self, digests: Collection[bytes]) -> set[str] | None:
        return self._content.holders(digests)

    def read(self, places: Sequence[Located]) -> Sequence[memoryview]:
        self._bucket.take(sum(place.stored for place in places))
        return self._content.read(places)


def throttled(content: ContentStore, rate: int, check: Callable[[], None]) -> ContentStore:
    """Return what stores content, at a rate in bytes a second; 0 is any."""
    return ThrottledContent(content, TokenBucket(rate, check)) if rate else content
