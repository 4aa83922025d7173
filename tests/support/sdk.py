"""Objects with the shape of AgentBay's SDK: as much of it as adopting a session looks at."""

from __future__ import annotations

import attrs

__all__ = ["SdkAgentBay", "SdkHttpClient", "SdkSession"]


@attrs.frozen
class SdkHttpClient:
    """The generated HTTP client: its endpoint is a bare host, and its protocol None where nobody chose one."""

    _endpoint: str | None
    _protocol: str | None = None


@attrs.frozen
class SdkAgentBay:
    api_key: str
    client: SdkHttpClient
    region_id: str = "cn-hangzhou"


@attrs.frozen
class SdkSession:
    agent_bay: SdkAgentBay
    session_id: str

    def _get_api_key(self) -> str:
        return self.agent_bay.api_key

    def _get_client(self) -> SdkHttpClient:
        return self.agent_bay.client

    def _get_session_id(self) -> str:
        return self.session_id
