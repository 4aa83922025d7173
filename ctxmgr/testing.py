"""A context service in the test process, over real HTTP, that can be made to behave badly.

    from ctxmgr.testing import serve

    with serve() as service, service.client() as client:
        service.faults.fail("SyncContext", "InternalError", times=1)
        ...

The pytest fixture ``ctxmgr_service`` is such a service.
"""

from __future__ import annotations

import tempfile
import threading
from asyncio import sleep
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .client import Client
from .errors import ArgumentError, ServiceError
from .service import ContextService
from .service.http import HttpServer
from .service.http.faults import Interference

if TYPE_CHECKING:
    import ctxmgr_async

__all__ = ["Faults", "Service", "serve"]

_SECONDS_BETWEEN_LOOKS = 0.02


@attrs.define
class _Fault:
    """What is to happen to requests of an action.

    Attributes:
        left: how many more requests it happens to; None for all.
    """

    left: int | None
    seconds: float = 0.0
    interference: Interference | None = None


class Faults:
    """What the service does wrong on purpose. Every method can be called from any thread, at any time.

    Actions are named as in the protocol, such as ``SyncContext``; ``PutFile`` and ``GetFile`` are the uses of a file's
    URL, and ``*`` is any. Of several faults for one action, delays add up, and of the others the first that was asked
    for and is not used up counts.
    """

    def __init__(self, service: ContextService) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, deque[_Fault]] = {}
        self._thawed = threading.Event()
        self._thawed.set()
        self._hold_tasks(service)

    def delay(self, action: str, seconds: float, *, times: int | None = None) -> None:
        """Have requests answered late.

        Args:
            seconds: before the request is carried out.
            times: how many requests; None for all from now on.
        """
        if seconds < 0:
            raise ArgumentError(f"seconds is {seconds!r}; it must not be negative")
        self._add(action, _Fault(_checked(times), seconds=seconds))

    def fail(self, action: str, code: str = "InternalError", *, times: int | None = 1, message: str = "") -> None:
        """Have requests refused instead of carried out.

        Args:
            code: the answer's Code; ``InternalError`` and ``ServiceUnavailable`` come with an HTTP status of 5xx.
            times: how many requests; None for all from now on.
            message: the answer's Message.
        """
        error = ServiceError(code, message or f"{action} was made to fail")
        self._add(action, _Fault(_checked(times), interference=Interference(refuse=error)))

    def drop(self, action: str, *, times: int | None = 1, after: bool = False) -> None:
        """Have the connection cut instead of an answer sent.

        Args:
            times: how many requests; None for all from now on.
            after: carry the request out first, so that only its answer is lost.
        """
        self._add(action, _Fault(_checked(times), interference=Interference(drop="after" if after else "before")))

    def freeze(self) -> None:
        """Have every task that has not begun wait; they are queued as ever, and none of them gets on."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Let the tasks go on."""
        self._thawed.set()

    def clear(self) -> None:
        """Behave well from now on."""
        with self._lock:
            self._faults.clear()
        self.thaw()

    async def _interfere(self, action: str) -> Interference | None:
        seconds, interference = self._due(action)
        if seconds:
            await sleep(seconds)
        return interference

    def _due(self, action: str) -> tuple[float, Interference | None]:
        """Take what is to happen to one request."""
        seconds, interference = 0.0, None
        with self._lock:
            for name in (action, "*"):
                faults = self._faults.get(name, ())
                for fault in list(faults):
                    if fault.interference is not None and interference is not None:
                        continue
                    seconds += fault.seconds
                    interference = interference or fault.interference
                    if fault.left is not None:
                        fault.left -= 1
                        if not fault.left:
                            self._faults[name].remove(fault)
        return seconds, interference

    def _add(self, action: str, fault: _Fault) -> None:
        with self._lock:
            self._faults.setdefault(action, deque()).append(fault)

    def _hold_tasks(self, service: ContextService) -> None:
        runtime = service._runtime
        run: Callable[..., None] = runtime._run

        def held(queued: Any) -> None:
            while not self._thawed.wait(_SECONDS_BETWEEN_LOOKS) and not runtime.closed:
                pass
            run(queued)

        runtime._run = held  # type: ignore[method-assign] # only tests want tasks to stand still: no switch for that


class Service:
    """A service that runs in this process.

    Attributes:
        endpoint: scheme, host and port.
        api_key: a key of the account "local".
        folder: the data folder.
        faults: makes it behave badly.
        service: the context service itself, behind the HTTP.
    """

    def __init__(self, service: ContextService, server: HttpServer, folder: Path, faults: Faults) -> None:
        self.service = service
        self.endpoint = server.address
        self.folder = folder
        self.faults = faults
        self._keys = 0
        self._clients: list[Client] = []
        self.api_key = self.key()

    def __repr__(self) -> str:
        return f"<Service at {self.endpoint}>"

    def key(self, account: str = "local") -> str:
        """Make a key of an account, which is there as soon as it has one."""
        self._keys += 1
        _, text = self.service.keys.create(f"test {self._keys}", account)
        return text

    def client(self, **settings: Any) -> Client:
        """Return a client, of the account "local" unless ``api_key`` says otherwise; it is closed with the service.

        Args:
            settings: as for ``ctxmgr.Client``.
        """
        client = Client(**{"endpoint": self.endpoint, "api_key": self.api_key, **settings})
        self._clients.append(client)
        return client

    def async_client(self, **settings: Any) -> ctxmgr_async.Client:
        """Return a client for asyncio, to be used in an ``async with`` statement.

        Args:
            settings: as for ``ctxmgr_async.Client``.
        """
        import ctxmgr_async

        return ctxmgr_async.Client(**{"endpoint": self.endpoint, "api_key": self.api_key, **settings})

    def close(self) -> None:
        """Close the clients that were given out and are not closed yet."""
        for client in self._clients:
            client.close()
        self._clients.clear()


@contextmanager
def serve(
    folder: str | PathLike[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: tuple[str | PathLike[str], str | PathLike[str]] | None = None,
    workers: int = 2,
    lease: float | None = None,
    catalog: str = "",
    store: str = "",
) -> Iterator[Service]:
    """Run a service for the time of a ``with`` statement.

    Sessions may have any directory as their root, since whoever runs the test may use it anyway.

    Args:
        folder: the data folder; None makes one, and removes it at the end.
        host: the address to listen at.
        port: 0 takes a free one.
        tls: the files of a certificate and of its key, to serve HTTPS.
        workers: how many syncs run at the same time.
        lease: seconds after which a process that has a directory elsewhere, and was not heard of, is gone; None for 30.
        catalog, store: the URLs of a PostgreSQL database and of an object store that take the place of what is in the
            folder, as for ``Client.local``.
    """
    with ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ctxmgr-test-", ignore_cleanup_errors=True))
        service = ContextService.open(folder, workers=workers, lease=lease, catalog=catalog, store=store)
        stack.callback(service.close, grace=0.5)
        faults = Faults(service)
        stack.callback(faults.thaw)
        server = HttpServer(service, host=host, port=port, tls=tls, interfere=faults._interfere)
        stack.enter_context(server)
        running = Service(service, server, Path(folder), faults)
        stack.callback(running.close)
        yield running


def _checked(times: int | None) -> int | None:
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ArgumentError(f"times is {times!r}; it must be a whole number of at least 1, or None for all")
    return times
