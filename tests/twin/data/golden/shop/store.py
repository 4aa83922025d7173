"""The shop: calls, chains, managers, properties, class methods."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Optional

from . import _io, goods
from ._io import Jobs, Lock, Waitable, Wire, now

if TYPE_CHECKING:
    from .shelves import Shelf

__all__ = ["Shop"]

_log = logging.getLogger(__name__)


class Shop:
    """A shop. Use it as a context manager::

        with Shop("corner") as shop:
            parcel = shop.order("tea")

    """

    _wire: Wire
    _parent: "Shop | None" = None

    def __init__(self, name: str, wire: Optional[Wire] = None) -> None:
        self._wire = wire or Wire(name)
        self._jobs = Jobs()
        self._lock = Lock()
        self._last: goods.Parcel | None = None
        self._names: dict[str, str] = {}

    @classmethod
    def open(cls, name: str) -> Shop:
        """Make a shop and try it."""
        shop = cls(name)
        shop.order("nothing")
        return shop

    @property
    def shelf(self) -> Shelf:
        """The shop's shelf."""
        from .shelves import Shelf

        return Shelf(self)

    def order(self, text: str) -> goods.Parcel:
        """Order something.

        ```python
        text = shop.order("tea").text
        ```
        """
        with self._lock:
            started = now()
        parcel = goods.Parcel(self._wire.send(text))
        _log.info("ordered %s in %s s", parcel.close(), now() - started)
        self._last = parcel
        return parcel

    def both(self, first: str, second: str) -> list[goods.Parcel]:
        """Order two things; the await of an argument, of a chain, of a comprehension and of operators."""
        texts = [self.order(text).text.strip() for text in (first, second) if not self._wire.send(text) == ""]
        size = -len(self._wire.send(first)) + len(self.order(self.order(second).text).text) ** 2
        known = self._names.get(first) or self._wire.send(first)[0]
        if size and known and not self.order(first).close().isdigit():
            texts += [self._wire.send(second)]
        return [goods.Parcel(text) for text in texts]

    def any_long(self, texts: list[str]) -> bool:
        """The outermost iterable of a generator expression is worked out outside of it."""
        return any(len(parcel.text) > 3 for parcel in self.both(*texts))

    def deliver(self, text: str, later: bool = False) -> Waitable[goods.Parcel]:
        """Deliver at once or in the background."""
        if later:
            return self._jobs.start(self._deliver)
        return self.order(text) if text else self._deliver()

    def _deliver(self) -> goods.Parcel:
        return self.deliver("default")

    def wait(self) -> None:
        """Wait a moment, by way of the module."""
        _io.pause(0.0)
        send = self._wire.send
        send("by way of a name")

    def close(self) -> None:
        """Close the shop."""
        self._wire.close()

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
