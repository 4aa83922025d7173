"""Messages to the service's door for nodes: bytes there and bytes back, on connections of a node's own."""

from __future__ import annotations

from hashlib import blake2b

from ctxmgr.config import Config
from ctxmgr.filedigests import content_digest
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

    def read_refusal(self, reply: Reply) -> Answer:
        """Read what came instead of a message.

        Raises:
            ProtocolError: it is no refusal of the service's.
        """
        return read_answer(reply, secret=self._config.api_key)
