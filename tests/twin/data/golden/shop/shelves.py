"""Iterating: generators, iterator classes, comprehensions, managers made of generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from . import store
from ._io import Waitable, ticks
from .goods import (
    Parcel,  # what a shelf holds
)

__all__ = ["Cursor", "Shelf"]


class Cursor:
    """An iterator."""

    def __init__(self, shop: store.Shop, texts: list[str]) -> None:
        self._shop = shop
        self._texts = texts

    def __iter__(self) -> Cursor:
        return self

    def __next__(self) -> Parcel:
        if not self._texts:
            raise StopIteration
        return self._shop.order(self._texts.pop())


class Shelf:
    """What is on a shelf."""

    def __init__(self, shop: store.Shop) -> None:
        self.shop = shop

    def __iter__(self) -> Iterator[Parcel]:
        for number in ticks(2):
            yield self.shop.order(str(number))

    def names(self) -> Iterator[str]:
        """Iterate in the usual way."""
        yield from ("a", "b")

    def parcels(self, texts: list[str]) -> Iterator[Parcel]:
        """Iterate, waiting."""
        for text in texts:
            yield self.shop.order(text)

    def all(self) -> Iterator[Parcel]:
        """Pass an iterator on."""
        return self.parcels(["x", "y"])

    def texts(self) -> list[str]:
        """Iterate in all ways."""
        found = [parcel.text for parcel in self.all() if parcel.text]
        found += [parcel.text for name in self.names() for parcel in self.parcels([name])]
        for parcel in self:
            found.append(parcel.text)
        for parcel in Cursor(self.shop, ["c", "d"]):
            found.append(parcel.text)
        else:
            found.append("end")
        cursor = Cursor(self.shop, ["e"])
        found.append(next(cursor).text)
        try:
            next(iter(cursor))
        except StopIteration:
            found.append("stopped")
        return found

    @contextmanager
    def reserved(self, text: str) -> Iterator[Parcel]:
        """Order for as long as it takes."""
        yield self.shop.order(text)
        self.shop.order("returned " + text)

    def use(self) -> str:
        """Use it."""
        with self.reserved("z") as first, self.reserved("w") as second:
            return first.text + second.text

    def apply(self, order: Callable[[str], Waitable[Parcel]], text: str) -> str:
        """Call what may wait."""
        return order(text).text

    def applied(self) -> str:
        """Hand over what waits to what expects it."""

        def twice(text: str) -> Parcel:
            return self.shop.order(text + text)

        return self.apply(self.shop.order, "h") + self.apply(twice, "i")

    def known(self, things: dict[str, store.Shop | str], shops: list[store.Shop]) -> list[str]:
        """What a test of the type tells, and what containers hold."""
        found = []
        for thing in things.values():
            if isinstance(thing, str):
                found.append(thing.upper())
                continue
            found.append(thing.order("v").text)
        for number, shop in enumerate(sorted(shops, key=str)):
            found.append(shop.order(str(number)).text)
        first: object = shops[0]
        found.append(cast("store.Shop", first).order("cast").text)
        if (last := shops[-1]) is not None:
            found.append(last.order("last").text)
        return found
