"""Reads and writes of a store that take their time, beside the work that needs their outcome later."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, TypeVar

from .packs import SealedPack
from .store import ContentStore

__all__ = ["Later", "Outgoing", "ahead"]

_T = TypeVar("_T")


class Later(Generic[_T]):
    """A call that runs on a thread of its own, which never keeps the interpreter from ending."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._outcome: list[_T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ctxmgr-content", daemon=True).start()

    def result(self) -> _T:
        """Wait for its end, and return what it returned or raise what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def wait(self) -> None:
        """Wait for its end, whatever that is."""
        self._ended.wait()

    def _run(self) -> None:
        try:
            self._outcome.append(self._call())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()


class Outgoing:
    """Packs on their way into a store, a few at a time. Used by one thread.

    One that could not be stored is not lost: it is tried again when the next one is put, or at the end.
    """

    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._waiting: deque[SealedPack] = deque()
        self._running: deque[tuple[SealedPack, Later[None]]] = deque()

    def put(self, pack: SealedPack) -> None:
        """Begin to store a pack, as soon as there is room for it.

        Raises:
            ContentError: an earlier one could not be stored.
        """
        self._waiting.append(pack)
        self._begin()

    def finish(self) -> None:
        """Wait until everything is stored.

        Raises:
            ContentError: something could not be.
        """
        self._begin()
        while self._running:
            self._settle()

    def _begin(self) -> None:
        while self._waiting:
            if self._content.at_once == 1:
                self._content.put(self._waiting[0])
                self._waiting.popleft()
                continue
            if len(self._running) >= self._content.at_once:
                self._settle()
            pack = self._waiting.popleft()
            self._running.append((pack, Later(partial(self._content.put, pack))))

    def _settle(self) -> None:
        pack, later = self._running.popleft()
        try:
            later.result()
        except BaseException:
            self._waiting.append(pack)
            raise


def ahead(calls: Iterator[Callable[[], _T]]) -> Iterator[_T]:
    """Make calls one after another, each while the outcome of the one before is used."""
    following: Later[_T] | None = None
    for call in calls:
        current, following = following, Later(call)
        if current is not None:
            yield current.result()
    if following is not None:
        yield following.result()
