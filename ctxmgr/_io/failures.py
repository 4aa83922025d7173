"""Failures of requests and urllib3 in our own words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from ctxmgr.config import Config, untrusted
from ctxmgr.errors import ConnectionFailed, RequestTimeout, TransportError
from ctxmgr.protocol import redacted

__all__ = ["FAILURES", "root_cause", "transport_error"]

FAILURES = (requests.RequestException, HTTPError)
"""What requests raises, and what urllib3 does where a body is read as it comes."""


def transport_error(error: Exception, config: Config) -> TransportError:
    """Put a failure in our own words: the library's quote the whole URL, which may hold the credential."""
    parts = urlsplit(config.endpoint)
    where = f"{parts.scheme}://{parts.netloc}"
    causes = list(_causes(error))
    reason = redacted(str(causes[-1]) or type(causes[-1]).__name__, config.api_key)
    unsent = any(isinstance(cause, (NewConnectionError, ssl.SSLCertVerificationError)) for cause in causes)
    if isinstance(error, requests.ConnectTimeout):
        text = f"no connection to {where} within {config.connect_timeout:g} s; is the service up and reachable?"
        return RequestTimeout(text, received=False)
    if isinstance(error, requests.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
        return RequestTimeout(f"{where} did not answer within {config.read_timeout:g} s")
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFailed(untrusted(where, reason), received=not unsent)
    if isinstance(error, requests.exceptions.ProxyError):
        return ConnectionFailed(f"no connection to {where} through the proxy: {reason}", received=not unsent)
    if unsent:
        return ConnectionFailed(f"no connection to {where}: {reason}; is the service running?", received=False)
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, HTTPError)):
        return ConnectionFailed(f"the connection to {where} broke: {reason}")
    if len(causes) == 1:
        reason = type(error).__name__
    return TransportError(f"the request to {where} failed: {reason}")


def root_cause(error: BaseException, config: Config) -> BaseException | None:
    """Return the innermost cause, which names what happened and not the URL; ``None`` if even that quotes it."""
    cause = list(_causes(error))[-1]
    shown = f"{cause!s} {cause!r}"
    return cause if redacted(shown, config.api_key) == shown else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
