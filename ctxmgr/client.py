"""The client: one way to one context service, and everything it offers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from os import PathLike

from ._embedded import data_folder
from ._io import Closing, HttpSession, HttpWire, Jobs, LocalWire
from .arguments import positive, thread_executor
from .background import Background
from .bounds import MAX_WORKERS
from .config import DEFAULT_REGION, resolve
from .contexts import Contexts
from .errors import ArgumentError
from .files import Files
from .polling import Poller
from .sessions import Session, Sessions
from .transport import Transport

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

    _transport: Transport
    _poller: Poller
    _background: Background
    _jobs: Jobs
    _closing: Closing
    _region: str
    _settle_polls: int
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
        config = resolve(
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
        wire = HttpWire(config, session)
        jobs = Jobs(config.workers, thread_executor(executor), wire)
        self._set_up(wire, jobs, config.attempts, config.region, config.settle_polls)

    @classmethod
    def local(
        cls, folder: str | PathLike[str] | None = None, *, workers: int = 4, executor: Executor | None = None
    ) -> Client:
        """Make a client of a context service in this process: no server, no account, no network.

        Args:
            folder: where the service keeps its data; made if it does not exist. ``None`` takes ``CTXMGR_HOME``, or
                without that the user's own data folder, as the command does.
            workers, executor: as for ``Client``; in asyncio the executor also runs the service's own work.

        Raises:
            ConfigError: the folder's name is empty.
        """
        wire = LocalWire(data_folder(folder), thread_executor(executor))
        client = cls.__new__(cls)
        jobs = Jobs(positive("workers", workers, MAX_WORKERS), executor, wire)
        client._set_up(wire, jobs, 1, DEFAULT_REGION, 3)
        return client

    def _set_up(self, wire: HttpWire | LocalWire, jobs: Jobs, attempts: int, region: str, settle_polls: int) -> None:
        self._closing = Closing()
        self._jobs = jobs
        self._transport = Transport(wire, attempts, self._closing)
        self._poller = Poller(self._transport, self._closing)
        self._background = Background(self._poller, self._jobs)
        self._region = region
        self._settle_polls = settle_polls
        self._open = True

    @property
    def contexts(self) -> Contexts:
        """The contexts of the account."""
        return Contexts(self._transport, self._region, self._poller, self._closing)

    @property
    def files(self) -> Files:
        """The files of contexts, one by one."""
        return Files(self._transport)

    @property
    def sessions(self) -> Sessions:
        """The sessions of the account."""
        return Sessions(self._transport, self._poller, self._background, self._closing, self._settle_polls)

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
        self._closing.set()
        self._jobs.close()
        self._transport.close()

    def __enter__(self) -> Client:
        try:
            self._transport.open()
        except BaseException:
            self.close()  # a with statement that can't begin does not end it
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._open:
            text = f"unclosed {self!r}: use it in a with statement, or close it"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
