"""API keys: shown once, kept as hashes, good until they are revoked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from ctxmgr.service.catalog.keys import Keys
from ctxmgr.service.http.access import Doorkeeper
from tests.support.keeping import Elsewhere


@pytest.fixture
def service(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[ContextService]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield service
    service.close()


@pytest.fixture
def keys(service: ContextService) -> Keys:
    return service.keys


def test_a_key_opens_the_account_it_was_made_for(keys: Keys) -> None:
    _, text = keys.create("ci", "team")
    found = keys.find(text)
    assert found is not None
    assert (found.account, found.name) == ("team", "ci")


def test_no_file_of_the_data_folder_holds_a_key(tmp_path: Path) -> None:
    service = ContextService.open(tmp_path / "data")
    key, text = service.keys.create("ci", "team")
    service.close()
    secret = text.rpartition("-")[2].encode()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert key.id.encode() in kept
    assert secret not in kept


def test_two_keys_are_never_alike(keys: Keys) -> None:
    assert len({keys.create(f"key {number}", "local")[1] for number in range(20)}) == 20


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "0", lambda text: text.upper()])
def test_what_is_almost_a_key_is_none(keys: Keys, change: object) -> None:
    _, text = keys.create("ci", "local")
    assert callable(change)
    assert keys.find(change(text)) is None


@pytest.mark.parametrize(
    "text", ["", "ctxmgr", "ctxmgr-", "ctxmgr--", "ctxmgr-x-y", "akm-1", "ctxmgr-\0-é", "\udcff" * 9]
)
def test_what_is_no_key_at_all_is_refused(keys: Keys, text: str) -> None:
    assert keys.find(text) is None


def test_the_id_and_another_keys_secret_are_no_key(keys: Keys) -> None:
    (one, _), (_, text) = keys.create("one", "local"), keys.create("two", "local")
    assert keys.find(f"ctxmgr-{one.id}-{text.rpartition('-')[2]}") is None


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_revoked_key_is_good_for_nothing(keys: Keys, by: str) -> None:
    key, text = keys.create("ci", "local")
    assert keys.revoke(getattr(key, by)).id == key.id
    assert keys.find(text) is None


def test_a_revoked_key_stays_listed_and_its_name_is_free(keys: Keys) -> None:
    keys.create("ci", "local")
    keys.revoke("ci")
    keys.create("ci", "local")
    assert sorted(key.revoked_ms is None for key in keys.all()) == [False, True]


def test_revoking_what_is_not_there_is_told(keys: Keys) -> None:
    with pytest.raises(ServiceError, match=r"\[InvalidKey.NotFound\] there is no key 'nobody'"):
        keys.revoke("nobody")


def test_a_name_is_given_once(keys: Keys) -> None:
    keys.create("ci", "local")
    with pytest.raises(ServiceError, match=r"\[InvalidKey.Duplicate\]"):
        keys.create("ci", "other")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\x1b[31m"])
def test_a_name_that_can_not_be_shown_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(ServiceError, match=r"\[InvalidKey.Malformed\]"):
        keys.create(name, "local")


@pytest.mark.parametrize("account", ["", "a b", "../x", "-x", "x" * 65, "é", "a\n"])
def test_an_account_has_a_plain_name(keys: Keys, account: str) -> None:
    with pytest.raises(ServiceError, match=r"\[InvalidAccount.Malformed\]"):
        keys.create("ci", account)


def test_a_use_is_noted(keys: Keys) -> None:
    _, text = keys.create("ci", "local")
    assert keys.all()[0].used_ms is None
    Doorkeeper(keys).admit(text)
    assert keys.all()[0].used_ms is not None


def test_the_door_takes_a_key_from_outside_the_catalog_for_the_account_local(keys: Keys) -> None:
    doorkeeper = Doorkeeper(keys, own_key="from the environment")
    assert doorkeeper.admit("from the environment").account == "local"


def test_without_one_an_empty_key_opens_nothing(keys: Keys) -> None:
    with pytest.raises(ServiceError, match=r"\[Forbidden.NoKey\]"):
        Doorkeeper(keys).admit("")


def test_the_door_asks_again_about_a_key_it_remembers(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = keys.create("ci", "team")
    doorkeeper = Doorkeeper(keys)
    now = 100.0
    monkeypatch.setattr("ctxmgr.service.http.access.time.monotonic", lambda: now)
    assert doorkeeper.admit(text).account == "team"
    keys.revoke("ci")
    now += 2
    with pytest.raises(ServiceError, match=r"\[Forbidden.Key\]"):
        doorkeeper.admit(text)
