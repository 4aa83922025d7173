"""No connection to SQLite crosses a fork: two processes with the same one would break each other's locks, and the file.

SQLite keeps its locks by process, and remembers in its own memory which it holds. A forked child that had as much as an
idle connection would believe in locks that it does not have, for connections of its own too.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["inherits_connections", "transaction", "without_connections"]

PATIENCE = 10.0  # seconds that a fork waits for the transactions that are under way


class _Closable(Protocol):
    def close(self) -> None:
        """Close the connections that are not in use."""


class _Transactions:
    """The transactions under way in this process, which a fork waits for, and which wait for a fork."""

    def __init__(self) -> None:
        self.inherited = False
        self.catalogs: weakref.WeakSet[_Closable] = weakref.WeakSet()
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._forks = 0
        self._own = threading.local()

    @property
    def _depth(self) -> int:
        depth: int = getattr(self._own, "depth", 0)
        return depth

    def enter(self) -> None:
        if not self._depth:
            with self._changed:
                self._changed.wait_for(lambda: not self._forks)
                self._running += 1
        self._own.depth = self._depth + 1

    def leave(self) -> None:
        self._own.depth = self._depth - 1
        if not self._depth:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._forks += 1
            self.inherited |= not self._changed.wait_for(lambda: not self._running, PATIENCE)
        for catalog in list(self.catalogs):
            catalog.close()

    def after_in_parent(self) -> None:
        with self._changed:
            self._forks -= 1
            self.inherited = False
            self._changed.notify_all()

    def after_in_child(self) -> None:
        self._begin()


_transactions = _Transactions()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_transactions.before_fork,
        after_in_parent=_transactions.after_in_parent,
        after_in_child=_transactions.after_in_child,
    )


@contextmanager
def transaction() -> Iterator[None]:
    """Hold off forks for the time of a ``with`` statement."""
    _transactions.enter()
    try:
        yield
    finally:
        _transactions.leave()


def without_connections(catalog: _Closable) -> None:
    """Have the idle connections of a catalog closed before each fork."""
    _transactions.catalogs.add(catalog)


def inherits_connections() -> bool:
    """Whether this process was forked in the middle of a transaction, so that SQLite is not safe to use in it."""
    return _transactions.inherited
