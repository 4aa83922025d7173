"""The client: one way to one context service, and everything it offers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from os import PathLike

from ._embedded import located
from ._io import HttpSession, Jobs, LocalWire
from .arguments import positive, thread_executor
from .bounds import MAX_WORKERS
from .contexts import Contexts
from .core import ClientCore, warn_unclosed
from .errors import ArgumentError
from .files import Files
from .sessions import Session, Sessions
from .store import Store

__all__ = ["Client"]


class Client:
    """A client of AgentBay's cloud, of a ``ctxmgr serve``, or (``Client.local``) of a service in this process.

    One client serves any number of threads. Close it, or use it in a ``with`` statement.

    Args:
        api_key: the credential; ``None`` takes ``CTXMGR_API_KEY`` or ``AGENTBAY_API_KEY``.
        region: the cloud's region; ``None`` takes ``CTXMGR_REGION``, ``AGENTBAY_REGION_ID`` or ``cn-hangzhou``.
        endpoint: scheme, host and port of another service; ``None`` takes ``CTXMGR_ENDPOINT``, ``AGENTBAY_ENDPOINT``
            or the cloud of the region.
        timeout: seconds for each answer, or a pair of seconds (connect, answer).
        attempts: how often a request may be sent in all when that is safe.
        verify: a CA bundle's path, or ``True`` for the usual certificates.
        proxies: scheme to proxy URL; ``None`` leaves it to the environment.
        session: a session of your own to send with; it is not closed.
        workers: threads that serve ``callback=`` waits, if there is no ``executor``.
        executor: what runs these waits instead, a step at a time, and their callbacks. It is left open; once you shut
            it down, the callbacks that are owed are called with False. In asyncio, waits are tasks and need none.
        settle_polls: successful polls without any change after which a server without task ids is believed to have
            had nothing to do.

    Raises:
        ConfigError: a value is missing or can't be used.
        ArgumentTypeError: ``executor`` is no executor of threads.
    """

    _core: ClientCore
    _open: bool = False

    def __init__(
        self,
        *,
        api_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        timeout: float | tuple[float, float] | None = None,
        attempts: int = 4,
        verify: bool | str | None = None,
        proxies: Mapping[str, str] | None = None,
        session: HttpSession | None = None,
        workers: int = 4,
        executor: Executor | None = None,
        settle_polls: int = 3,
    ) -> None:
        self._core = ClientCore.over_http(
            session,
            executor,
            api_key=api_key,
            region=region,
            endpoint=endpoint,
            timeout=timeout,
            attempts=attempts,
            verify=verify,
            proxies=proxies,
            workers=workers,
            settle_polls=settle_polls,
        )
        self._open = True

    @classmethod
    def local(
        cls,
        folder: str | PathLike[str] | None = None,
        *,
        catalog: str | None = None,
        store: str | None = None,
        workers: int = 4,
        executor: Executor | None = None,
    ) -> Client:
        """Make a client of a context service in this process: no server, no account, no network.

        Args:
            folder: where the service keeps its data; made if it does not exist. ``None`` takes ``CTXMGR_HOME``, or
                without that the user's own data folder, as the command does.
            catalog: the URL of a PostgreSQL database that takes the place of the one in the folder, such as
                ``postgresql+psycopg://user:password@host/database``; others may share it. ``None`` takes
                ``CTXMGR_CATALOG``, if that is set.
            store: the URL of an object store that takes the place of the one in the folder, such as
                ``s3://bucket/prefix``; credentials, region and endpoint are taken from the usual AWS variables.
                ``None`` takes ``CTXMGR_STORE``, if that is set.
            workers, executor: as for ``Client``; in asyncio the executor also runs the service's own work.

        Raises:
            ConfigError: the folder's name or a URL is empty.
        """
        wire = LocalWire(located(folder, catalog, store), thread_executor(executor))
        client = cls.__new__(cls)
        jobs = Jobs(positive("workers", workers, MAX_WORKERS), executor, wire)
        client._core = ClientCore(wire, jobs)
        client._open = True
        return client

    @property
    def contexts(self) -> Contexts:
        """The contexts of the account."""
        return Contexts(self._core)

    @property
    def files(self) -> Files:
        """The files of contexts, one by one."""
        return Files(self._core)

    @property
    def store(self) -> Store:
        """What is stored as a whole: how much, whether it is whole, and which revisions are kept."""
        return Store(self._core)

    @property
    def sessions(self) -> Sessions:
        """The sessions of the account."""
        return Sessions(self._core)

    def session(self, session_id: str) -> Session:
        """Return a session that exists already. Nothing is sent.

        Args:
            session_id: such as ``s-04bdw…``.
        """
        if not isinstance(session_id, str) or not session_id:
            raise ArgumentError(f"session_id is {session_id!r}; it must be the id of a session")
        return Session(session_id, self.sessions)

    def close(self) -> None:
        """End every wait (callbacks are called with False), cut what is under way, and close the connections."""
        self._open = False
        self._core.close()

    def __enter__(self) -> Client:
        try:
            self._core.transport.open()
        except BaseException:
            self.close()  # a with statement that can't begin does not end it
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._open:
            warn_unclosed(self)
