"""What requests leaves to us: connections that can be cut from another thread, and left to a forked child's parent."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager

from ._timedresponse import TimedResponse

__all__ = ["CuttableAdapter", "OwnSession", "leave_to_parent"]

_SMALL = 1 << 16


class OwnSession(requests.Session):
    """A session that never looks where a redirect leads: requests would read and unpack all of its body for that."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return that there is none."""


class CuttableAdapter(HTTPAdapter):
    """An adapter whose connections another thread can cut, so that closing a client need not wait for answers."""

    def __init__(self, connections: int) -> None:
        self._open = _Connections()
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools from connections that are remembered while they are open."""
        super().init_poolmanager(*args, **kwargs)
        opened = self._open

        class Plain(_SentAtOnce, HTTPConnection):
            response_class = TimedResponse

            def connect(self) -> None:
                super().connect()
                opened.add(self)

        class Secure(_SentAtOnce, HTTPSConnection):
            response_class = TimedResponse

            def connect(self) -> None:
                super().connect()
                opened.add(self)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self._pools = {"http": PlainPool, "https": SecurePool}
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        """Make the pools to a proxy alike."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return what is asked for, without looking for a proxy among none."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def leave(self) -> None:
        """Close a forked child's descriptors of the connections, and none of these themselves."""
        self._open.leave()

    def cut(self) -> None:
        """Break every connection, now and from now on: whoever waits for an answer gets an error at once."""
        self._open.cut()


class _SentAtOnce(HTTPConnection):
    """Sends a small body together with its head: apart they cost a system call more, and wake the server twice."""

    _held: bytearray | None = None

    def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
        if not isinstance(body, bytes) or len(body) > _SMALL:
            super().request(method, url, body, *args, **kwargs)
            return
        self._held = held = bytearray()
        try:
            super().request(method, url, body, *args, **kwargs)
        finally:
            self._held = None
        self.send(held)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)
        else:
            self._held += data


class _Connections:
    """Connections that are open, until all are cut together, for good."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._open: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._are_cut = False

    def add(self, connection: HTTPConnection) -> None:
        """Remember a connection that was just made, which may have been while the others were cut."""
        with self._guard:
            self._open.add(connection)
            if self._are_cut:
                _break(connection)

    def leave(self) -> None:
        """Close this process's descriptors of them. Nothing is sent, and nothing shut down."""
        self._guard = threading.Lock()
        for connection in list(self._open):
            if (sock := _plain_socket(connection)) is not None and sock.fileno() >= 0:
                os.close(sock.detach())
        self._open.clear()

    def cut(self) -> None:
        """Break them all, and each that is still to come."""
        with self._guard:
            self._are_cut = True
            for connection in self._open:
                _break(connection)


def _plain_socket(connection: HTTPConnection) -> socket.socket | None:
    # through a proxy that speaks TLS itself, the TLS to the service wraps the socket once more
    sock: socket.socket | None = getattr(connection.sock, "socket", connection.sock)
    return sock


def leave_to_parent(session: requests.Session) -> None:
    """Have a session that a forked child inherited make connections of its own. Those there are stay the parent's.

    This holds for requests' own adapters and what is derived from them; what others keep, they have to see to.
    """
    if isinstance(session.cookies, RequestsCookieJar):
        session.cookies = session.cookies.copy()  # the old ones' lock may be held for ever
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            if isinstance(adapter, CuttableAdapter):
                adapter.leave()
            for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                for pool in list(manager.pools._container.values()):
                    _leave_pool(pool)
            # as if unpickled: set up alike, and without connections
            adapter.__setstate__(adapter.__getstate__())  # type: ignore[attr-defined] # requests' types lack them


def _leave_pool(pool: HTTPConnectionPool) -> None:
    """Empty a pool, whose lock may be held for ever and is asked for when the pool goes."""
    idle = pool.pool
    if idle is not None:
        connections = [connection for connection in idle.queue if connection is not None]
        idle.__init__(idle.maxsize)  # type: ignore[misc] # makes its locks anew
        for connection in connections:
            connection.close()  # a socket's close() says nothing to the other side


def _break(connection: HTTPConnection) -> None:
    sock = _plain_socket(connection)
    if sock is not None:
        with contextlib.suppress(OSError):
            # the plain socket's shutdown: the TLS one's would pull its state from under a reading thread
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
