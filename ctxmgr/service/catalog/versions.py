"""The versions of the catalog's tables: whether this program can work on those it finds, and the way up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, inspect, select

from ctxmgr.errors import DataFolderError

from .schema import meta, metadata
from .schemaversion import OLDEST, SCHEMA

__all__ = ["bring_up", "has_tables", "is_unfinished", "make", "make_usable", "refusal", "upgrade"]

MIGRATIONS: Final = Path(__file__).with_name("migrations")
_VERSION: Final = "schema"
_OLDEST: Final = "oldest"
# In the place of the version: programs that don't know of it refuse what is no number.
_UNFINISHED: Final = "unfinished copy"
Users = Callable[[Connection], Sequence[str]]


def make(connection: Connection, *, usable: bool = True) -> None:
    """Make the tables in an empty database.

    Args:
        connection: a write transaction.
        usable: whether services may open them at once, or only after `make_usable`.
    """
    metadata.create_all(connection)
    if usable:
        make_usable(connection)
    else:
        connection.execute(insert(meta).values(key=_VERSION, value=_UNFINISHED))


def make_usable(connection: Connection) -> None:
    """Let services open the tables when the transaction ends."""
    _note(connection, SCHEMA, OLDEST)


def has_tables(connection: Connection) -> bool:
    """Whether there are tables of a catalog, of whatever version."""
    return inspect(connection).has_table(meta.name)


def is_unfinished(connection: Connection) -> bool:
    """Whether there are tables that services must not open yet."""
    return has_tables(connection) and _noted(connection, _VERSION) == _UNFINISHED


def bring_up(connection: Connection, name: str, users: Users) -> bool:
    """Bring the tables up to this program's version, in a write transaction that no other program can run beside it.

    Args:
        connection: the transaction.
        name: what people call the database.
        users: return, for people, the other processes that use it.

    Returns:
        whether there are tables; without any nothing is done.

    Raises:
        DataFolderError: the tables are too new for this program, or others use them that could not go on.
    """
    found = _found(connection, name)
    if found is None:
        return False
    if problem := _too_new(connection, found, name):
        raise DataFolderError(f"{problem}: use the newer ctxmgr that wrote it")
    if found < SCHEMA:
        upgrade(connection, found, to=SCHEMA, name=name, users=users)
    return True


def refusal(connection: Connection, name: str) -> str:
    """Return why this program can't go on with tables that it knew when it began; "" if it is not for their version."""
    found = _found(connection, name)
    problem = "" if found is None else _too_new(connection, found, name)
    return f"{problem}; a newer ctxmgr has changed it: start this process again with that one" if problem else ""


def upgrade(connection: Connection, found: int, *, to: int, name: str = "", users: Users = lambda _: ()) -> None:
    """Apply the migrations from one version to a later one; from 0, to an empty database.

    Raises:
        DataFolderError: other processes could not go on.
    """
    # Imported only here: nearly every start finds the version that it knows, and must not pay for this.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    steps = list(scripts.iterate_revisions(str(to), str(found) if found else "base"))[::-1]
    oldest = steps[-1].module.OLDEST
    if found < oldest and (others := users(connection)):
        raise DataFolderError(
            f"the catalog {name} has schema {found}, and is used by programs of that version, which could not go on "
            f"with schema {to}: stop {', '.join(others)} first"
        )
    with Operations.context(MigrationContext.configure(connection)):
        for step in steps:
            step.module.upgrade()
    _note(connection, to, oldest)


def _found(connection: Connection, name: str) -> int | None:
    if not has_tables(connection):
        return None
    found = _noted(connection, _VERSION)
    if found == _UNFINISHED:
        raise DataFolderError(
            f"the catalog {name} is a copy that is not complete: run the same 'ctxmgr admin copy' again, which goes on "
            "with it"
        )
    if found is None or not found.isdecimal():
        raise DataFolderError(f"the catalog {name} does not say its schema version: {found!r}")
    return int(found)


def _too_new(connection: Connection, found: int, name: str) -> str:
    if found <= SCHEMA or int(_noted(connection, _OLDEST) or found) <= SCHEMA:
        return ""
    return f"the catalog {name} has schema {found}, and this version of ctxmgr knows up to {SCHEMA}"


def _noted(connection: Connection, key: str) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def _note(connection: Connection, version: int, oldest: int) -> None:
    connection.execute(delete(meta).where(meta.c.key.in_((_VERSION, _OLDEST))))
    rows = [{"key": _VERSION, "value": str(version)}, {"key": _OLDEST, "value": str(oldest)}]
    connection.execute(insert(meta), rows)
