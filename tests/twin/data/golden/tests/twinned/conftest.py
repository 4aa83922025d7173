"""What the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shop import Shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop("corner") as shop:
        yield shop
