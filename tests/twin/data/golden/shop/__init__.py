"""A shop.

>>> from shop import Shop
>>> with Shop("corner") as shop:
...     shop.order("tea").text
'TEA'

See `shop.store.Shop` for the shop and `shop.goods.Parcel` for what it delivers.
"""

from __future__ import annotations

from .goods import Parcel
from .store import Shop

__all__ = ["Parcel", "Shop"]
