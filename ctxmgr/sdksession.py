"""What a session object of AgentBay's SDK knows of itself: its key, its id and where its service is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .errors import ArgumentTypeError

__all__ = ["SdkSession", "sdk_session_settings"]


@attrs.frozen
class SdkSession:
    """What it takes to speak of the session to its service.

    Attributes:
        endpoint: with its scheme; ``None`` where the session does not tell.
        region: ``None`` where the session does not tell.
    """

    session_id: str
    api_key: str = attrs.field(repr=False)
    endpoint: str | None
    region: str | None


def sdk_session_settings(session: Any) -> SdkSession:
    """Read a session object of ``wuying-agentbay-sdk``, of its sync or its async flavour. The SDK is not imported.

    Raises:
        ArgumentTypeError: it is no such object.
    """
    agent_bay = getattr(session, "agent_bay", None)
    session_id = _asked(session, "_get_session_id") or _text(session, "session_id")
    api_key = _asked(session, "_get_api_key") or _text(agent_bay, "api_key")
    if not isinstance(session_id, str) or not isinstance(api_key, str):
        missing = "API key" if isinstance(session_id, str) else "id"
        raise ArgumentTypeError(
            f"{type(session).__name__} is no session of AgentBay's SDK: it has no {missing}; "
            "pass the session that agent_bay.create() or agent_bay.get() gave"
        )
    client = _asked(session, "_get_client") or getattr(agent_bay, "client", None)
    return SdkSession(session_id, api_key, _endpoint(client), _text(agent_bay, "region_id"))


def _asked(session: Any, name: str) -> Any:
    """Ask one of the SDK's internal methods, where there is one."""
    method: Callable[[], Any] | None = getattr(session, name, None)
    return method() if callable(method) else None


def _endpoint(client: Any) -> str | None:
    """Return the endpoint of the SDK's HTTP client, a bare host with perhaps a port, with the scheme it uses."""
    host = _text(client, "_endpoint")
    if host is None or "://" in host:
        return host
    scheme = (_text(client, "_protocol") or "https").lower()
    return f"{scheme}://{host}"


def _text(owner: Any, name: str) -> str | None:
    value = getattr(owner, name, None)
    return value if isinstance(value, str) and value else None
