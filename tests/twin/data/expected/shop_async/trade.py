"""Class hierarchies: protocols, abstract methods, super(), generics, overloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, Protocol, TypeVar, overload

from ._io import Wire
from .store import Shop

T = TypeVar("T")


class Seller(Protocol):
    """Sells."""

    async def sell(self, text: str) -> str: ...

    def label(self) -> str: ...


class Trader(ABC):
    """Trades."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    @abstractmethod
    async def trade(self) -> str:
        """Trade."""

    async def sell(self, text: str) -> str:
        """Sell."""
        return (await self.shop.order(text)).text

    def label(self) -> str:
        """Say who."""
        return type(self).__name__


class Merchant(Trader):
    """A trader."""

    async def trade(self) -> str:
        return await super().sell("m") + self.label()

    async def __call__(self, text: str) -> str:
        return await self.sell(text)


class Boxed(Generic[T]):
    """Something in a box."""

    def __init__(self, inside: T) -> None:
        self.inside = inside


@overload
async def pick(shop: Shop, one: Literal[True]) -> str: ...
@overload
async def pick(shop: Shop, one: Literal[False]) -> list[str]: ...
async def pick(shop: Shop, one: bool) -> str | list[str]:
    """Pick one or more."""
    found = (await shop.order("p")).text
    return found if one else [found]


async def market(seller: Seller, trader: Trader, box: Boxed[Shop]) -> list[str]:
    """Use them all."""
    merchant = Merchant(box.inside)
    wire: Wire = Boxed(Wire("w")).inside
    return [
        await seller.sell("s") + seller.label(),
        await trader.trade(),
        await merchant("call"),
        (await box.inside.order("b")).text,
        await wire.send("wire"),
        await pick(merchant.shop, True),
    ]
# Generated from shop/trade.py by twin; do not edit: change the source and rebuild.
