"""The few primitives that wait: all the rest of the package is built on them, and so is its asyncio twin."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from os import PathLike
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import requests

from ._embedded import open_service
from ._forks import renewed_in_child
from ._http import (
    FAILURES,
    CuttableAdapter,
    OwnSession,
    keep_credentials_out_of_logs,
    leave_to_parent,
    root_cause,
    transport_error,
)
from ._localfiles import Arriving, Source, get_in_process, open_source, put_in_process
from ._steps import Repeating, Steps
from ._timedresponse import under
from ._urllogs import kept_out_of_logs
from .config import Config
from .errors import ClosedError
from .filedigests import Departure, wanted
from .filewire import MAX_REFUSAL, checked_url, refused, transferred, whence
from .patience import LEAST_MOVED, MAX_ANSWER, Patience
from .protocol import Answer, Reply, Request, answer_from_document, encode, read_answer, too_large

if TYPE_CHECKING:
    from .service import ContextService, Watch

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
_AT_ONCE = 1 << 16
_T = TypeVar("_T")

#: Whether a callback may be an async function: nothing would await it here.
ASYNC_CALLBACKS = False

#: What a call gives that its caller may wait for. Here that is the value itself.
Waitable = Annotated[_T, "ready at once"]

HttpSession = requests.Session
Lock = threading.Lock
now = time.monotonic
_callbacks = threading.local()  # of any client: two that wait for each other's callbacks would wait for ever


class Closing:
    """Tells every pause of a client that the client is being closed."""

    def __init__(self) -> None:
        self._event = threading.Event()
        renewed_in_child(self)

    def renew(self) -> None:
        """Make the lock within anew in a forked child."""
        was_set = self._event.is_set()
        self._event = threading.Event()
        if was_set:
            self._event.set()

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
        session: the caller's own session, used as it is set up and left open; ``None`` makes one. On the connections
            of a caller's session each wait is bounded, but not the sum of many short ones.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        self._config = config
        self._adapter: CuttableAdapter | None = None
        if session is None:
            session = OwnSession()
            self._adapter = CuttableAdapter(connections=max(16, 2 * config.workers))
            session.mount("https://", self._adapter)
            session.mount("http://", self._adapter)
        self._session = session
        self._template: requests.PreparedRequest | None = None
        self._settings: Mapping[str, Any] = {}
        renewed_in_child(self)

    def renew(self) -> None:
        """Leave the connections to the parent in a forked child, which makes its own: also in a caller's session."""
        leave_to_parent(self._session)

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
        patience = Patience(config.read_timeout + request.timeout, within=request.within)
        waits = min(config.connect_timeout, request.within), min(config.read_timeout + request.timeout, request.within)
        try:
            with (
                under(patience),
                self._session.send(prepared, timeout=waits, allow_redirects=False, **self._settings) as response,
            ):
                reply = self._read(response)
        except FAILURES as error:
            failure = transport_error(error, config)
            failure.__cause__ = root_cause(error, config)
        else:
            return read_answer(reply, secret=config.api_key)
        raise failure  # out here, where the library's error, which quotes the URL, does not become its context

    def _read(self, response: requests.Response) -> Reply:
        """Read an answer whole, up to the size that any may have.

        The hooks of a caller's session may have read it already, so requests unpacks it there.
        """
        status, headers, body = response.status_code, response.headers.copy(), bytearray()
        own = self._adapter is None
        if own:
            headers.pop("Content-Encoding", None)
        for piece in response.iter_content(_AT_ONCE) if own else _as_it_comes(response):
            body += piece
            if len(body) > MAX_ANSWER:
                raise too_large(status)
        return Reply(status, headers, bytes(body))

    def put_url(self, url: str, source: Source) -> Answer:
        """Send a file to a signed URL, once, by a plain PUT.

        Raises:
            OSError: the caller's file can't be read.
            TransportError: there was no answer.
        """
        file, size = open_source(source)
        with file:
            departure = Departure(file)
            # An empty file object would be sent in chunks, which object stores refuse.
            body = file if size else b""
            request = requests.Request("PUT", checked_url(url), data=body, headers=departure.headers)
            with self._send_file(request.prepare()) as response:
                if response.status_code // 100 == 2:
                    verified = departure.verify(response.headers)
                    return transferred(response.status_code, response.headers, size, verified=verified)
                return refused(self._refusal(response, url))

    def get_url(self, url: str, target: str | PathLike[str]) -> Answer:
        """Fetch a file from a signed URL, once, by a plain GET. It takes its name when it is complete.

        Raises:
            OSError: the caller's file can't be written.
            TransportError: there was no answer, or not all of it.
        """
        headers = {"Accept-Encoding": "identity", **wanted()}
        with self._send_file(requests.Request("GET", checked_url(url), headers=headers).prepare()) as response:
            if response.status_code != 200:
                return refused(self._refusal(response, url))
            with Arriving(target, response.headers) as arriving:
                for piece in self._pieces(response, url):
                    arriving.write(piece)
                arriving.keep()
                status, size = response.status_code, arriving.size
                return transferred(status, response.headers, size, verified=arriving.verified)

    def _send_file(self, prepared: requests.PreparedRequest) -> requests.Response:
        """Send a prepared request as it is: whoever signed its URL knows of no header that a session would add."""
        config = self._config
        url = prepared.url or ""
        verify = None if config.verify is True else config.verify
        settings = self._session.merge_environment_settings(url, dict(config.proxies or {}), True, verify, None)
        timeout = (config.connect_timeout, config.read_timeout)
        patience = Patience(config.read_timeout, renewed_by=LEAST_MOVED)
        try:
            with kept_out_of_logs(prepared.path_url), under(patience):
                return self._session.send(prepared, timeout=timeout, allow_redirects=False, **settings)
        except requests.RequestException as error:
            failure = transport_error(error, whence(config, url))
        raise failure

    def _pieces(self, response: requests.Response, url: str) -> Iterator[bytes]:
        try:
            yield from _as_it_comes(response)
        except FAILURES as error:
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
            self._settings = session.merge_environment_settings(config.endpoint, proxies, True, verify, None)
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


def _as_it_comes(response: requests.Response) -> Iterator[bytes]:
    """Read a body without unpacking it; http.client bounds what stands between its chunks."""
    while piece := response.raw.read(_AT_ONCE, decode_content=False):
        yield piece


class LocalWire:
    """Hands requests to a context service in this process.

    Args:
        folder: the service's data folder; made if it does not exist.
        executor: needed in asyncio only; here the caller's own thread does the work.
    """

    def __init__(self, folder: str | PathLike[str], executor: Executor | None = None) -> None:
        self._folder = folder
        self._closed = False
        self._begin()
        renewed_in_child(self)

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._service: ContextService | None = None
        self._parked: set[threading.Event] = set()

    def renew(self) -> None:
        """Leave the service to the parent in a forked child, which opens one of its own when it needs it."""
        self._begin()

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


class Jobs:
    """Runs short steps on an executor, however many wait: a step that waits for its time holds no thread.

    Args:
        workers: threads of the executor, if none is given.
        executor: the caller's, left open.
        wire: what is closed with the jobs at the interpreter's exit, so that none of them holds it up.
    """

    def __init__(self, workers: int, executor: Executor | None, wire: HttpWire | LocalWire) -> None:
        self._steps = Steps(workers, executor, wire.close)

    @property
    def in_callback(self) -> bool:
        """Whether it is a callback that asks."""
        return getattr(_callbacks, "depth", 0) > 0

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

    def repeat(self, step: Callable[[], float | None], abandoned: Callable[[], None], group: str) -> Repeating:
        """Run a step on a worker, again and again.

        Args:
            step: returns the seconds until its next run, or ``None`` when it is through.
            abandoned: called once instead of further runs if the jobs are closed or the step fails.
            group: the session it belongs to.
        """
        return self._steps.repeat(step, abandoned, group)

    def run_aside(self, run: Callable[[], None], group: str) -> None:
        """Run on a worker, or here if there is none any more, what must not hold up who asks for it."""
        self._steps.repeat(run, run, group)

    def call_back(self, callback: Callable[[bool], object], ok: bool, returned: Callable[[], None]) -> None:
        """Call the user's callback; what it raises is logged and goes no further, whatever it is.

        Args:
            returned: called afterwards.
        """
        _callbacks.depth = getattr(_callbacks, "depth", 0) + 1
        try:
            callback(ok)
        except BaseException:
            _log.exception("the callback of a sync raised; the sync itself %s", "succeeded" if ok else "failed")
        finally:
            _callbacks.depth -= 1
            returned()

    def finish(self, group: str, done: Callable[[], bool]) -> None:
        """Wait until something is done that jobs of a group do; ``notify`` has it looked at again."""
        self._steps.finish(group, done)

    def notify(self) -> None:
        """Have those who wait in ``finish`` look again whether it is done."""
        self._steps.notify()

    def may_park(self) -> bool:
        """Ask for leave to hold a worker while a request parks; ``unpark`` gives it back."""
        return self._steps.may_park()

    def unpark(self) -> None:
        """Return the permission to park."""
        self._steps.unpark()

    def close(self) -> None:
        """Abandon what is not through, in this thread, without waiting for steps under way."""
        self._steps.close()
