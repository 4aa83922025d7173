"""A node: this process as the one that has the directories of its sessions, from its first word to its leaving."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import Final, NamedTuple

from ctxmgr import nodewire
from ctxmgr.engine.sync.task import TaskInterrupted
from ctxmgr.errors import ProtocolError, ServiceError, TransportError

from .door import Connect, Door, Unreachable, Wire
from .events import Event, Listener, nobody
from .folder import made
from .runner import Runner

__all__ = ["Identity", "Node"]

_log = logging.getLogger("ctxmgr")

NO_NODES: Final = "Session.NoNodes"
GRACE: Final = 2.0
STOP_TIMEOUT: Final = 3.0
LEAVE_SECONDS: Final = 2.0
FIRST_PATIENCE: Final = 3.0
SILENT_SECONDS: Final = 10.0
STANDBY_MS: Final = 2_000
AGAIN_SECONDS: Final = 0.2
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Identity(NamedTuple):
    """Who a node is to the service, and to the people who look for it."""

    id: str
    host: str
    pid: int


class Node:
    """Takes the tasks of its sessions and runs them, on threads that never keep the interpreter from ending.

    A node is known alive by its asking for tasks. After a lost connection it goes on by itself; where another process
    has become the node of a session meanwhile, it stands by until that one leaves.

    Attributes:
        identity: see ``Identity``.
        listener: hears what happens.
    """

    def __init__(self, connect: Connect, wire: Wire, welcome: nodewire.Welcome, folder: Path) -> None:
        self.identity = Identity(f"node-{secrets.token_hex(16)}", socket.gethostname(), os.getpid())
        self._connect = connect
        self._wire = wire
        self._wait_ms = welcome.wait_ms
        # What waits for a node of its session waits for a lease.
        self._standby_ms = min(STANDBY_MS, welcome.lease_ms // 4)
        self.listener: Listener = nobody
        self._closing = threading.Event()
        self._door = Door(wire, self._closing)
        self._runner = Runner(self._door, wire.place, self.identity.id, welcome, folder, self._tell)
        self._guard = threading.Lock()
        self._standby: set[str] = set()
        self._displaced: set[str] = set()
        self._taking = False
        self._left = False
        atexit.register(self.close)

    @classmethod
    def open(cls, connect: Connect, folder: str | os.PathLike[str]) -> Node:
        """Become a node of a service.

        Args:
            connect: makes a way to the service.
            folder: where to remember what the directories had at their last syncs; made if it does not exist.

        Raises:
            ServiceError: the service has no nodes, or refuses this one.
            TransportError: the service can't be asked.
            DataFolderError: the folder can't be used.
        """
        wire = connect()
        try:
            return cls(connect, wire, _greeted(Door(wire, threading.Event())), made(folder))
        except BaseException:
            wire.close()
            raise

    def serve(self, session_id: str, root: str) -> None:
        """Run the tasks of a session that was made with this node, in a directory.

        Args:
            root: the directory's real path.
        """
        self._runner.add(session_id, root)
        self._begin()

    def attach(self, session_id: str, root: str) -> tuple[str, ...]:
        """Become the node of a session that exists; return the ids of the tasks that began with this.

        Raises:
            ServiceError: ``Node.Conflict`` while another process is its node; or the service refuses it.
            Unreachable: the service can't be asked.
        """
        known = self._runner.root_of(session_id)
        self._runner.add(session_id, root)
        try:
            began = self._ask_for(session_id, root, FIRST_PATIENCE)
        except BaseException:
            if known is None:
                self._runner.remove(session_id)
            else:
                self._runner.add(session_id, known)
            raise
        self._begin()
        return began

    def close(self, grace: float = GRACE) -> bool:
        """Stop what runs, and leave the sessions; return whether all that ran ended by itself. Again is allowed.

        Args:
            grace: seconds that running tasks get.
        """
        if self.identity.pid != os.getpid():
            return True  # a forked child is no node, and the lock may be held by a thread that it does not have
        with self._guard:
            if self._left:
                return True
            self._left = True
        atexit.unregister(self.close)
        ended = self._runner.finish(grace)
        if not ended:
            self._runner.stop()
        self._closing.set()
        self._wire.close()  # whoever waits for an answer gets an error at once, and sees why
        self._runner.finish(STOP_TIMEOUT)
        if self._taking:
            self._leave()
        return ended

    def _tell(self, event: Event) -> None:
        self.listener(event)

    def drop(self) -> None:
        """Close a node that nobody holds any more, without keeping up whoever notices that."""
        if self.identity.pid == os.getpid() and not self._left:
            threading.Thread(target=self.close, args=(0.0,), name="ctxmgr-node-end", daemon=True).start()

    def _leave(self) -> None:
        wire = self._connect()
        try:
            leaving = nodewire.Leave(self.identity.id)
            Door(wire, threading.Event()).call(leaving, nodewire.Done, patience=0, wait=LEAVE_SECONDS)
        except (ServiceError, TaskInterrupted) as error:
            _log.info("the service could not be told that this node leaves, and will notice by its lease: %s", error)
        finally:
            wire.close()

    def _begin(self) -> None:
        with self._guard:
            if self._taking or self._left:
                return
            self._taking = True
        threading.Thread(target=self._take_on_and_on, name="ctxmgr-node", daemon=True).start()

    def _take_on_and_on(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._take()
                if failures:
                    self._tell(Event("found"))
                failures = 0
            except TaskInterrupted:
                return
            except Exception as error:
                level = logging.DEBUG if failures else logging.WARNING
                _log.log(level, "the service can't be asked for tasks, and is asked again: %s", error)
                if not failures:
                    self._tell(Event("lost", text=str(error)))
                self._closing.wait(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 8)))
                failures += 1

    def _take(self) -> None:
        wait_ms = min(self._wait_ms, self._standby_ms) if self._standby else self._wait_ms
        mine = self._runner.sessions() - self._standby
        asked = nodewire.Take(*self.identity, wait_ms, self._runner.given(), sorted(mine))
        # A connection that says nothing is not waited for as long as an answer elsewhere: the lease runs.
        taken = self._door.call(asked, nodewire.Taken, patience=0, wait=wait_ms / 1000 + SILENT_SECONDS)
        is_new = self._runner.take(taken)
        if not is_new and (taken.tasks or taken.stop or taken.questions):
            # What is being answered or stopped is told again until that is done.
            self._runner.settle(AGAIN_SECONDS)
        self._standby |= taken.gone.keys()
        for session_id in list(self._standby):
            self._reattach(session_id)

    def _reattach(self, session_id: str) -> None:
        root = self._runner.root_of(session_id)
        try:
            if root is not None:
                self._ask_for(session_id, root, 0)
        except Unreachable:
            return
        except ServiceError as error:
            if error.code == nodewire.NODE_CONFLICT:
                if session_id not in self._displaced:
                    self._displaced.add(session_id)
                    self._tell(Event("displaced", session_id, error.message))
                return
            _log.info("this process is not the node of the session %s any more: %s", session_id, error)
            self._runner.remove(session_id)
            self._tell(Event("ended", session_id, error.message))
        else:
            if session_id in self._displaced:
                self._tell(Event("regained", session_id))
        self._displaced.discard(session_id)
        self._standby.discard(session_id)

    def _ask_for(self, session_id: str, root: str, patience: float) -> tuple[str, ...]:
        id_, host, pid = self.identity
        asked = nodewire.Attach(id_, session_id, _shown(root), host, pid)
        return tuple(self._door.call(asked, nodewire.Attached, patience=patience, wait=SILENT_SECONDS).tasks)


def _greeted(door: Door) -> nodewire.Welcome:
    try:
        welcome = door.call(nodewire.Hello(), nodewire.Welcome, patience=FIRST_PATIENCE, wait=SILENT_SECONDS)
    except Unreachable as error:
        if isinstance(error.__cause__, TransportError) and not isinstance(error.__cause__, ProtocolError):
            raise error.__cause__ from None
        raise _no_nodes(error.message) from error
    except ServiceError as error:
        if error.code.startswith(("Forbidden", "Invalid", "Unauthorized", "Throttling")) and "Action" not in error.code:
            raise
        raise _no_nodes(str(error)) from error
    if welcome.version != nodewire.VERSION:
        raise _no_nodes(f"it speaks version {welcome.version} to its nodes, and this ctxmgr {nodewire.VERSION}")
    return welcome


def _no_nodes(problem: str) -> ServiceError:
    text = (
        "this service syncs no directory of another machine: have it updated to this version; or in a program, "
        f"give server_root= for a directory of the server's own, or no root for one that it makes ({problem})"
    )
    return ServiceError(NO_NODES, text)


def _shown(path: str) -> str:
    """Return a path as text that can be sent, whatever bytes it holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
