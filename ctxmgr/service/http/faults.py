"""The seam at which a test makes the service behave badly; a service that is not under test has none of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ctxmgr.errors import ServiceError

__all__ = ["Dropped", "Interfere", "Interference"]


class Dropped(Exception):
    """A test wants the connection cut."""


@dataclass(frozen=True)
class Interference:
    """What happens to one request.

    Attributes:
        refuse: answer with this instead.
        drop: cut the connection instead of answering: "before" the request is carried out, or "after".
    """

    refuse: ServiceError | None = None
    drop: str = ""


Interfere = Callable[[str], Awaitable[Interference | None]]
"""Is asked about every request, by its action, before it is carried out; may take its time."""
