"""A service with a bit of everything, to be copied, and what tests compare of it and its copies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from ctxmgr.engine.manifest.entries import FILE
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import snapshot
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.schema import metadata
from ctxmgr.service.copying.ends import Place
from tests.unit.service.servicedoor import Door, binding, fill

__all__ = ["Original", "catalog_of", "contents", "opened", "rows"]

VERSIONS = 5
OTHER = "another"
_OF_THE_PLACE = ("pack_proofs", "retired_packs", "nodes", "meta", "questions")


@contextmanager
def opened(place: Place) -> Iterator[Door]:
    """The service at a place, for the time of a ``with`` statement."""
    service = ContextService.open(place.folder, catalog=place.catalog, store=place.store)
    try:
        yield Door(service)
    finally:
        service.close()


@contextmanager
def catalog_of(place: Place) -> Iterator[Catalog]:
    catalog = Catalog.bare(place.catalog or Path(place.folder) / "catalog.db")
    try:
        yield catalog
    finally:
        catalog.close()


def rows(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a catalog that a copy has too, but for what sessions call their data folder."""
    with catalog_of(place) as catalog, catalog.read() as connection:
        tables = [table for table in metadata.sorted_tables if table.name not in _OF_THE_PLACE]
        return {table.name: sorted(map(_comparable, _mappings(connection, table)), key=repr) for table in tables}


def _mappings(connection: Connection, table: Any) -> Iterator[dict[str, Any]]:
    for row in connection.execute(select(table)):
        yield dict(row._mapping)


def _comparable(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value for name, value in row.items() if name != "home")


def contents(door: Door) -> dict[tuple[str, str, int, str], bytes]:
    """Every file at every revision of every context of all accounts, by account, context, revision and path."""
    found = {}
    for account in ("local", OTHER):
        own = Door(door.service, account)
        for context in own.data("ListContexts"):
            for revision in own.data("ListRevisions", ContextId=context["Id"]):
                number = revision["Revision"]
                with door.service._runtime.catalog.read() as connection:
                    entries = snapshot.entries_at(connection, context["Id"], number, (), after=b"", size=1000)
                for path in (entry.path.decode() for entry in entries if entry.kind == FILE):
                    read = door.service.read_file(context["Id"], path, revision=number, account=account)
                    found[account, context["Name"], number, path] = b"".join(read.content)
    return found


class Original:
    """A data folder whose service had two accounts, keys, revisions, a fork and a session that is still there.

    Attributes:
        place: where it is.
        root: a directory that is in step.
    """

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder / "original")
        self.root = folder / "w"
        with opened(self.place) as door:
            self.context = door.context()
            fill(self.root, {})
            self.session = door.session(binding(self.context), Root=str(self.root))
            for number in range(VERSIONS):
                fill(self.root, {"same": "same", "edited": f"{number}", f"deep/{number}": os.urandom(50_000).hex()})
                (task,) = door.sync(self.session)
                assert task["status"] == "Success", task
            door.data("ForkContext", Id=self.context, Name="fork", Revision=2)
            other = Door(door.service, OTHER)
            fill(folder / "other", {"secret": "secret", "large": os.urandom(12 << 20).hex()})
            session = other.session(binding(other.context("private")), Root=str(folder / "other"))
            other.sync(session)
            door.service.keys.create("a key", OTHER)
            self.contents = contents(door)
