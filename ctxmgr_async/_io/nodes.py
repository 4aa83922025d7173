"""This process as the node of sessions that a service elsewhere keeps, on threads."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ctxmgr._embedded import open_node
from ctxmgr._forks import renewed_in_child
from ctxmgr._io._door import DoorWire
from ctxmgr.config import Config
from ctxmgr.errors import ClosedError

from .closing import of_parent
from .http import HttpSession

if TYPE_CHECKING:
    from ctxmgr.node.node import Identity, Node

__all__ = ["LocalNode"]

_T = TypeVar("_T")


class LocalNode:
    """The node of one client, opened when a session first needs it. It works on threads, so that the loop goes on.

    Args:
        config: where the service is.
        session: means nothing here: threads need connections of their own.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        self._connect = partial(DoorWire, config)
        self._threads: ThreadPoolExecutor | None = None
        self._opening: asyncio.Future[Node] | None = None
        self._closed = False
        self._is_parents = False
        renewed_in_child(self)

    def renew(self) -> None:
        """Leave the node to the parent in a forked child."""
        self._is_parents = True
        self._opening = self._threads = None

    async def open(self) -> Identity:
        """Return who this process is to the service.

        Raises:
            as ``open_node``.
            ClosedError: the client is closed.
        """
        return (await self._opened()).identity

    async def serve(self, session_id: str, root: str) -> None:
        """Run the tasks of a session that was made with this node, in a directory.

        Args:
            root: the directory's real path.
        """
        (await self._opened()).serve(session_id, root)

    async def attach(self, session_id: str, root: str) -> tuple[str, ...]:
        """Become the node of a session that exists.

        Args:
            root: the directory's real path.

        Returns:
            the ids of the tasks that began with this.

        Raises:
            ServiceError: ``Node.Conflict`` while another process is its node; or the service refuses it.
            TransportError: the service can't be asked.
        """
        node = await self._opened()
        return await self._call(lambda: node.attach(session_id, root))

    async def close(self) -> None:
        """Stop what runs, and leave the sessions."""
        self._closed = True
        opening, self._opening = self._opening, None
        if opening is not None:
            await asyncio.wait({opening})
            if not opening.cancelled() and opening.exception() is None:
                await self._call(opening.result().close)
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def _opened(self) -> Node:
        if self._is_parents:
            raise of_parent()
        if self._closed:
            raise ClosedError("the client is closed")
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.ensure_future(self._call(self._open))
        # Shielded: who is cancelled while it opens must not leave a node behind that nobody closes.
        return await asyncio.shield(self._opening)

    def _open(self) -> Node:
        node = open_node(self._connect)
        weakref.finalize(self, node.drop).atexit = False
        return node

    async def _call(self, function: Callable[[], _T]) -> _T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(2, thread_name_prefix="ctxmgr-node-calls")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)
