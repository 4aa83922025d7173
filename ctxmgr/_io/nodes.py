"""This process as the node of sessions that a service elsewhere keeps."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING

from ctxmgr._embedded import open_node
from ctxmgr._forks import renewed_in_child
from ctxmgr.config import Config
from ctxmgr.errors import ClosedError

from ._door import DoorWire
from .http import HttpSession

if TYPE_CHECKING:
    from ctxmgr.node.events import Listener
    from ctxmgr.node.node import Identity, Node

__all__ = ["LocalNode"]


class LocalNode:
    """The node of one client, opened when a session first needs it.

    Args:
        config: where the service is.
        session: the caller's own session, used as it is set up and left open; ``None`` makes connections of its own.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        self._connect = partial(DoorWire, config, session)
        self._closed = False
        self._begin()
        renewed_in_child(self)

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._node: Node | None = None

    def renew(self) -> None:
        """Leave the node to the parent in a forked child, which becomes one of its own when it needs it."""
        self._begin()

    def open(self) -> Identity:
        """Return who this process is to the service.

        Raises:
            as ``open_node``.
            ClosedError: the client is closed.
        """
        return self._opened().identity

    def serve(self, session_id: str, root: str) -> None:
        """Run the tasks of a session that was made with this node, in a directory.

        Args:
            root: the directory's real path.
        """
        self._opened().serve(session_id, root)

    def attach(self, session_id: str, root: str) -> tuple[str, ...]:
        """Become the node of a session that exists.

        Args:
            root: the directory's real path.

        Returns:
            the ids of the tasks that began with this.

        Raises:
            ServiceError: ``Node.Conflict`` while another process is its node; or the service refuses it.
            TransportError: the service can't be asked.
        """
        return self._opened().attach(session_id, root)

    def listen(self, listener: Listener) -> None:
        """Have what happens to the node told from now on."""
        self._opened().listener = listener

    def close(self, grace: float | None = None) -> bool:
        """Stop what runs, and leave the sessions; return whether all that ran ended by itself.

        Args:
            grace: seconds that running tasks get; ``None`` for a moment.
        """
        with self._guard:
            self._closed = True
            node, self._node = self._node, None
        if node is None:
            return True
        return node.close() if grace is None else node.close(grace)

    def _opened(self) -> Node:
        with self._guard:
            if self._closed:
                raise ClosedError("the client is closed")
            if self._node is None:
                self._node = open_node(self._connect)
                weakref.finalize(self, self._node.drop).atexit = False
            return self._node
