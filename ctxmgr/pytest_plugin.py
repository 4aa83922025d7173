"""The pytest plugin: the fixture ``ctxmgr_service``. Nothing heavy is imported before a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Service

__all__ = ["ctxmgr_service"]


@pytest.fixture
def ctxmgr_service() -> Iterator[Service]:
    """A context service over HTTP with an empty data folder of its own: see ``ctxmgr.testing``."""
    from .testing import serve

    with serve() as service:
        yield service
