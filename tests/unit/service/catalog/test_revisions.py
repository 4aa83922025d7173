"""A context's revisions in the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.engine.manifest.entries import Entry, Manifest
from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contexts, revisions
from ctxmgr.service.catalog.database import Catalog

A, B, DIRECTORY = (
    Entry("file", 0o644, 1, 1, b"a" * 32, (b"a" * 32,)),
    Entry("link", 0o777, target=b"x"),
    Entry("dir", 0o700),
)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.open(tmp_path / "catalog.db")
    yield opened
    opened.close()


@pytest.fixture
def context(catalog: Catalog) -> str:
    with catalog.write() as connection:
        return str(contexts.create(connection, "local", "project").id)


def commit(catalog: Catalog, context: str, head: int, put: Manifest, *drop: bytes, mount: str = "/") -> int:
    with catalog.write() as connection:
        current = revisions.manifest(connection, context, mount)
        return revisions.commit(
            connection, context, mount, head=head, current=current, put=put, drop=drop, task_id="task", note="test"
        )


def read(catalog: Catalog, context: str, mount: str = "/", revision: int | None = None) -> dict[bytes, Entry]:
    with catalog.read() as connection:
        return revisions.manifest(connection, context, mount, revision=revision)


def test_every_revision_can_be_read_as_it_was(catalog: Catalog, context: str) -> None:
    assert commit(catalog, context, 0, {b"d": DIRECTORY, b"d/a": A}) == 1
    assert commit(catalog, context, 1, {b"b": B, b"d/a": B}) == 2
    assert commit(catalog, context, 2, {}, b"d/a", b"d") == 3
    assert read(catalog, context, revision=0) == {}
    assert read(catalog, context, revision=1) == {b"d": DIRECTORY, b"d/a": A}
    assert read(catalog, context, revision=2) == {b"d": DIRECTORY, b"d/a": B, b"b": B}
    assert read(catalog, context) == read(catalog, context, revision=3) == {b"b": B}


def test_a_commit_on_an_earlier_head_changes_nothing(catalog: Catalog, context: str) -> None:
    commit(catalog, context, 0, {b"a": A})
    with pytest.raises(HeadMoved):
        commit(catalog, context, 0, {b"b": B})
    assert read(catalog, context) == {b"a": A}


def test_a_commit_to_a_context_that_is_gone_says_so(catalog: Catalog, context: str) -> None:
    with catalog.write() as connection:
        contexts.remove(connection, "local", context)
    with pytest.raises(ServiceError, match="there is no context"):
        commit(catalog, context, 0, {b"a": A})


def test_a_mount_path_sees_what_is_below_it_alone(catalog: Catalog, context: str) -> None:
    commit(catalog, context, 0, {b"a": A}, mount="/data")
    commit(catalog, context, 1, {b"a": B}, mount="/data-2")
    commit(catalog, context, 2, {b"a": B}, mount="/data/deep")
    assert read(catalog, context, "/data") == {b"a": A, b"deep": Entry("dir", 0o755), b"deep/a": B}
    assert read(catalog, context, "/data-2") == {b"a": B}
    assert read(catalog, context, "/dat") == {}


def test_the_directories_above_a_mount_path_are_part_of_the_tree(catalog: Catalog, context: str) -> None:
    commit(catalog, context, 0, {b"a": A}, mount="/x/y")
    implied = Entry("dir", 0o755)
    assert read(catalog, context) == {b"x": implied, b"x/y": implied, b"x/y/a": A}


def test_a_file_where_a_mount_path_needs_a_directory_goes_into_the_history(catalog: Catalog, context: str) -> None:
    commit(catalog, context, 0, {b"x": A})
    commit(catalog, context, 1, {b"a": B}, mount="/x/y")
    assert sorted(read(catalog, context)) == [b"x", b"x/y", b"x/y/a"]
    assert read(catalog, context, revision=1) == {b"x": A}
