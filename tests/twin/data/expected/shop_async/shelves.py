"""Iterating: generators, iterator classes, comprehensions, managers made of generators."""

from __future__ import annotations

from collections.abc import Callable, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

from . import store
from ._io import Waitable, ticks
from shop.goods import (
    Parcel,  # what a shelf holds
)

__all__ = ["Cursor", "Shelf"]


class Cursor:
    """An iterator."""

    def __init__(self, shop: store.Shop, texts: list[str]) -> None:
        self._shop = shop
        self._texts = texts

    def __aiter__(self) -> Cursor:
        return self

    async def __anext__(self) -> Parcel:
        if not self._texts:
            raise StopAsyncIteration
        return await self._shop.order(self._texts.pop())


class Shelf:
    """What is on a shelf."""

    def __init__(self, shop: store.Shop) -> None:
        self.shop = shop

    async def __aiter__(self) -> AsyncIterator[Parcel]:
        async for number in ticks(2):
            yield await self.shop.order(str(number))

    def names(self) -> Iterator[str]:
        """Iterate in the usual way."""
        yield from ("a", "b")

    async def parcels(self, texts: list[str]) -> AsyncIterator[Parcel]:
        """Iterate, waiting."""
        for text in texts:
            yield await self.shop.order(text)

    def all(self) -> AsyncIterator[Parcel]:
        """Pass an iterator on."""
        return self.parcels(["x", "y"])

    async def texts(self) -> list[str]:
        """Iterate in all ways."""
        found = [parcel.text async for parcel in self.all() if parcel.text]
        found += [parcel.text for name in self.names() async for parcel in self.parcels([name])]
        async for parcel in self:
            found.append(parcel.text)
        async for parcel in Cursor(self.shop, ["c", "d"]):
            found.append(parcel.text)
        else:
            found.append("end")
        cursor = Cursor(self.shop, ["e"])
        found.append((await anext(cursor)).text)
        try:
            await anext(aiter(cursor))
        except StopAsyncIteration:
            found.append("stopped")
        return found

    @asynccontextmanager
    async def reserved(self, text: str) -> AsyncIterator[Parcel]:
        """Order for as long as it takes."""
        yield await self.shop.order(text)
        await self.shop.order("returned " + text)

    async def use(self) -> str:
        """Use it."""
        async with self.reserved("z") as first, self.reserved("w") as second:
            return first.text + second.text

    async def apply(self, order: Callable[[str], Waitable[Parcel]], text: str) -> str:
        """Call what may wait."""
        return (await order(text)).text

    async def applied(self) -> str:
        """Hand over what waits to what expects it."""

        async def twice(text: str) -> Parcel:
            return await self.shop.order(text + text)

        return await self.apply(self.shop.order, "h") + await self.apply(twice, "i")

    async def known(self, things: dict[str, store.Shop | str], shops: list[store.Shop]) -> list[str]:
        """What a test of the type tells, and what containers hold."""
        found = []
        for thing in things.values():
            if isinstance(thing, str):
                found.append(thing.upper())
                continue
            found.append((await thing.order("v")).text)
        for number, shop in enumerate(sorted(shops, key=str)):
            found.append((await shop.order(str(number))).text)
        first: object = shops[0]
        found.append((await cast("store.Shop", first).order("cast")).text)
        if (last := shops[-1]) is not None:
            found.append((await last.order("last")).text)
        return found
# Generated from shop/shelves.py by twin; do not edit: change the source and rebuild.
