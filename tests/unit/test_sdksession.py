"""What is read out of a session object of AgentBay's SDK."""

from __future__ import annotations

import pytest

from ctxmgr.errors import ArgumentError, ArgumentTypeError
from ctxmgr.sdksession import sdk_session_settings
from tests.support.sdk import SdkAgentBay, SdkHttpClient, SdkSession

KEY = "akm-0123456789"


def session(endpoint: str | None = "agentbay.cn-hangzhou.aliyuncs.com", protocol: str | None = None) -> SdkSession:
    return SdkSession(SdkAgentBay(KEY, SdkHttpClient(endpoint, protocol)), "s-1")


def test_its_id_key_and_region_are_read() -> None:
    found = sdk_session_settings(session())
    assert (found.session_id, found.api_key, found.region) == ("s-1", KEY, "cn-hangzhou")
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("endpoint", "protocol", "wanted"),
    [
        ("agentbay.cn-hangzhou.aliyuncs.com", None, "https://agentbay.cn-hangzhou.aliyuncs.com"),
        ("127.0.0.1:8700", "HTTP", "http://127.0.0.1:8700"),
        ("https://a.example", "HTTP", "https://a.example"),
        (None, "HTTP", None),
    ],
)
def test_its_endpoint_gets_the_scheme_that_the_sdk_speaks(
    endpoint: str | None, protocol: str | None, wanted: str | None
) -> None:
    assert sdk_session_settings(session(endpoint, protocol)).endpoint == wanted


def test_a_session_without_the_internal_methods_is_read_by_its_attributes() -> None:
    class Plain:
        session_id = "s-2"
        agent_bay = SdkAgentBay(KEY, SdkHttpClient("host"))

    found = sdk_session_settings(Plain())
    assert (found.session_id, found.api_key, found.endpoint) == ("s-2", KEY, "https://host")


@pytest.mark.parametrize("wrong", [None, object(), "s-1", SdkAgentBay(KEY, SdkHttpClient("host"))])
def test_what_is_no_session_is_refused_with_what_it_lacks(wrong: object) -> None:
    with pytest.raises(ArgumentTypeError, match=f"{type(wrong).__name__} is no session"):
        sdk_session_settings(wrong)


def test_a_session_without_a_key_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no API key"):
        sdk_session_settings(SdkSession(SdkAgentBay("", SdkHttpClient("host")), "s-1"))
