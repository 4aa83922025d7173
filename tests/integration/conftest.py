"""What the integration tests share: a service over a real socket, and the plainest way to ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctxmgr.pytest_plugin import ctxmgr_service
from ctxmgr.testing import Service
from tests.support.keeping import _template as _template
from tests.support.keeping import (
    bucket,
    database,
    elsewhere,
    empty_database,
    postgresql_server,
    seaweed_server,
    shared_elsewhere,
)

from .asking import Asker
from .nodeasking import SpeakingNode

__all__ = [
    "bucket",
    "ctxmgr_service",
    "database",
    "elsewhere",
    "empty_database",
    "postgresql_server",
    "seaweed_server",
    "shared_elsewhere",
]


@pytest.fixture
def asker(ctxmgr_service: Service) -> Iterator[Asker]:
    with Asker(ctxmgr_service.endpoint, ctxmgr_service.api_key) as asker:
        yield asker


@pytest.fixture
def node(asker: Asker) -> SpeakingNode:
    return SpeakingNode(asker)


@pytest.fixture
def session(node: SpeakingNode) -> str:
    """A session whose directory the node has."""
    return node.session()
