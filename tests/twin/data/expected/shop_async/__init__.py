"""A shop.

>>> from shop_async import Shop
>>> async with Shop("corner") as shop:
...     (await shop.order("tea")).text
'TEA'

See `shop_async.store.Shop` for the shop and `shop.goods.Parcel` for what it delivers.
"""

from __future__ import annotations

from shop.goods import Parcel
from .store import Shop

__all__ = ["Parcel", "Shop"]
# Generated from shop/__init__.py by twin; do not edit: change the source and rebuild.
