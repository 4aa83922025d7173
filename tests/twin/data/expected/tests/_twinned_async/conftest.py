"""What the tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shop_async import Shop


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop("corner") as shop:
        yield shop
# Generated from tests/twinned/conftest.py by twin; do not edit: change the source and rebuild.
