"""Failures of aiohttp in our own words."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp

from ctxmgr.config import Config, untrusted
from ctxmgr.errors import ConnectionFailed, RequestTimeout, TransportError

__all__ = ["root_cause", "transport_error"]


def transport_error(error: BaseException, config: Config) -> TransportError:
    """Put a failure in our own words: the library's may quote the URL, which may hold the credential."""
    parts = urlsplit(config.endpoint)
    where = f"{parts.scheme}://{parts.netloc}"
    root = root_cause(error)
    reason = (str(root) or type(root).__name__).replace(config.api_key, "…")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        text = f"no connection to {where} within {config.connect_timeout:g} s; is the service up and reachable?"
        return RequestTimeout(text, received=False)
    if isinstance(error, asyncio.TimeoutError):
        return RequestTimeout(f"{where} did not answer within {config.read_timeout:g} s")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        return ConnectionFailed(untrusted(where, reason), received=False)
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return ConnectionFailed(f"no connection to {where} through the proxy: {reason}", received=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectionFailed(f"no connection to {where}: {reason}; is the service running?", received=False)
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
        return ConnectionFailed(f"the connection to {where} broke: {reason}")
    return TransportError(f"the request to {where} failed: {type(error).__name__}")


def root_cause(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__ or getattr(error, "os_error", None)
    return error if cause is None else root_cause(cause)
