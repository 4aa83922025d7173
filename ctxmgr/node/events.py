"""What becomes of a node, for whoever shows it to people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

__all__ = ["Event", "Listener", "nobody"]


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        kind: ``lost`` and ``found``: the service can't be asked for tasks, and can again. ``displaced`` and
            ``regained``: another process is the session's node, and this one again. ``ended``: this process runs
            nothing of the session any more. ``synced``: a task is over here, however it ended.
        session_id: empty for what concerns all of them.
        text: why; for ``synced``, the task's id.
    """

    kind: Literal["lost", "found", "displaced", "regained", "ended", "synced"]
    session_id: str = ""
    text: str = ""


Listener = Callable[[Event], object]
"""Called on the node's own threads: it must return at once, and must not raise."""


def nobody(event: Event) -> None:
    """Listen to nothing."""
