"""Sessions that AgentBay's SDK made, adopted: synced here, with everything else left to the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .client import Client
from .manager import ContextManager
from .sdksession import sdk_session_settings

__all__ = ["AdoptedManager", "adopt"]


class AdoptedManager(ContextManager):
    """The contexts of an adopted session, on a client of its own: ``ContextManager.for_session`` makes one."""

    _client: Client

    @classmethod
    def of(cls, client: Client, session_id: str) -> AdoptedManager:
        """Make one that closes the client with itself."""
        manager = cls(session_id, client._transport, client._poller, client._background, client._settle_polls)
        manager._client = client
        return manager

    def close(self) -> None:
        """End every wait and close the connections. The SDK's session is not touched."""
        self._client.close()

    def __enter__(self) -> AdoptedManager:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def adopt(sdk_session: object, options: Mapping[str, Any]) -> AdoptedManager:
    """Make a manager of a session of AgentBay's SDK: see ``ContextManager.for_session``."""
    found = sdk_session_settings(sdk_session)
    settings: dict[str, Any] = {"api_key": found.api_key, "endpoint": found.endpoint, "region": found.region}
    settings.update(options)
    client = Client(**settings)
    return AdoptedManager.of(client, found.session_id)
