"""Messages to the service's door for nodes: bytes there and bytes back, on connections of a node's own."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from io import BytesIO

import requests

from ctxmgr.config import Config
from ctxmgr.errors import ProtocolError
from ctxmgr.filedigests import content_digest
from ctxmgr.filewire import refused, whence
from ctxmgr.patience import LEAST_MOVED, Patience
from ctxmgr.protocol import Answer, Reply, read_answer

from ._timedresponse import under
from .failures import FAILURES, root_cause, transport_error
from .http import HttpSession, HttpWire

__all__ = ["DoorWire"]

_HEADERS = {
    "Accept": "application/msgpack, application/octet-stream, application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/msgpack",
}
_STORE_SECONDS = (4.0, 20.0)
"""For a connection to the store, and for each answer of it: who can't reach it has another way."""


class DoorWire(HttpWire):
    """Sends messages, once each, for any number of threads.

    Attributes:
        place: tells this service and account from others, without the credential.
    """

    def __init__(self, config: Config, session: HttpSession | None = None) -> None:
        super().__init__(config, session)
        self.place = blake2b(f"{config.endpoint}\0{config.api_key}".encode(), digest_size=16).hexdigest()
        self._addressed = {**_HEADERS, "Authorization": f"Bearer {config.api_key}"}

    def post(self, path: str, body: bytes, wait: float) -> Reply:
        """Send a message and read what comes back, whole; it may take its time for as long as it moves.

        Args:
            path: below the endpoint.
            wait: seconds until the answer begins, at most, and between any 64 KiB of it.

        Raises:
            TransportError: there was no answer.
        """
        config = self._config
        headers = {**self._addressed, "Content-Digest": content_digest(body)}
        prepared = self._prepare(f"{config.endpoint}{path}", headers, body)
        patience = Patience(wait, renewed_by=LEAST_MOVED)
        timeout = (config.connect_timeout, wait)
        try:
            with (
                under(patience),
                self._session.send(prepared, timeout=timeout, allow_redirects=False, **self._settings) as response,
            ):
                return self._read(response)
        except FAILURES as error:
            failure = transport_error(error, config)
            failure.__cause__ = root_cause(error, config)
        raise failure

    def put(self, url: str, data: bytes) -> None:
        """Send bytes to a presigned URL, once, without the credential.

        Raises:
            TransportError: they did not arrive, or are refused.
        """
        # As a file they are sent in blocks, each of which may take its time; bytes may not, however many they are.
        with self._to_store(requests.Request("PUT", url, data=BytesIO(data)), 200) as response:
            for _ in self._pieces(response, url):
                pass

    def get(self, url: str, start: int, end: int) -> bytes:
        """Fetch the bytes of a presigned URL from a start to an end, exclusive, once, without the credential.

        Raises:
            TransportError: they did not come, or are refused.
        """
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
        body = bytearray()
        with self._to_store(requests.Request("GET", url, headers=headers), 206) as response:
            for piece in self._pieces(response, url):
                body += piece
                if len(body) > end - start:
                    break
        if len(body) != end - start:
            raise ProtocolError("the store gives other bytes than it was asked for", http_status=206)
        return bytes(body)

    def _to_store(self, request: requests.Request, expected: int) -> requests.Response:
        url, prepared = request.url, None
        with suppress(requests.RequestException, ValueError):  # both quote the URL, which is a secret
            prepared = request.prepare()
        if prepared is None:
            raise ProtocolError("what the service tells as the URL of its store is none", http_status=0)
        if not url.startswith("https://") and self._config.endpoint.startswith("https://"):
            raise ProtocolError("the store's URL is without TLS, and the service's is not", http_status=0)
        response = self._send_file(prepared, _STORE_SECONDS)
        if response.status_code != expected:
            with response:
                answer = refused(self._refusal(response, url))
            where = whence(self._config, url).endpoint
            raise ProtocolError(
                f"{where} answers HTTP {response.status_code} ({answer.code})", http_status=response.status_code
            )
        return response

    def read_refusal(self, reply: Reply) -> Answer:
        """Read what came instead of a message.

        Raises:
            ProtocolError: it is no refusal of the service's.
        """
        return read_answer(reply, secret=self._config.api_key)
