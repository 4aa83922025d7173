"""The calls of nodes, by name, and the way from a request's body to its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.service.tasks.runtime import Runtime
from ctxmgr.service.tasks.watch import Watch

from . import content, contexts, direct, sessions, tasks
from .refusals import refused

__all__ = ["ANSWERING", "CALLS", "STORING", "WRITING", "OpenedCall", "open_call"]

CALLS: Final[Mapping[str, Callable[[Runtime, str, Any], nodewire.Message | bytes]]] = {
    "answer": sessions.answer,
    "attach": sessions.attach,
    "changes": contexts.changes_since,
    "commit": tasks.commit,
    "fail": tasks.fail,
    "held": contexts.held,
    "get_urls": direct.get_urls,
    "hello": sessions.hello,
    "key": contexts.key_of,
    "leave": sessions.leave,
    "locate": content.locate,
    "lost": contexts.lost,
    "missing": content.missing,
    "pack": content.store_pack,
    "policy": tasks.policy,
    "progress": tasks.progress,
    "put_url": direct.put_url,
    nodewire.READ: content.read,
    "stage": content.stage,
    "start": tasks.start,
    "take": sessions.take,
    "unchanged": contexts.unchanged,
    "uploaded": contexts.uploaded,
}
ANSWERING: Final = frozenset(
    ["changes", "get_urls", "held", "locate", "lost", "missing", "put_url", nodewire.READ, "unchanged", "uploaded"]
)
"""Calls that may look at much, and answer much."""
STORING: Final = frozenset(["commit", "pack", "stage"])
"""Calls that may bring much."""
WRITING: Final = frozenset(["attach", "fail", "leave", "progress", "start"])
"""Calls that write to the catalog, and so wait for others that do."""


@dataclass(frozen=True)
class OpenedCall:
    """A call whose message was read.

    Attributes:
        watch: what it waits for before it is answered; None if it is to be answered now.
        answer: makes the answer's body; what it raises is a ``ServiceError``.
    """

    watch: Watch | None
    answer: Callable[[], bytes]


def open_call(runtime: Runtime, name: str, body: bytes, account: str) -> OpenedCall:
    """Begin to answer a call.

    Raises:
        ServiceError: there is no such call, or its message can't be read, or is refused at once.
    """
    perform = CALLS.get(name)
    if perform is None:
        raise ServiceError("InvalidPath.NotFound", f"there is no call {name[:80]!r} for nodes: see docs/protocol.md")
    kind, _ = nodewire.CALLS[name]
    with refused(name):
        message = nodewire.decode(body, kind)
        watch = None
        if isinstance(message, nodewire.Take):
            watch = runtime.catalog.insist(partial(sessions.watch_take, runtime, account, message))

    def answer() -> bytes:
        with refused(name):
            runtime.check_open()
            told = runtime.catalog.insist(partial(perform, runtime, account, message))
        return told if isinstance(told, bytes) else nodewire.encode(told)

    return OpenedCall(watch, answer)
