"""What is sent in pieces to several services that share an object store."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from blake3 import blake3
from obstore.store import MemoryStore

from ctxmgr.errors import ServiceError
from ctxmgr.service.storage import staging
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.objectstaging import ObjectStaging
from ctxmgr.service.storage.staging import MAX_STAGED, StagedMissing

WHOLE = bytes(range(256)) * 10
NAME = blake3(WHOLE).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def services(store: MemoryStore, tmp_path: Path) -> list[ObjectStaging]:
    return [ObjectStaging(store, tmp_path / f"staged-{number}") for number in range(3)]


def keys(store: MemoryStore) -> list[str]:
    return [item["path"] for batch in obstore.list(store) for item in batch]


def taken(service: ObjectStaging, account: str = "local") -> bytes:
    with service.taken(account, NAME) as file:
        return file.read()


def stage(services: list[ObjectStaging], whole: bytes = WHOLE, account: str = "local") -> None:
    for number, offset in enumerate(range(0, len(whole), 1000)):
        service = services[number % len(services)]
        piece = whole[offset : offset + 1000]
        assert service.add(account, NAME, len(whole), offset, piece) == offset + len(piece)


def test_each_piece_may_come_to_another_service_and_more_than_once(
    services: list[ObjectStaging], store: MemoryStore
) -> None:
    stage(services)
    stage(services[1:])
    assert taken(services[2]) == WHOLE
    assert keys(store) == []
    with pytest.raises(StagedMissing):
        taken(services[0])


def test_what_could_not_be_used_stays(services: list[ObjectStaging]) -> None:
    stage(services)
    with pytest.raises(RuntimeError), services[0].taken("local", NAME):
        raise RuntimeError
    assert taken(services[1]) == WHOLE


def test_what_is_not_whole_or_not_what_its_name_says_is_to_be_sent_again(
    services: list[ObjectStaging], store: MemoryStore
) -> None:
    stage(services)
    obstore.delete(store, [key for key in keys(store) if key.endswith("/1000")])
    with pytest.raises(StagedMissing, match="send it again"):
        taken(services[0])
    stage(services, bytes(len(WHOLE)))
    with pytest.raises(StagedMissing):
        taken(services[0])
    stage(services)
    assert taken(services[0]) == WHOLE


def test_accounts_have_places_of_their_own_whatever_they_are_called(services: list[ObjectStaging]) -> None:
    stage(services, account="../../x")
    with pytest.raises(StagedMissing):
        taken(services[0])
    assert taken(services[0], "../../x") == WHOLE


@pytest.mark.parametrize(("size", "offset", "piece"), [(10, 5, b"123456"), (MAX_STAGED + 1, 0, b"1")])
def test_more_than_may_be_is_refused(services: list[ObjectStaging], size: int, offset: int, piece: bytes) -> None:
    with pytest.raises(ServiceError, match=r"InvalidStage\.TooLarge"):
        services[0].add("local", NAME, size, offset, piece)


def test_an_account_has_so_much_room_at_all_services_and_no_more(
    services: list[ObjectStaging], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MAX_STAGED_OF_ACCOUNT", 1500)
    services[0].add("local", NAME, len(WHOLE), 0, WHOLE[:1000])
    for service in services[:2]:
        with pytest.raises(ServiceError, match=r"InsufficientStorage.*1 unfinished uploads of 1000 bytes"):
            service.add("local", OTHER, 600, 0, bytes(600))
    assert services[0].add("other", NAME, len(WHOLE), 0, WHOLE[:1000]) == 1000


def test_what_nobody_takes_is_removed_with_other_uploads(services: list[ObjectStaging], store: MemoryStore) -> None:
    stage(services)
    assert BlobStore(store).remove_uploads(1 << 60) == len(WHOLE)
    assert keys(store) == []


def test_a_store_that_is_away_is_asked_again_later(tmp_path: Path) -> None:
    from obstore.store import HTTPStore

    away = ObjectStaging(HTTPStore("http://127.0.0.1:9", client_options={"allow_http": True}), tmp_path)
    with pytest.raises(ServiceError, match=r"ServiceUnavailable\.Staging"):
        away.add("local", NAME, len(WHOLE), 0, WHOLE)
    with pytest.raises(ServiceError, match=r"ServiceUnavailable\.Staging"):
        taken(away)
