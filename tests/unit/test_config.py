"""How a client is configured: arguments first, then the environment, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ctxmgr import ConfigError
from ctxmgr.config import Config, resolve

KEY = "akm-0123456789"
PROXIES = {"https": "http://user:hunter2@proxy:3128"}


def resolved(environ: Mapping[str, str] | None = None, /, **given: Any) -> Config:
    return resolve(environ={"CTXMGR_API_KEY": KEY, **(environ or {})}, **given)


class TestPrecedence:
    @pytest.mark.parametrize(
        ("field", "given", "own", "agentbays"),
        [
            ("api_key", "akm-argument", ("CTXMGR_API_KEY", "akm-own"), ("AGENTBAY_API_KEY", "akm-agentbay")),
            ("region", "us-east-1", ("CTXMGR_REGION", "eu-1"), ("AGENTBAY_REGION_ID", "ap-southeast-1")),
            (
                "endpoint",
                "http://argument",
                ("CTXMGR_ENDPOINT", "http://own"),
                ("AGENTBAY_ENDPOINT", "http://agentbay"),
            ),
        ],
    )
    def test_an_argument_then_our_variable_then_agentbays(
        self, field: str, given: str, own: tuple[str, str], agentbays: tuple[str, str]
    ) -> None:
        both = dict([own, agentbays])
        assert getattr(resolve(environ={"AGENTBAY_API_KEY": KEY, **both}, **{field: given}), field) == given  # type: ignore[arg-type]  # by name
        assert getattr(resolve(environ={"AGENTBAY_API_KEY": KEY, **both}), field) == own[1]
        assert getattr(resolve(environ={"AGENTBAY_API_KEY": KEY, **dict([agentbays])}), field) == agentbays[1]

    def test_a_time_out_as_an_argument_outweighs_the_environment(self) -> None:
        assert resolved({"CTXMGR_TIMEOUT_MS": "5000"}, timeout=2).read_timeout == 2

    def test_our_time_out_outweighs_agentbays(self) -> None:
        environ = {"CTXMGR_TIMEOUT_MS": "5000", "AGENTBAY_TIMEOUT_MS": "7000"}
        assert resolved(environ).read_timeout == 5

    def test_agentbays_time_out_is_read(self) -> None:
        assert resolved({"AGENTBAY_TIMEOUT_MS": "7000"}).read_timeout == 7

    def test_an_empty_variable_counts_as_absent(self) -> None:
        assert resolved({"CTXMGR_REGION": "", "CTXMGR_ENDPOINT": "", "CTXMGR_TIMEOUT_MS": ""}) == resolved()

    def test_the_ca_bundle_of_the_environment_is_taken(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.touch()
        assert resolved({"CTXMGR_CA_BUNDLE": str(bundle)}).verify == str(bundle)

    def test_a_ca_bundle_as_an_argument_outweighs_the_environment(self) -> None:
        assert resolved({"CTXMGR_CA_BUNDLE": "/no/such/file"}, verify=True).verify is True


class TestEndpoint:
    def test_without_one_it_is_the_cloud_of_the_usual_region(self) -> None:
        assert resolved().endpoint == "https://agentbay.cn-hangzhou.aliyuncs.com"

    def test_without_one_it_is_the_cloud_of_the_region(self) -> None:
        assert resolved(region="us-east-1").endpoint == "https://agentbay.us-east-1.aliyuncs.com"

    def test_agentbays_variable_may_be_a_bare_host(self) -> None:
        environ = {"AGENTBAY_ENDPOINT": "agentbay.us-east-1.aliyuncs.com"}
        assert resolved(environ).endpoint == "https://agentbay.us-east-1.aliyuncs.com"

    @pytest.mark.parametrize("written", ["http://127.0.0.1:8700", "http://127.0.0.1:8700/", "http://127.0.0.1:8700//"])
    def test_a_trailing_slash_makes_no_difference(self, written: str) -> None:
        assert resolved(endpoint=written).endpoint == "http://127.0.0.1:8700"

    def test_it_may_have_a_path(self) -> None:
        assert resolved(endpoint="https://gateway/ctxmgr/").endpoint == "https://gateway/ctxmgr"

    def test_without_a_scheme_it_is_refused_with_both_spellings(self) -> None:
        with pytest.raises(
            ConfigError, match=r"'127\.0\.0\.1:8700' has no scheme: write http://127.0.0.1:8700 or https://"
        ):
            resolved(endpoint="127.0.0.1:8700")

    @pytest.mark.parametrize(
        ("endpoint", "text"),
        [
            ("ftp://host", "has the scheme 'ftp'; only http and https are spoken"),
            ("http://", "names no host"),
            ("http://:80", "names no host"),
            ("http://host:port", "is not a URL"),
            ("http://host:99999", "is not a URL"),
            ("http://[::1", "is not a URL"),
            ("http://host/?a=b", "may hold a scheme, a host, a port and a path only"),
            ("http://host/#a", "may hold a scheme, a host, a port and a path only"),
            ("http://key@host", "may hold a scheme, a host, a port and a path only: pass the key as api_key="),
        ],
    )
    def test_what_is_no_endpoint_is_refused(self, endpoint: str, text: str) -> None:
        with pytest.raises(ConfigError, match=text.replace("?", r"\?")):
            resolved(endpoint=endpoint)

    @pytest.mark.parametrize(
        "endpoint",
        [
            f"https://{KEY}@host",
            f"https://user:{KEY}@host:port",
            f"https://host/?key={KEY}",
            f"https://host/#{KEY}",
            f"ftp://{KEY}@host",
            f"user:{KEY}@host",
            f"https://user:{KEY}/@host",
        ],
    )
    def test_a_credential_in_it_is_not_quoted(self, endpoint: str) -> None:
        with pytest.raises(ConfigError) as caught:
            resolved(endpoint=endpoint)
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize(
        ("endpoint", "is_cloud"),
        [
            ("https://agentbay.cn-hangzhou.aliyuncs.com", True),
            ("https://AGENTBAY.CN-HANGZHOU.ALIYUNCS.COM", True),
            ("https://agentbay.cn-hangzhou.aliyuncs.com:443/path", True),
            ("https://aliyuncs.com.example.org", False),
            ("https://evilaliyuncs.com", False),
            ("https://example.org/.aliyuncs.com", False),
            ("http://127.0.0.1:8700", False),
        ],
    )
    def test_the_cloud_is_known_by_its_host(self, endpoint: str, is_cloud: bool) -> None:
        assert resolved(endpoint=endpoint).is_cloud is is_cloud


class TestApiKey:
    @pytest.mark.parametrize("environ", [{}, {"CTXMGR_API_KEY": ""}])
    def test_without_one_it_is_said_where_to_put_it(self, environ: Mapping[str, str]) -> None:
        text = r"^no API key: pass api_key=, or set CTXMGR_API_KEY or AGENTBAY_API_KEY; Client.local\(\) needs none$"
        with pytest.raises(ConfigError, match=text):
            resolve(environ=environ)

    @pytest.mark.parametrize("key", ["akm 1", "akm-1\n", "akm-1\x00", "akm-…", " akm-1"])
    def test_one_that_was_copied_badly_is_refused(self, key: str) -> None:
        with pytest.raises(ConfigError, match=r"was it copied whole"):
            resolved(api_key=key)

    def test_one_that_was_copied_badly_is_not_quoted(self) -> None:
        with pytest.raises(ConfigError) as caught:
            resolved(api_key=f"{KEY}\n")
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("secret", [KEY, "hunter2"])
    def test_a_configuration_shows_no_secret(self, secret: str) -> None:
        assert secret not in repr(resolved(proxies=PROXIES))


class TestTimeout:
    def test_a_number_is_for_answers(self) -> None:
        config = resolved(timeout=25)
        assert (config.connect_timeout, config.read_timeout) == (10, 25)

    @pytest.mark.parametrize(("environ", "given"), [({}, 5), ({"CTXMGR_TIMEOUT_MS": "5000"}, None)])
    def test_a_short_one_is_for_connections_too(self, environ: dict[str, str], given: float | None) -> None:
        config = resolved(environ, timeout=given)
        assert (config.connect_timeout, config.read_timeout) == (5, 5)

    def test_a_pair_is_for_connections_and_answers(self) -> None:
        config = resolved(timeout=(1, 5))
        assert (config.connect_timeout, config.read_timeout) == (1, 5)

    def test_there_always_is_one(self) -> None:
        assert (resolved().connect_timeout, resolved().read_timeout) == (10, 60)

    @pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", True, (1, 0), (0, 1), (1, None)])
    def test_an_impossible_one_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigError, match=r"^timeout is .*; it must be a positive number of seconds, or a pair"):
            resolved(timeout=value)

    @pytest.mark.parametrize("value", [(1, 2, 3), (1,), ()])
    def test_a_tuple_that_is_no_pair_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigError, match=r"^timeout is .*; it must be a positive number of seconds, or a pair"):
            resolved(timeout=value)

    @pytest.mark.parametrize("value", [86_401, 1e300, 10**400, 10**5000, (1, 10**400)], ids=lambda _: "")
    def test_one_that_no_socket_takes_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigError, match=r"^timeout is .*; it must be at most 86400 seconds"):
            resolved(timeout=value)

    @pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e300"])
    @pytest.mark.parametrize("name", ["CTXMGR_TIMEOUT_MS", "AGENTBAY_TIMEOUT_MS"])
    def test_an_impossible_variable_is_named(self, name: str, text: str) -> None:
        with pytest.raises(ConfigError, match=f"^{name} is '{text}'; it must be a positive number of milliseconds, "):
            resolved({name: text})


class TestOthers:
    @pytest.mark.parametrize("name", ["attempts", "workers", "settle_polls"])
    @pytest.mark.parametrize("value", [0, -1, 1.5, "4", True, None])
    def test_a_count_that_is_none_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(ConfigError, match=f"^{name} is .*; it must be a whole number of at least 1$"):
            resolved(**{name: value})

    @pytest.mark.parametrize(("name", "most"), [("attempts", 100), ("workers", 1000), ("settle_polls", 2**31 - 1)])
    def test_a_count_beyond_all_sense_is_refused(self, name: str, most: int) -> None:
        assert getattr(resolved(**{name: most}), name) == most
        for value in (most + 1, 10**400, 10**5000):
            with pytest.raises(ConfigError, match=f"^{name} is .*; it must be at most {most}$"):
                resolved(**{name: value})

    def test_a_ca_bundle_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"^the CA bundle '/no/such/file' does not exist$"):
            resolved(verify="/no/such/file")
