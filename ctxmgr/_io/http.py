"""Requests that are sent over HTTP, and files to and from signed URLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import Any

import requests

from ctxmgr._forks import renewed_in_child
from ctxmgr._localfiles import Arriving, Source, open_source
from ctxmgr.config import Config
from ctxmgr.filedigests import Departure, wanted
from ctxmgr.filewire import MAX_REFUSAL, checked_url, refused, transferred, whence
from ctxmgr.patience import LEAST_MOVED, MAX_ANSWER, Patience
from ctxmgr.protocol import Answer, Reply, Request, encode, read_answer, too_large

from ._connections import CuttableAdapter, OwnSession, leave_to_parent
from ._timedresponse import under
from ._urllogs import keep_credentials_out_of_logs, kept_out_of_logs
from .failures import FAILURES, root_cause, transport_error

__all__ = ["HttpSession", "HttpWire"]

HttpSession = requests.Session
_AT_ONCE = 1 << 16


class HttpWire:
    """Sends requests over HTTP on pooled connections that all threads share.

    Args:
        config: where to, as whom, and for how long.
        session: the caller's own session, used as it is set up and left open; ``None`` makes one. On the connections
            of a caller's session each wait is bounded, but not the sum of many short ones.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        self._config = config
        self._is_cloud = config.is_cloud
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
        if self._is_cloud and request.action == "SyncContext":
            keep_credentials_out_of_logs()
        encoded = encode(request, config.api_key, for_cloud=self._is_cloud)
        prepared = self._prepare(f"{config.endpoint}/?{encoded.query}", encoded.headers, encoded.body)
        patience = Patience(config.read_timeout + request.timeout, within=request.within)
        waits = min(config.connect_timeout, request.within), min(config.read_timeout + request.timeout, request.within)
        try:
            with (
                under(patience),
                self._sent(prepared, waits) as response,
            ):
                reply = self._read(response)
        except FAILURES as error:
            failure = transport_error(error, config)
            failure.__cause__ = root_cause(error, config)
        else:
            return read_answer(reply, secret=config.api_key)
        raise failure  # out here, where the library's error, which quotes the URL, does not become its context

    def _sent(self, prepared: requests.PreparedRequest, waits: tuple[float, float]) -> requests.Response:
        if self._adapter is None:
            return self._session.send(prepared, timeout=waits, allow_redirects=False, **self._settings)
        # What a session would add, hooks, cookies and redirects, none of which there are, costs a tenth of a call.
        return self._adapter.send(prepared, timeout=waits, **self._settings)

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

    def post_url(self, url: str, body: bytes, take: Callable[[Iterator[bytes]], None]) -> Answer:
        """Ask a signed URL, once, by a plain POST, and have the pieces of the answer taken as they come.

        Raises:
            TransportError: there was no answer, or not all of it.
        """
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        request = requests.Request("POST", checked_url(url), data=body, headers=headers)
        with self._send_file(request.prepare()) as response:
            if response.status_code != 200:
                return refused(self._refusal(response, url))
            take(self._pieces(response, url))
            return transferred(response.status_code, response.headers, 0, verified=False)

    def _send_file(
        self, prepared: requests.PreparedRequest, timeout: tuple[float, float] | None = None
    ) -> requests.Response:
        """Send a prepared request as it is: whoever signed its URL knows of no header that a session would add.

        Args:
            timeout: seconds to connect and until the answer moves, at most, where those of the client are longer.
        """
        config = self._config
        url = prepared.url or ""
        verify = None if config.verify is True else config.verify
        settings = self._session.merge_environment_settings(url, dict(config.proxies or {}), True, verify, None)
        own = (config.connect_timeout, config.read_timeout)
        timeout = own if timeout is None else (min(own[0], timeout[0]), min(own[1], timeout[1]))
        patience = Patience(timeout[1], renewed_by=LEAST_MOVED)
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
