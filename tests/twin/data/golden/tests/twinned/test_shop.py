"""The shop."""

from __future__ import annotations

import pytest

import shop.store
from shop import Parcel, Shop
from shop.goods import Parcel as Same


class TestOrders:
    def test_an_order_brings_a_parcel(self, shop: Shop) -> None:
        assert shop.order("tea") == Parcel("TEA") == Same("TEA")

    @pytest.mark.parametrize("text", ["a", "b"])
    def test_a_closed_parcel_is_a_text(self, text: str) -> None:
        assert Parcel(text).close() == text


def test_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.store.now", lambda: 0.0)
    monkeypatch.setattr("shop.goods.Parcel.close", lambda self: "")
    with pytest.raises(TypeError):
        shop.store.Shop("x").order(1)  # type: ignore[arg-type]
