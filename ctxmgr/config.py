"""How a client reaches its service: from arguments first, then the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from .bounds import MAX_ATTEMPTS, MAX_COUNT, MAX_SECONDS_OF_A_STEP, MAX_WORKERS, shown
from .errors import ConfigError

__all__ = ["DEFAULT_REGION", "Config", "resolve", "untrusted"]

DEFAULT_REGION = "cn-hangzhou"
_CLOUD_SUFFIX = ".aliyuncs.com"


@attrs.frozen(kw_only=True)
class Config:
    """Everything a client needs to know before its first request.

    Attributes:
        endpoint: scheme, host and port of the service, without a trailing slash.
        api_key: the credential; never part of a repr.
        region: the region new contexts and sessions are made in (AgentBay's ``LoginRegionId``).
        connect_timeout: seconds to wait for a connection.
        read_timeout: seconds for each answer, until it has been read whole; with ``connect_timeout`` it bounds an
            attempt in total. A file may take longer, as long as 64 KiB of it move in that time.
        attempts: how often a request may be sent in all when it can safely be repeated.
        verify: ``True`` for the usual CA certificates, or the path of a CA bundle.
        proxies: scheme to proxy URL; ``None`` leaves it to the environment.
        workers: threads that serve ``callback=`` waits.
        settle_polls: successful polls without any change after which a server without task ids is believed to have
            had nothing to do.
    """

    endpoint: str
    api_key: str = attrs.field(repr=False)
    region: str = DEFAULT_REGION
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    attempts: int = 4
    verify: bool | str = True
    proxies: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    workers: int = 4
    settle_polls: int = 3

    @property
    def is_cloud(self) -> bool:
        """Whether the endpoint is AgentBay's cloud, which reads SyncContext's credential from the query only."""
        return (urlsplit(self.endpoint).hostname or "").endswith(_CLOUD_SUFFIX)


def resolve(
    *,
    api_key: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    timeout: float | tuple[float, float] | None = None,
    attempts: int = 4,
    verify: bool | str | None = None,
    proxies: Mapping[str, str] | None = None,
    workers: int = 4,
    settle_polls: int = 3,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Put a configuration together from arguments, then ``CTXMGR_*``, then ``AGENTBAY_*`` variables.

    Args:
        timeout: seconds for each answer until it has been read whole, and for the connection, which has 10 at most;
            or a pair of seconds (connect, answer).
        environ: where the variables are looked up: ``CTXMGR_API_KEY``, ``CTXMGR_ENDPOINT``, ``CTXMGR_REGION``,
            ``CTXMGR_TIMEOUT_MS``, ``CTXMGR_CA_BUNDLE``, and AgentBay's ``AGENTBAY_API_KEY``, ``AGENTBAY_ENDPOINT``
            (a bare host there), ``AGENTBAY_REGION_ID`` and ``AGENTBAY_TIMEOUT_MS``.

    Raises:
        ConfigError: a value is missing or can't be used; the text says which and what to do.
    """
    region = region or environ.get("CTXMGR_REGION") or environ.get("AGENTBAY_REGION_ID") or DEFAULT_REGION
    connect_timeout, read_timeout = _timeouts(timeout, environ)
    return Config(
        endpoint=_endpoint(endpoint, region, environ),
        api_key=_api_key(api_key or environ.get("CTXMGR_API_KEY") or environ.get("AGENTBAY_API_KEY")),
        region=region,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        attempts=_count("attempts", attempts, MAX_ATTEMPTS),
        verify=_verify(environ.get("CTXMGR_CA_BUNDLE") or True if verify is None else verify),
        proxies=proxies,
        workers=_count("workers", workers, MAX_WORKERS),
        settle_polls=_count("settle_polls", settle_polls, MAX_COUNT),
    )


def untrusted(where: str, reason: str) -> str:
    """Return the text of the error for a TLS connection that can't be had, and what to do.

    Args:
        where: scheme, host and port.
        reason: OpenSSL's.
    """
    if "WRONG_VERSION_NUMBER" in reason:
        advice = "that server does not seem to speak TLS: give http:// if it is one of a network that you trust"
    else:
        advice = "if its certificate is your own, name the CA bundle with verify= or CTXMGR_CA_BUNDLE"
    return f"no trusted connection to {where}: {reason}; {advice}"


def _api_key(value: str | None) -> str:
    if not value:
        advice = "pass api_key=, or set CTXMGR_API_KEY or AGENTBAY_API_KEY; Client.local() needs none"
        raise ConfigError(f"no API key: {advice}")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError("the API key holds a blank, a control or a non-ASCII character; was it copied whole?")
    return value


def _endpoint(value: str | None, region: str, environ: Mapping[str, str]) -> str:
    value = value or environ.get("CTXMGR_ENDPOINT")
    if not value and (host := environ.get("AGENTBAY_ENDPOINT")):
        value = host if "://" in host else f"https://{host}"
    if not value:
        value = f"https://agentbay.{region}.aliyuncs.com"
    if "://" not in value:
        shown = _shown(value)
        raise ConfigError(f"endpoint {shown!r} has no scheme: write http://{shown} or https://{shown}")
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  (reading it is the check)
    except ValueError:
        raise ConfigError(f"endpoint {_shown(value)!r} is not a URL: check its host and its port") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"endpoint {_shown(value)!r} has the scheme {parts.scheme!r}; only http and https are spoken")
    if not parts.hostname:
        raise ConfigError(f"endpoint {_shown(value)!r} names no host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"endpoint {_shown(value)!r} may hold a scheme, a host, a port and a path only: "
            "pass the key as api_key= or in CTXMGR_API_KEY"
        )
    return value.rstrip("/")


def _shown(url: str) -> str:
    """Return a URL without what could be a credential: its user part and its query."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0].partition('#')[0]}"


def _timeouts(value: float | tuple[float, float] | None, environ: Mapping[str, str]) -> tuple[float, float]:
    default = Config(endpoint="", api_key="")
    if value is None:
        for name in ("CTXMGR_TIMEOUT_MS", "AGENTBAY_TIMEOUT_MS"):
            if text := environ.get(name):
                seconds = _milliseconds(name, text)
                return min(default.connect_timeout, seconds), seconds
        return default.connect_timeout, default.read_timeout
    if not isinstance(value, tuple):
        return min(default.connect_timeout, _seconds(value)), _seconds(value)
    if len(value) != 2:
        raise ConfigError(f"timeout is {value!r}; it must be a positive number of seconds, or a pair of them")
    return _seconds(value[0]), _seconds(value[1])


def _milliseconds(name: str, text: str) -> float:
    try:
        return _seconds(float(text) / 1000)
    except ValueError:
        most = MAX_SECONDS_OF_A_STEP * 1000
        text = f"{name} is {text!r}; it must be a positive number of milliseconds, at most {most}"
        raise ConfigError(text) from None


def _seconds(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(f"timeout is {shown(value)}; it must be a positive number of seconds, or a pair of them")
    if value > MAX_SECONDS_OF_A_STEP:
        raise ConfigError(f"timeout is {shown(value)}; it must be at most {MAX_SECONDS_OF_A_STEP} seconds")
    return float(value)


def _count(name: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} is {shown(value)}; it must be a whole number of at least 1")
    if value > most:
        raise ConfigError(f"{name} is {shown(value)}; it must be at most {most}")
    return value


def _verify(value: bool | str) -> bool | str:
    if isinstance(value, str) and not os.path.exists(value):
        raise ConfigError(f"the CA bundle {value!r} does not exist")
    return value
