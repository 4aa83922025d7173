"""Requests that are sent over HTTP, and files to and from signed URLs."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any, BinaryIO, TypeVar

import aiohttp
import certifi
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from ctxmgr._forks import renewed_in_child
from ctxmgr._localfiles import Arriving, Source, open_source
from ctxmgr.config import Config
from ctxmgr.filedigests import Departure, wanted
from ctxmgr.filewire import MAX_REFUSAL, checked_url, refused, transferred, whence
from ctxmgr.patience import LEAST_MOVED, MAX_ANSWER, Patience
from ctxmgr.protocol import Answer, Reply, Request, encode, read_answer, too_large

from .closing import of_parent
from .failures import root_cause, transport_error

__all__ = ["HttpSession", "HttpWire"]

HttpSession = aiohttp.ClientSession
_T = TypeVar("_T")


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
        encoded = encode(request, config.api_key, for_cloud=config.is_cloud)
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
            raise transport_error(error, config) from root_cause(error)
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
            failure = transport_error(error, whence(self._config, url))
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
            failure = transport_error(error, whence(self._config, url))
        raise failure

    async def post_url(self, url: str, body: bytes, take: Callable[[Iterator[bytes]], None]) -> Answer:
        """Ask a signed URL, once, by a plain POST, and have the pieces of the answer taken, on a thread, as they come.

        Raises:
            TransportError: there was no answer, or not all of it.
        """
        patience = self._patience()
        try:
            return await _while_it_moves(patience, self._post(url, body, take, patience))
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            failure = transport_error(error, whence(self._config, url))
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

    async def _post(self, url: str, body: bytes, take: Callable[[Iterator[bytes]], None], patience: Patience) -> Answer:
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        async with self._send_file("POST", url, headers, body) as response:
            if response.status != 200:
                return refused(await _refusal(response))

            async def read() -> bytes:
                try:
                    piece = await response.content.readany()
                except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                    failure = transport_error(error, whence(self._config, url))
                else:
                    patience.moved(len(piece))
                    return piece
                raise failure

            loop = asyncio.get_running_loop()
            await _blocking(take, iter(lambda: asyncio.run_coroutine_threadsafe(read(), loop).result(), b""))
            return transferred(response.status, response.headers, 0, verified=False)

    @asynccontextmanager
    async def _send_file(
        self, method: str, url: str, headers: dict[str, str], body: AsyncIterator[bytes] | bytes | None
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
            raise of_parent()
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
