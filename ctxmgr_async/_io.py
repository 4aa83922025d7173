"""The few primitives that wait, for asyncio: what ctxmgr._io is to the blocking package, on aiohttp."""

from __future__ import annotations

import asyncio
import atexit
import inspect
import logging
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import certifi

try:
    import aiohttp
except ImportError as error:
    raise ImportError("ctxmgr_async needs aiohttp: pip install 'ctxmgr[async]'", name="aiohttp") from error
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from ctxmgr._embedded import open_service
from ctxmgr._forks import renewed_in_child
from ctxmgr._localfiles import Arriving, Source, get_in_process, open_source, put_in_process
from ctxmgr.config import Config
from ctxmgr.errors import ClosedError, ConnectionFailed, RequestTimeout, TransportError
from ctxmgr.filedigests import Departure, wanted
from ctxmgr.filewire import MAX_REFUSAL, checked_url, refused, transferred, whence
from ctxmgr.patience import LEAST_MOVED, MAX_ANSWER, Patience
from ctxmgr.protocol import Answer, Reply, Request, answer_from_document, encode, read_answer, too_large

if TYPE_CHECKING:
    from ctxmgr.service import ContextService, Watch

__all__ = [
    "ASYNC_CALLBACKS",
    "Closing",
    "HttpSession",
    "HttpWire",
    "Jobs",
    "LocalWire",
    "Lock",
    "Repeating",
    "Waitable",
    "now",
]

_log = logging.getLogger("ctxmgr")
_T = TypeVar("_T")

#: Whether a callback may be an async function.
ASYNC_CALLBACKS = True

#: What a call gives that its caller may wait for.
Waitable = Awaitable[_T]

HttpSession = aiohttp.ClientSession
Lock = threading.Lock
now = time.monotonic

_PARENTS = "the client was made before this process was forked, and belongs to the parent's loop: make one here"


class Closing:
    """Tells every pause of a client that the client is being closed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether closing has begun."""
        return self._event.is_set()

    def set(self) -> None:
        """End all pauses, now and from now on."""
        self._event.set()

    async def pause(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            ClosedError: the client was closed meanwhile.
        """
        if await _happens(self._event, seconds):
            raise ClosedError("the client was closed while it waited")


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, that long at most; return whether it came."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return event.is_set()
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False


class HttpWire:
    """Sends requests over HTTP on pooled connections.

    Args:
        config: where to, as whom, and for how long.
        session: the caller's own session, used as it is set up and left open; ``None`` makes one.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        self._config = config
        self._owns_session = session is None
        self._session = session
        self._opening = asyncio.Lock()
        self._options: dict[str, Any] = {}
        self._is_parents = False
        renewed_in_child(self)

    def renew(self) -> None:
        """Leave all to the parent in a forked child: its loop watches the connections, and can't be shared."""
        self._is_parents = True
        if self._owns_session and self._session is not None and self._session.connector is not None:
            # Or its end here would take the connections out of the parent's loop.
            self._session.connector._closed = True
            self._session.detach()

    async def open(self) -> None:
        """Make ready to send. Connections are made when they are needed."""
        await self._opened()

    async def send(self, request: Request) -> Answer:
        """Send one request, once, and read its answer.

        Raises:
            TransportError: there was no answer, or it was not the protocol.
        """
        config = self._config
        session = await self._opened()
        in_query = config.is_cloud and request.action == "SyncContext"
        encoded = encode(request, config.api_key, credential_in_query=in_query)
        answering = config.read_timeout + request.timeout
        timeout = aiohttp.ClientTimeout(
            total=min(config.connect_timeout + answering, request.within),
            sock_connect=config.connect_timeout,
            sock_read=answering,
        )
        try:
            async with session.post(
                URL(f"{config.endpoint}/?{encoded.query}", encoded=True),
                data=encoded.body,
                headers=encoded.headers,
                timeout=timeout,
                allow_redirects=False,
                auto_decompress=False,
                **self._options,
            ) as response:
                reply = await _whole(response)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise _transport_error(error, config) from _root_cause(error)
        return read_answer(reply, secret=config.api_key)

    async def put_url(self, url: str, source: Source) -> Answer:
        """Send a file to a signed URL, once, by a plain PUT.

        Raises:
            OSError: the caller's file can't be read.
            TransportError: there was no answer.
        """
        file, size = await _blocking(open_source, source)
        patience = self._patience()
        try:
            departure = await _blocking(Departure, file)
            return await _while_it_moves(patience, self._put(url, size, departure, _read(file, patience)))
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            failure = _transport_error(error, whence(self._config, url))
        finally:
            await _blocking(file.close)
        raise failure

    async def get_url(self, url: str, target: str | PathLike[str]) -> Answer:
        """Fetch a file from a signed URL, once, by a plain GET. It takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
            TransportError: there was no answer, or not all of it.
        """
        patience = self._patience()
        try:
            return await _while_it_moves(patience, self._get(url, target, patience))
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            failure = _transport_error(error, whence(self._config, url))
        raise failure

    def _patience(self) -> Patience:
        config = self._config
        return Patience(config.connect_timeout + config.read_timeout, renewed_by=LEAST_MOVED)

    async def _put(self, url: str, size: int, departure: Departure, body: AsyncIterator[bytes]) -> Answer:
        headers = {"Content-Length": str(size), **departure.headers}
        async with self._send_file("PUT", url, headers, body) as response:
            if response.status // 100 == 2:
                verified = departure.verify(response.headers)
                return transferred(response.status, response.headers, size, verified=verified)
            return refused(await _refusal(response))

    async def _get(self, url: str, target: str | PathLike[str], patience: Patience) -> Answer:
        async with self._send_file("GET", url, {"Accept-Encoding": "identity", **wanted()}, None) as response:
            if response.status != 200:
                return refused(await _refusal(response))
            arriving = Arriving(target, response.headers)
            await _blocking(arriving.__enter__)
            try:
                async for piece in response.content.iter_any():
                    patience.moved(len(piece))
                    await _blocking(arriving.write, piece)
                await _blocking(arriving.keep)
            finally:
                await _blocking(arriving.__exit__)
            return transferred(response.status, response.headers, arriving.size, verified=arriving.verified)

    @asynccontextmanager
    async def _send_file(
        self, method: str, url: str, headers: dict[str, str], body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request without what a session would add to it: whoever signed its URL knows of none of that."""
        config = self._config
        checked_url(url)
        session = await self._opened()
        proxies = config.proxies if config.proxies is not None else get_environ_proxies(url)
        options = {**self._options, "proxy": select_proxy(url, proxies)}
        if url.startswith("https:") and "ssl" not in options and (self._owns_session or config.verify is not True):
            options["ssl"] = await _blocking(_tls_context, config.verify)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout, sock_read=config.read_timeout)
        async with session.request(
            method,
            URL(url, encoded=True),
            data=body,
            headers=headers,
            skip_auto_headers=("Content-Type", "Content-Disposition"),
            timeout=timeout,
            allow_redirects=False,
            auto_decompress=False,
            **options,
        ) as response:
            yield response

    async def _opened(self) -> aiohttp.ClientSession:
        if self._is_parents:
            raise ClosedError(_PARENTS)
        if self._session is None or not self._options:
            async with self._opening:
                if not self._options:
                    self._options = await self._settings()
                if self._session is None:
                    # Parked requests each hold a connection, so a limit would make the others wait for them.
                    connector = aiohttp.TCPConnector(limit=0)
                    self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    async def _settings(self) -> dict[str, Any]:
        """Return what every request is sent with: proxies and certificates, as requests would choose them."""
        config = self._config
        # Looked up once: aiohttp's own trust_env asks a thread for them at every request.
        proxies = config.proxies if config.proxies is not None else get_environ_proxies(config.endpoint)
        settings: dict[str, Any] = {"proxy": select_proxy(config.endpoint, proxies)}
        if config.endpoint.startswith("https:") and (self._owns_session or config.verify is not True):
            loop = asyncio.get_running_loop()
            settings["ssl"] = await loop.run_in_executor(None, _tls_context, config.verify)
        return settings

    async def close(self) -> None:
        """Close the connections; a caller's own session stays as it is."""
        if self._owns_session and self._session is not None and not self._is_parents:
            await self._session.close()


async def _while_it_moves(patience: Patience, work: Coroutine[Any, Any, _T]) -> _T:
    """Do something for as long as there is patience.

    Raises:
        asyncio.TimeoutError: there is none any more.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            if (left := patience.left()) <= 0:
                raise asyncio.TimeoutError
            await asyncio.wait({task}, timeout=left)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _whole(response: aiohttp.ClientResponse) -> Reply:
    """Read an answer as it comes, up to the size that any may have."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER:
            raise too_large(response.status)
    return Reply(response.status, response.headers, bytes(body))


async def _read(file: BinaryIO, patience: Patience) -> AsyncIterator[bytes]:
    while piece := await _blocking(file.read, LEAST_MOVED):
        yield piece
        patience.moved(len(piece))


async def _refusal(response: aiohttp.ClientResponse) -> Reply:
    try:
        body = await response.content.readexactly(MAX_REFUSAL)
    except asyncio.IncompleteReadError as error:
        body = error.partial
    return Reply(response.status, response.headers, body)


async def _blocking(function: Callable[..., _T], *args: Any) -> _T:
    """Run what blocks on a thread."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


def _tls_context(verify: bool | str) -> ssl.SSLContext | bool:
    if verify is False:
        return False
    if verify is True:
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
    if os.path.isdir(verify):
        return ssl.create_default_context(capath=verify)
    return ssl.create_default_context(cafile=verify)


def _transport_error(error: BaseException, config: Config) -> TransportError:
    """Put a failure in our own words: the library's may quote the URL, which may hold the credential."""
    parts = urlsplit(config.endpoint)
    where = f"{parts.scheme}://{parts.netloc}"
    root = _root_cause(error)
    reason = (str(root) or type(root).__name__).replace(config.api_key, "…")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        text = f"no connection to {where} within {config.connect_timeout:g} s; is the service up and reachable?"
        return RequestTimeout(text, received=False)
    if isinstance(error, asyncio.TimeoutError):
        return RequestTimeout(f"{where} did not answer within {config.read_timeout:g} s")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        advice = "if its certificate is your own, name the CA bundle with verify= or CTXMGR_CA_BUNDLE"
        return ConnectionFailed(f"no trusted connection to {where}: {reason}; {advice}", received=False)
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return ConnectionFailed(f"no connection to {where} through the proxy: {reason}", received=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectionFailed(f"no connection to {where}: {reason}; is the service running?", received=False)
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
        return ConnectionFailed(f"the connection to {where} broke: {reason}")
    return TransportError(f"the request to {where} failed: {type(error).__name__}")


def _root_cause(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__ or getattr(error, "os_error", None)
    return error if cause is None else _root_cause(cause)


class LocalWire:
    """Hands requests to a context service in this process, on threads, so that the loop goes on.

    Args:
        folder: the service's data folder; made if it does not exist.
        executor: the caller's, left open, on which the service works; ``None`` makes one of a few threads.
    """

    def __init__(self, folder: str | PathLike[str], executor: Executor | None = None) -> None:
        self._folder = folder
        self._executor = executor
        self._threads: Executor | None = None
        self._opening: asyncio.Future[ContextService] | None = None
        self._parked: set[asyncio.Event] = set()
        self._closed = False
        self._is_parents = False
        renewed_in_child(self)

    def renew(self) -> None:
        """Leave the service to the parent in a forked child."""
        self._is_parents = True
        self._opening = self._threads = None

    async def open(self) -> None:
        """Open the data folder.

        Raises:
            DataFolderError: it is not a data folder of ours, or of a newer version.
        """
        await self._opened()

    async def send(self, request: Request) -> Answer:
        """Have one request answered, parking as long as it asks."""
        service = await self._opened()
        watch, document = await self._call(_answer_or_watch, service, request)
        if watch is not None:
            await self._park(watch)
            document = await self._call(service.handle, request.action, request.parameters)
        return answer_from_document(document)

    async def put_file(self, context_id: str, path: str, source: Source) -> Answer:
        """Have the service take a file.

        Raises:
            OSError: the caller's file can't be read.
        """
        return await self._call(put_in_process, await self._opened(), context_id, path, source)

    async def get_file(self, context_id: str, path: str, target: str | PathLike[str], revision: int) -> Answer:
        """Have the service give a file; it takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
        """
        return await self._call(get_in_process, await self._opened(), context_id, path, target, revision)

    async def _opened(self) -> ContextService:
        if self._is_parents:
            raise ClosedError(_PARENTS)
        if self._closed:
            raise ClosedError("the client is closed")
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            if self._threads is None:
                own = self._executor is None
                self._threads = ThreadPoolExecutor(4, thread_name_prefix="ctxmgr-embedded") if own else self._executor
            loop = asyncio.get_running_loop()
            self._opening = loop.run_in_executor(self._threads, open_service, self._folder)
        # Shielded: who is cancelled while it opens must not leave a service behind that nobody closes.
        return await asyncio.shield(self._opening)

    async def _call(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _park(self, watch: Watch) -> None:
        """Wait until a task has ended, the time is up, or the wire is closed; no thread is held."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        self._parked.add(changed)

        def notify() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        unsubscribe = watch.subscribe(notify)
        try:
            deadline = now() + watch.timeout
            while not self._closed and not await self._call(watch.ready) and (left := deadline - now()) > 0:
                await _happens(changed, left if watch.poll is None else min(left, watch.poll))
                changed.clear()
        finally:
            unsubscribe()
            self._parked.discard(changed)

    async def close(self) -> None:
        """Close the service; what still runs is marked as interrupted."""
        self._closed = True
        for parked in self._parked:
            parked.set()
        opening, self._opening = self._opening, None
        if opening is not None:
            try:
                service = await opening
            except Exception:
                _log.debug("the data folder could not be opened, so there is nothing to close", exc_info=True)
            else:
                await self._call(service.close)
        if self._threads is not None and self._executor is None:
            self._threads.shutdown(wait=False)


def _answer_or_watch(service: ContextService, request: Request) -> tuple[Watch | None, dict[str, Any]]:
    """Answer a request, or say what it has to wait for first."""
    watch = service.watch(request.action, request.parameters)
    if watch is not None and not watch.ready():
        return watch, {}
    return None, service.handle(request.action, request.parameters)


class Repeating:
    """A step that runs again and again in a task until it has nothing more to do."""

    def __init__(self, step: Callable[[], Awaitable[float | None]]) -> None:
        self.step = step
        self.woken = asyncio.Event()

    def wake(self) -> None:
        """Let the next run come now."""
        self.woken.set()


class Jobs:
    """Runs steps in tasks, however many wait.

    Args:
        workers: means nothing here: a task holds no thread.
        executor: nor does this, where jobs are concerned.
        wire: nor does this: nothing holds up the end of a loop or of the interpreter.
    """

    def __init__(self, workers: int, executor: Executor | None, wire: HttpWire | LocalWire) -> None:
        self._closed = False
        self._waiters: set[asyncio.Future[None]] = set()
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        """Begin without a job in a forked child: those there are, are the parent's."""
        self._tasks: dict[asyncio.Task[Any], Callable[[], None]] = {}
        self._calling: set[asyncio.Task[None]] = set()
        _outstanding.discard(self)

    @property
    def in_callback(self) -> bool:
        """Whether it is a callback that asks, or a task that one began and may wait for."""
        callback = _callback.get()
        return callback is not None and not callback.done()

    def start(self, run: Callable[[], Coroutine[Any, Any, _T]], abandoned: Callable[[], None]) -> Waitable[_T]:
        """Run at once what the caller may wait for: here, in a task, which awaiting it waits for.

        Args:
            abandoned: called as well if the task is cancelled, or can't be begun.

        Raises:
            RuntimeError: no loop is running.
        """
        coroutine = run()
        try:
            return self._spawn(coroutine, abandoned)
        except RuntimeError:
            coroutine.close()
            abandoned()
            raise

    def repeat(
        self, step: Callable[[], Awaitable[float | None]], abandoned: Callable[[], None], group: str
    ) -> Repeating:
        """Run a step again and again.

        Args:
            step: returns the seconds until its next run, or ``None`` when it is through.
            abandoned: called instead of further runs if the jobs are closed or the step fails.
            group: means nothing here.
        """
        job = Repeating(step)
        if self._closed:
            abandoned()
        else:
            self._spawn(_run(job, abandoned), abandoned)
        return job

    def run_aside(self, run: Callable[[], None], group: str) -> None:
        """Run what holds up nobody: here, at once."""
        run()

    def call_back(self, callback: Callable[[bool], object], ok: bool, returned: Callable[[], None]) -> None:
        """Call the user's callback, plain or async; what it raises is logged and goes no further, whatever it is.

        Args:
            returned: called afterwards.
        """
        try:
            outcome = callback(ok)
        except BaseException:
            _log_raised(ok)
            outcome = None
        if not inspect.isawaitable(outcome):
            returned()
            return
        finished = _finished(outcome, ok, returned)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(finished)  # the loop ended before the client was closed, and now the interpreter ends
            return
        calling = loop.create_task(finished)
        self._calling.add(calling)
        calling.add_done_callback(self._calling.discard)

    async def finish(self, group: str, done: Callable[[], bool]) -> None:
        """Wait until something is done that jobs do; ``notify`` has it looked at again."""
        while not done():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def notify(self) -> None:
        """Have those who wait in ``finish`` look again whether it is done."""
        for waiter in self._waiters:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)

    def may_park(self) -> bool:
        """Ask for leave to park a request: always given, since a parked one holds no thread."""
        return True

    def unpark(self) -> None:
        """Return the permission to park."""

    async def close(self) -> None:
        """Abandon what is not through, and wait until it has ended and every callback has returned.

        A callback that closes waits for neither: another may be closing too, and would wait for it.
        """
        self._closed = True
        self.abandon()
        current = asyncio.current_task()
        others = {task for task in self._tasks if task is not current}
        for task in others:
            task.cancel()
        if self.in_callback:
            return
        while unfinished := {task for task in {*self._tasks, *self._calling} if task is not current}:
            await asyncio.gather(*unfinished, return_exceptions=True)
            await asyncio.sleep(0)  # gathering what has ended already gives the loop no turn to let go of it

    def abandon(self) -> None:
        """Say of what is not through that it failed."""
        for abandoned in list(self._tasks.values()):
            try:
                abandoned()
            except BaseException:
                _log.exception("a waiting sync could not be given up cleanly")

    def _spawn(self, coroutine: Coroutine[Any, Any, _T], abandoned: Callable[[], None]) -> asyncio.Task[_T]:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._abandoning(coroutine, abandoned))
        self._tasks[task] = abandoned
        _outstanding.add(self)

        def ended(task: asyncio.Task[_T]) -> None:
            if self._tasks.pop(task, None) is not None and not self._tasks:
                _outstanding.discard(self)
            if task.cancelled():
                # A task that is cancelled before it begins runs none of its code, so it could not abandon by itself.
                coroutine.close()
                abandoned()

        task.add_done_callback(ended)
        return task

    async def _abandoning(self, coroutine: Coroutine[Any, Any, _T], abandoned: Callable[[], None]) -> _T:
        """Run a coroutine; if that fails or is cancelled, abandon what it was to do before letting that be known."""
        try:
            return await coroutine
        except BaseException as error:
            before = set(self._calling)
            abandoned()
            begun = self._calling - before
            if begun and isinstance(error, asyncio.CancelledError):
                await asyncio.wait(begun)  # a loop that ends waits for this task, and not for those it began
            raise


#: The jobs with waits that no loop has ended yet: a loop that is dropped, not closed by asyncio.run(), ends none.
_outstanding: set[Jobs] = set()

#: The task of the async callback that a task belongs to, of any client.
_callback: ContextVar[asyncio.Task[None] | None] = ContextVar("ctxmgr_callback", default=None)


@atexit.register
def _abandon_all() -> None:
    for jobs in list(_outstanding):
        jobs.abandon()


async def _run(job: Repeating, abandoned: Callable[[], None]) -> None:
    try:
        while (delay := await job.step()) is not None:
            await _happens(job.woken, delay)
            job.woken.clear()
    except Exception:
        _log.exception("a step of a waiting sync failed; it is given up")
        abandoned()


async def _finished(outcome: Awaitable[object], ok: bool, returned: Callable[[], None]) -> None:
    """Wait for an async callback, in a task of its own, so that what it raises is logged whoever is cancelled."""
    _callback.set(asyncio.current_task())
    try:
        await outcome
    except BaseException:
        _log_raised(ok)
    finally:
        returned()


def _log_raised(ok: bool) -> None:
    _log.exception("the callback of a sync raised; the sync itself %s", "succeeded" if ok else "failed")
