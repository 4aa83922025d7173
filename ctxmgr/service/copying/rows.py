"""The rows of a copy: streamed from one catalog into another, in whatever databases they are, and compared there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, case, literal, select

from ctxmgr.errors import DataFolderError
from ctxmgr.service.care.references import streamed
from ctxmgr.service.catalog import schema
from ctxmgr.service.catalog.insertion import batches, bulk_insert, insert_or_replace

from .content import packs_in_use

__all__ = ["copy_rows"]

# What these say is of the place: of the packs as they are stored there, and how the catalog itself is used; and whoever
# asked a question has gone.
_LEFT_OUT: Final = frozenset((schema.meta, schema.retired_packs, schema.pack_proofs, schema.questions))
_OF_THE_SERVICE: Final = ("pruned_ms",)
"""What is said in the first and is not of the place."""


def copy_rows(source: Connection, target: Connection, homes: tuple[str, str]) -> dict[str, int]:
    """Copy all rows of a catalog into the empty tables of another, and compare what is there then.

    Args:
        source: a transaction that sees one state.
        target: a write transaction.
        homes: what the data folder is called in the sessions of the source, and what it is called in the copy.

    Returns:
        how many rows were copied, by table.

    Raises:
        DataFolderError: a table of the copy does not have the rows that were sent.
    """
    counts = {}
    for table in schema.metadata.sorted_tables:
        if table not in _LEFT_OUT:
            sent = _Sum()
            for rows in batches(sent.of(streamed(source, _rows(table, homes)))):
                bulk_insert(target, table, rows)
            _compare(table, sent, target)
            counts[table.name] = sent.count
    of_the_service = select(schema.meta).where(schema.meta.c.key.in_(_OF_THE_SERVICE))
    insert_or_replace(target, schema.meta, [tuple(row) for row in source.execute(of_the_service)])
    return counts


def _rows(table: Table, homes: tuple[str, str]) -> Select[Any]:
    if table is schema.packs:
        return packs_in_use()
    if table is not schema.sessions:
        return select(table).order_by(*table.primary_key)
    here, there = homes
    own = (table.c.node_id == "") & (table.c.home == here)
    home = case((own, literal(there)), else_=table.c.home).label("home")
    return select(*(home if column is table.c.home else column for column in table.columns))


class _Sum:
    """Of the rows of a table, whatever their order: how many there are, and what tells them from others."""

    def __init__(self) -> None:
        self.count = 0
        self.digest = 0

    def of(self, rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """Hand rows on, adding them up."""
        for row in map(tuple, rows):
            self.count += 1
            digest = blake2b(repr(row).encode(errors="backslashreplace"), digest_size=16).digest()
            self.digest += int.from_bytes(digest, "big")
            yield row


def _compare(table: Table, sent: _Sum, target: Connection) -> None:
    found = _Sum()
    for _ in found.of(streamed(target, select(table))):
        pass
    if found.count != sent.count:
        problem = f"has {found.count} rows, and {sent.count} were sent"
    elif found.digest != sent.digest:
        problem = f"has {found.count} rows, as were sent, and they are not the same"
    else:
        return
    raise DataFolderError(f"the table {table.name!r} of the copy {problem}: the copy is not complete")
