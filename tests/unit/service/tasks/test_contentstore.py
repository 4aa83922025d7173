"""What the content of an account relies on: that a store has what it has taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.engine.content.packs import SealedPack
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.service.storage.packfiles import Stamp
from ctxmgr.service.tasks.contentstore import CatalogContentStore
from tests.integration.nodeasking import one_pack
from tests.support.contextstores import ACCOUNT, Keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.catalog.close()


@pytest.fixture
def content(keeper: Keeper) -> CatalogContentStore:
    return CatalogContentStore(keeper.catalog, keeper.packs, ACCOUNT)


@pytest.fixture
def pack() -> SealedPack:
    return one_pack(b"content")


@pytest.mark.parametrize("left", [None, Stamp(3, 1)], ids=["nothing", "a part"])
def test_a_store_that_does_not_have_what_it_took_is_no_success(
    keeper: Keeper, content: CatalogContentStore, pack: SealedPack, monkeypatch: pytest.MonkeyPatch, left: Stamp | None
) -> None:
    monkeypatch.setattr(type(keeper.packs), "stamp", lambda *_: left)
    with pytest.raises(ContentError, match=r"took its \d+ bytes 5 times, and does not have them"):
        content.put(pack)
    assert content.locate([pack.rows[0][0]]) == {}


def test_a_pack_that_was_removed_before_it_was_indexed_is_stored_again(
    keeper: Keeper, content: CatalogContentStore, pack: SealedPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, stamps = type(keeper.packs).stamp, iter([None, Stamp(2, 2)])
    monkeypatch.setattr(type(keeper.packs), "stamp", lambda packs, name: next(stamps, plain(packs, name)))
    content.put(pack)
    assert content.has_pack(pack.name)
