"""The service of tests that hold wherever it keeps what it keeps: their modules import the fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctxmgr.testing import Service, serve
from tests.support.keeping import Elsewhere

__all__ = ["ctxmgr_service"]


@pytest.fixture
def ctxmgr_service(elsewhere: Elsewhere) -> Iterator[Service]:
    with serve(**elsewhere) as service:
        yield service
