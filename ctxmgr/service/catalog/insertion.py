"""Many rows at once into a table, and many values at once into a statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table, insert

__all__ = ["BATCH", "batches", "bulk_insert", "insert_missing", "insert_or_replace"]

_Item = TypeVar("_Item")

BATCH: Final = 500
"""Below every database's limit on a statement's parameters."""


def batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Cut items into lists that a statement can take as parameters."""
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def bulk_insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows, each with a value for every column in the table's order.

    The driver gets the rows as they are: SQLAlchemy's own per-row work would cost three times the insert itself.
    """
    _insert_rows(connection, table, rows, "")


def insert_missing(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows whose primary key is not there yet, and leave the others as they are."""
    _insert_rows(connection, table, rows, " ON CONFLICT DO NOTHING")


def insert_or_replace(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows in the place of those that have the same primary key."""
    key = ", ".join(column.name for column in table.primary_key)
    values = (f'"{column.name}" = excluded."{column.name}"' for column in table.columns if not column.primary_key)
    _insert_rows(connection, table, rows, f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(values)}")


def _insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], suffix: str) -> None:
    if not rows:
        return
    names = [column.name for column in table.columns]
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=names)
    parameters: Any = rows if compiled.positional else [dict(zip(names, row, strict=True)) for row in rows]
    connection.exec_driver_sql(str(compiled) + suffix, parameters)
