"""The golden project is data: its own tests are not ours."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

collect_ignore = ["data"]


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_of_checkers() -> Iterator[None]:
    """Free what the type checker leaves in circles, millions of objects that each later collection would go through."""
    yield
    gc.collect()
