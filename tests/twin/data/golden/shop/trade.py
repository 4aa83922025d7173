"""Class hierarchies: protocols, abstract methods, super(), generics, overloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, Protocol, TypeVar, overload

from ._io import Wire
from .store import Shop

T = TypeVar("T")


class Seller(Protocol):
    """Sells."""

    def sell(self, text: str) -> str: ...

    def label(self) -> str: ...


class Trader(ABC):
    """Trades."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    @abstractmethod
    def trade(self) -> str:
        """Trade."""

    def sell(self, text: str) -> str:
        """Sell."""
        return self.shop.order(text).text

    def label(self) -> str:
        """Say who."""
        return type(self).__name__


class Merchant(Trader):
    """A trader."""

    def trade(self) -> str:
        return super().sell("m") + self.label()

    def __call__(self, text: str) -> str:
        return self.sell(text)


class Boxed(Generic[T]):
    """Something in a box."""

    def __init__(self, inside: T) -> None:
        self.inside = inside


@overload
def pick(shop: Shop, one: Literal[True]) -> str: ...
@overload
def pick(shop: Shop, one: Literal[False]) -> list[str]: ...
def pick(shop: Shop, one: bool) -> str | list[str]:
    """Pick one or more."""
    found = shop.order("p").text
    return found if one else [found]


def market(seller: Seller, trader: Trader, box: Boxed[Shop]) -> list[str]:
    """Use them all."""
    merchant = Merchant(box.inside)
    wire: Wire = Boxed(Wire("w")).inside
    return [
        seller.sell("s") + seller.label(),
        trader.trade(),
        merchant("call"),
        box.inside.order("b").text,
        wire.send("wire"),
        pick(merchant.shop, True),
    ]
