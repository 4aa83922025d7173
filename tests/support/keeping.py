"""Where the services of tests keep what they keep: all in the data folder, or in PostgreSQL and in an S3 store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypedDict

import pytest

from ctxmgr.service.catalog.database import Catalog

from .servers import Database, PostgreSQLServer, SeaweedServer, postgresql, seaweedfs

__all__ = [
    "Elsewhere",
    "elsewhere",
    "postgresql_server",
    "seaweed_server",
    "empty_database",
    "database",
    "bucket",
    "shared_elsewhere",
]


class Elsewhere(TypedDict, total=False):
    """What a service is opened with so that it keeps its catalog and its content outside the data folder."""

    catalog: str
    store: str


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_server() -> Iterator[SeaweedServer]:
    with seaweedfs() as server:
        yield server


@pytest.fixture
def empty_database(postgresql_server: PostgreSQLServer) -> Iterator[Database]:
    made = postgresql_server.database()
    yield made
    postgresql_server.drop(made)


@pytest.fixture(scope="session")
def _template(postgresql_server: PostgreSQLServer) -> Database:
    made = postgresql_server.database()
    Catalog.connect(made.url).close()
    return made


@pytest.fixture
def database(postgresql_server: PostgreSQLServer, _template: Database) -> Iterator[Database]:
    """A database with the tables of a catalog."""
    made = postgresql_server.database(_template.name)
    yield made
    postgresql_server.drop(made)


@pytest.fixture
def bucket(seaweed_server: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store that is empty."""
    return _bucket(seaweed_server, monkeypatch)


@pytest.fixture(params=["folder", "postgresql-s3"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    """What a service is opened with, beside its data folder."""
    if request.param == "folder":
        return {}
    database: Database = request.getfixturevalue("database")
    return {"catalog": database.url, "store": request.getfixturevalue("bucket")}


@pytest.fixture(scope="module", params=["folder", "postgresql-s3"])
def shared_elsewhere(request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    """What a service is opened with that the tests of a module share."""
    if request.param == "folder":
        yield {}
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    template: Database = request.getfixturevalue("_template")
    made = server.database(template.name)
    with pytest.MonkeyPatch.context() as patch:
        yield {"catalog": made.url, "store": _bucket(request.getfixturevalue("seaweed_server"), patch)}
    server.drop(made)


def _bucket(server: SeaweedServer, patch: pytest.MonkeyPatch) -> str:
    for name, value in server.environment.items():
        patch.setenv(name, value)
    return f"s3://ctxmgr/test-{next(_numbers)}"
