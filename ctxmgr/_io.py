"""The few primitives that wait: all the rest of the package is built on them, and so is its asyncio twin."""

from __future__ import annotations

import atexit
import heapq
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import requests

from ._embedded import open_service
from ._http import CuttableAdapter, keep_credentials_out_of_logs, root_cause, transport_error
from ._localfiles import PIECE, Arriving, Source, get_in_process, open_source, put_in_process
from ._urllogs import kept_out_of_logs
from .config import Config
from .errors import ClosedError
from .filewire import MAX_REFUSAL, checked_url, refused, transferred, whence
from .protocol import Answer, Reply, Request, answer_from_document, encode, read_answer

if TYPE_CHECKING:
    from .service import ContextService, Watch

__all__ = [
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

#: What a call gives that its caller may wait for. Here that is the value itself.
Waitable = Annotated[_T, "ready at once"]

HttpSession = requests.Session
Lock = threading.Lock
now = time.monotonic


class Closing:
    """Tells every pause of a client that the client is being closed."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def is_set(self) -> bool:
        """Whether closing has begun."""
        return self._event.is_set()

    def set(self) -> None:
        """End all pauses, now and from now on."""
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            ClosedError: the client was closed meanwhile.
        """
        if self._event.wait(seconds):
            raise ClosedError("the client was closed while it waited")


class HttpWire:
    """Sends requests over HTTP on pooled connections that all threads share.

    Args:
        config: where to, as whom, and for how long.
        session: the caller's own session, used as it is set up and left open; ``None`` makes one.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        self._config = config
        self._adapter: CuttableAdapter | None = None
        if session is None:
            session = requests.Session()
            self._adapter = CuttableAdapter(connections=max(16, 2 * config.workers))
            session.mount("https://", self._adapter)
            session.mount("http://", self._adapter)
        self._session = session
        self._template: requests.PreparedRequest | None = None
        self._settings: Mapping[str, Any] = {}

    def open(self) -> None:
        """Make ready to send. Connections are made when they are needed."""

    def send(self, request: Request) -> Answer:
        """Send one request, once, and read its answer.

        Raises:
            TransportError: there was no answer, or it was not the protocol.
        """
        config = self._config
        credential_in_query = config.is_cloud and request.action == "SyncContext"
        if credential_in_query:
            keep_credentials_out_of_logs()
        encoded = encode(request, config.api_key, credential_in_query=credential_in_query)
        prepared = self._prepare(f"{config.endpoint}/?{encoded.query}", encoded.headers, encoded.body)
        try:
            response = self._session.send(
                prepared,
                timeout=(config.connect_timeout, config.read_timeout + request.timeout),
                allow_redirects=False,
                **self._settings,
            )
        except requests.RequestException as error:
            failure = transport_error(error, config)
            failure.__cause__ = root_cause(error, config)
        else:
            return read_answer(Reply(response.status_code, response.headers, response.content), secret=config.api_key)
        raise failure  # out here, where the library's error, which quotes the URL, does not become its context

    def put_url(self, url: str, source: Source) -> Answer:
        """Send a file to a signed URL, once, by a plain PUT.

        Raises:
            OSError: the caller's file can't be read.
            TransportError: there was no answer.
        """
        file, size = open_source(source)
        with file:
            # An empty file object would be sent in chunks, which object stores refuse.
            request = requests.Request("PUT", checked_url(url), data=file if size else b"")
            with self._send_file(request.prepare()) as response:
                if response.status_code // 100 == 2:
                    return transferred(response.status_code, response.headers, size)
                return refused(self._refusal(response, url))

    def get_url(self, url: str, target: str | PathLike[str]) -> Answer:
        """Fetch a file from a signed URL, once, by a plain GET. It takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
            TransportError: there was no answer, or not all of it.
        """
        headers = {"Accept-Encoding": "identity"}
        with self._send_file(requests.Request("GET", checked_url(url), headers=headers).prepare()) as response:
            if response.status_code != 200:
                return refused(self._refusal(response, url))
            with Arriving(target) as arriving:
                for piece in self._pieces(response, url):
                    arriving.write(piece)
                arriving.keep(response.headers.get("Content-Length"))
                return transferred(response.status_code, response.headers, arriving.size)

    def _send_file(self, prepared: requests.PreparedRequest) -> requests.Response:
        """Send a prepared request as it is: whoever signed its URL knows of no header that a session would add."""
        config = self._config
        url = prepared.url or ""
        verify = None if config.verify is True else config.verify
        settings = self._session.merge_environment_settings(url, dict(config.proxies or {}), True, verify, None)
        timeout = (config.connect_timeout, config.read_timeout)
        try:
            with kept_out_of_logs(prepared.path_url):
                return self._session.send(prepared, timeout=timeout, allow_redirects=False, **settings)
        except requests.RequestException as error:
            failure = transport_error(error, whence(config, url))
        raise failure

    def _pieces(self, response: requests.Response, url: str) -> Iterator[bytes]:
        try:
            yield from response.iter_content(PIECE)
        except requests.RequestException as error:
            failure = transport_error(error, whence(self._config, url))
        else:
            return
        raise failure

    def _refusal(self, response: requests.Response, url: str) -> Reply:
        body = b""
        for piece in self._pieces(response, url):
            body += piece
            if len(body) >= MAX_REFUSAL:
                break
        return Reply(response.status_code, response.headers, body)

    def _prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> requests.PreparedRequest:
        """Fill in a copy of a request prepared once: preparing each anew costs as much as sending it.

        A caller's own session, which may change at any time, is asked each time.
        """
        session = self._session
        if self._template is None:
            config = self._config
            verify = None if config.verify is True else config.verify
            proxies = dict(config.proxies or {})
            self._settings = session.merge_environment_settings(config.endpoint, proxies, False, verify, None)
            self._template = session.prepare_request(requests.Request("POST", config.endpoint, data=b"-"))
        if self._adapter is None:
            return session.prepare_request(requests.Request("POST", url, headers=dict(headers), data=body))
        prepared = self._template.copy()
        prepared.url = url
        prepared.body = body
        prepared.headers.update(headers)
        prepared.headers["Content-Length"] = str(len(body))
        return prepared

    def close(self) -> None:
        """Cut what is under way and close the connections; a caller's own session stays as it is."""
        if self._adapter is not None:
            self._adapter.cut()
            self._session.close()


class LocalWire:
    """Hands requests to a context service in this process.

    Args:
        folder: the service's data folder; made if it does not exist.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._service: ContextService | None = None
        self._parked: set[threading.Event] = set()
        self._closed = False

    def open(self) -> None:
        """Open the data folder.

        Raises:
            DataFolderError: it is not a data folder of ours, or of a newer version.
        """
        self._opened()

    def send(self, request: Request) -> Answer:
        """Have one request answered, parking as long as it asks."""
        service = self._opened()
        watch = service.watch(request.action, request.parameters)
        if watch is not None:
            self._park(watch)
        return answer_from_document(service.handle(request.action, request.parameters))

    def put_file(self, context_id: str, path: str, source: Source) -> Answer:
        """Have the service take a file.

        Raises:
            OSError: the caller's file can't be read.
        """
        return put_in_process(self._opened(), context_id, path, source)

    def get_file(self, context_id: str, path: str, target: str | PathLike[str], revision: int) -> Answer:
        """Have the service give a file; it takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
        """
        return get_in_process(self._opened(), context_id, path, target, revision)

    def _opened(self) -> ContextService:
        with self._guard:
            if self._closed:
                raise ClosedError("the client is closed")
            if self._service is None:
                self._service = open_service(self._folder)
            return self._service

    def _park(self, watch: Watch) -> None:
        """Wait until a task has ended, the time is up, or the wire is closed."""
        changed = threading.Event()
        with self._guard:
            self._parked.add(changed)
        unsubscribe = watch.subscribe(changed.set)
        try:
            deadline = now() + watch.timeout
            while not self._closed and not watch.ready() and (left := deadline - now()) > 0:
                changed.wait(left if watch.poll is None else min(left, watch.poll))
                changed.clear()
        finally:
            unsubscribe()
            with self._guard:
                self._parked.discard(changed)

    def close(self) -> None:
        """Close the service; what still runs is marked as interrupted."""
        with self._guard:
            self._closed = True
            service, self._service = self._service, None
            for parked in self._parked:
                parked.set()
        if service is not None:
            service.close()


class Repeating:
    """A step that runs again and again on a worker until it has nothing more to do."""

    def __init__(self, jobs: Jobs, step: Callable[[], float | None], abandoned: Callable[[], None]) -> None:
        self.step = step
        self.abandoned = abandoned
        self.turn = 0
        self.running = False
        self.woken = False
        self._jobs = jobs

    def wake(self) -> None:
        """Let the next run come now."""
        self._jobs._wake(self)


class Jobs:
    """Runs short steps on a few threads, however many wait: a step that waits for its time holds no thread.

    The threads are daemons, unlike those of concurrent.futures, whose exit hook joins them: a server that does not
    answer must not keep the interpreter from ending. An exit hook ends what is left instead.

    Args:
        workers: threads at most; they start when there is something to do.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, int, Repeating]] = []
        self._order = itertools.count()
        self._live: set[Repeating] = set()
        self._threads: list[threading.Thread] = []
        self._parked = 0
        self._closed = False

    def start(self, run: Callable[[], _T], abandoned: Callable[[], None]) -> Waitable[_T]:
        """Run at once what the caller may wait for: here, in the caller's own thread.

        Args:
            abandoned: called instead if it can't be run any more.
        """
        try:
            return run()
        except BaseException:
            abandoned()
            raise

    def repeat(self, step: Callable[[], float | None], abandoned: Callable[[], None]) -> Repeating:
        """Run a step on a worker, again and again.

        Args:
            step: gives the seconds until its next run, or ``None`` when it is through.
            abandoned: called once instead of further runs if the jobs are closed or the step fails.
        """
        job = Repeating(self, step, abandoned)
        with self._changed:
            closed = self._closed
            if not closed:
                self._live.add(job)
                self._schedule(job, 0)
                if len(self._threads) < min(self._workers, len(self._live)):
                    self._spawn()
        if closed:
            abandoned()
        return job

    def call_back(self, callback: Callable[[bool], object], ok: bool) -> None:
        """Call the user's callback; what it raises is logged and goes no further."""
        try:
            callback(ok)
        except (Exception, SystemExit):  # sys.exit() in a callback would end the worker, and with it others' callbacks
            _log.exception("the callback of a sync raised; the sync itself %s", "succeeded" if ok else "failed")

    def may_park(self) -> bool:
        """Ask for leave to hold a worker while a request parks; ``unpark`` gives it back. One worker stays free."""
        with self._changed:
            if self._parked >= self._workers - 1:
                return False
            self._parked += 1
            return True

    def unpark(self) -> None:
        """Give back the leave to park."""
        with self._changed:
            self._parked -= 1

    def close(self) -> None:
        """Abandon what is not through, in this thread, without waiting for steps under way."""
        with self._changed:
            self._closed = True
            abandoned = list(self._live)
            self._live.clear()
            self._queue.clear()
            self._changed.notify_all()
        for job in abandoned:
            _abandon(job)

    def _schedule(self, job: Repeating, delay: float) -> None:
        job.turn += 1
        heapq.heappush(self._queue, (now() + delay, next(self._order), job.turn, job))
        self._changed.notify()

    def _wake(self, job: Repeating) -> None:
        with self._changed:
            if job.running:
                job.woken = True
            elif job in self._live:
                self._schedule(job, 0)

    def _spawn(self) -> None:
        _close_at_exit(self)
        thread = threading.Thread(target=self._work, name=f"ctxmgr-worker-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._take()) is not None:
            delay = self._run(job)
            with self._changed:
                job.running = False
                if delay is None:
                    self._live.discard(job)
                elif not self._closed:
                    self._schedule(job, 0 if job.woken else delay)

    def _take(self) -> Repeating | None:
        """Wait for the next step that is due; ``None`` once closed."""
        with self._changed:
            while not self._closed:
                wait = None
                while self._queue:
                    due, _, turn, job = self._queue[0]
                    if turn == job.turn and (wait := due - now()) > 0:
                        break
                    heapq.heappop(self._queue)
                    if turn == job.turn:
                        job.running, job.woken = True, False
                        return job
                self._changed.wait(wait)
        return None

    def _run(self, job: Repeating) -> float | None:
        try:
            return job.step()
        except Exception:
            _log.exception("a step of a waiting sync failed; it is given up")
            _abandon(job)
            return None


def _abandon(job: Repeating) -> None:
    try:
        job.abandoned()
    except Exception:
        _log.exception("a waiting sync could not be given up cleanly")


_working: weakref.WeakSet[Jobs] = weakref.WeakSet()


def _close_at_exit(jobs: Jobs) -> None:
    """Have the jobs closed when the interpreter ends, so that every callback is called."""
    if not _working:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _working.add(jobs)


def _close_all() -> None:
    for jobs in list(_working):
        jobs.close()
