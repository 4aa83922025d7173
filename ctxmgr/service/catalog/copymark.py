"""The mark of a catalog that is a copy, or becomes one: of which service it is, and where its content goes.

A catalog that has one, and no version of its tables, is a copy that is not complete.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from sqlalchemy import Connection, insert, select

from . import versions
from .schema import meta
from .schemaversion import SCHEMA

__all__ = ["KEY", "CopyMark", "begin", "find"]

KEY: Final = "copy"


class CopyMark(NamedTuple):
    """See the module.

    Attributes:
        identity: tells the service that is copied from all others, whatever its places are called.
        source: what people call its catalog.
        store: what people call the store of the copy.
        schema: the version of the tables.
    """

    identity: str
    source: str
    store: str
    schema: int = SCHEMA


def find(connection: Connection) -> CopyMark | None:
    """Return the mark of a catalog."""
    if not versions.has_tables(connection):
        return None
    found = connection.execute(select(meta.c.value).where(meta.c.key == KEY)).scalar_one_or_none()
    return None if found is None else CopyMark(**json.loads(found))


def begin(connection: Connection, mark: CopyMark) -> None:
    """Make the tables of a copy in an empty database; until `versions.make_usable` no service opens them."""
    versions.make(connection, usable=False)
    connection.execute(insert(meta).values(key=KEY, value=json.dumps(mark._asdict())))
