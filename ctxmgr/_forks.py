"""What is renewed in a forked child, which inherits locks that nobody there releases, and its parent's connections."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renewed_in_child"]


class _Renewable(Protocol):
    def renew(self) -> None:
        """Let go of what is the parent's, and start anew. No other thread runs; inherited locks must not be taken."""


_renewable: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renewed_in_child(thing: _Renewable) -> None:
    """Have a thing renewed first thing in every forked child, as long as it lives."""
    _renewable.add(thing)


def _renew_all() -> None:
    for thing in list(_renewable):
        thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
