"""The shop."""

from __future__ import annotations

import pytest

import shop_async.store
from shop_async import Parcel, Shop
from shop.goods import Parcel as Same


class TestOrders:
    async def test_an_order_brings_a_parcel(self, shop: Shop) -> None:
        assert await shop.order("tea") == Parcel("TEA") == Same("TEA")

    @pytest.mark.parametrize("text", ["a", "b"])
    def test_a_closed_parcel_is_a_text(self, text: str) -> None:
        assert Parcel(text).close() == text


async def test_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop_async.store.now", lambda: 0.0)
    monkeypatch.setattr("shop.goods.Parcel.close", lambda self: "")
    with pytest.raises(TypeError):
        await shop_async.store.Shop("x").order(1)  # type: ignore[arg-type]
# Generated from tests/twinned/test_shop.py by twin; do not edit: change the source and rebuild.
