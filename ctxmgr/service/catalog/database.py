"""The database of the catalog, and the transactions through which everything reads and writes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as NoConnection

from ctxmgr.errors import DataFolderError
from ctxmgr.service import forks

from . import versions
from .backend import Backend
from .errors import BUSY, CatalogError, TransactionLost
from .schema import nodes
from .sqlite import SQLite

if TYPE_CHECKING:
    from .channel import Channel

__all__ = ["MIGRATING", "Catalog"]

_T = TypeVar("_T")

MIGRATING = "migrate"
"""The name that is held by whoever makes the tables or brings them up, which every start of a service does."""
ATTEMPTS: Final = 5
"""At what the database lets go for the sake of another, which has come to its end each time."""


class Catalog:
    """A database that holds the tables, and the two kinds of transaction on it."""

    def __init__(self, backend: Backend) -> None:
        self.shared = backend.shared
        self.name = backend.name
        self._backend = backend
        self._closed = False
        self._thread = _Commits()
        forks.without_connections(backend)

    @classmethod
    def open(
        cls, path: Path, *, expected: bool = False, unwritable: str = "", users: versions.Users = lambda _: ()
    ) -> Catalog:
        """Open the SQLite catalog at a path, and make its tables where they are missing.

        Only one process may be in here at a time: the caller holds the folder's opening lock.

        Args:
            path: the database's.
            expected: there is content that only a catalog can name: none is made.
            unwritable: why what is kept can't be changed, where this is a copy to read; "" where it can.
            users: return, for people, the other processes that use the catalog.

        Raises:
            DataFolderError: it is not a catalog, was lost, or was written by a newer version; or this process can't use
                any.
        """
        if forks.inherits_connections():
            raise DataFolderError(
                f"can't use the catalog {str(path)!r}: this process was forked in the middle of a transaction; "
                "use it in a process that is started anew"
            )
        if expected and not (path.exists() and path.stat().st_size):
            raise _lost(path)
        backend = SQLite(path, unwritable)
        with cls._opened(backend) as catalog:
            if not catalog._prepare(users, make=not expected):
                raise _lost(path)
            backend.refuse_writes()
        return catalog

    @classmethod
    def connect(cls, url: str, *, expected: bool = False, users: versions.Users = lambda _: ()) -> Catalog:
        """Open the catalog in a PostgreSQL database, and make its tables where they are missing.

        Args:
            url: the database's, such as ``postgresql+psycopg://user:password@host/database``.
            expected, users: as for ``open``.

        Raises:
            DataFolderError: it is not a catalog, can't be reached, was lost, or was written by a newer version.
            ImportError: psycopg is not installed.
        """
        from .postgresql import PostgreSQL

        backend = PostgreSQL(url)
        with cls._opened(backend) as catalog:
            if not catalog._prepare(users, make=not expected):
                raise DataFolderError(
                    f"the catalog {backend.name} is empty, and the store has packs of content that only a catalog can "
                    "name: restore the database from a backup, or give an empty store"
                )
        return catalog

    @classmethod
    def bare(cls, where: str | Path) -> Catalog:
        """Open a database as it is; its tables are neither looked at nor made nor brought up.

        Args:
            where: the URL of a PostgreSQL database, or the path of one of SQLite.

        Raises:
            DataFolderError: the URL is not one of a database.
            ImportError: psycopg is not installed.
        """
        if isinstance(where, Path):
            return cls(SQLite(where))
        from .postgresql import PostgreSQL

        return cls(PostgreSQL(where))

    @classmethod
    @contextmanager
    def _opened(cls, backend: Backend) -> Iterator[Catalog]:
        try:
            yield cls(backend)
        except CatalogError as error:
            backend.close()
            raise DataFolderError(error.message) from error
        except BaseException:
            backend.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state of the catalog.

        Raises:
            CatalogError: it can't be read.
        """
        with self._transaction(self._backend.reader) as connection:
            yield connection

    @contextmanager
    def write(self, *held: str) -> Iterator[Connection]:
        """Write: everything or, after an exception or a crash, nothing.

        Args:
            held: names of what no other transaction that holds it may change meanwhile.

        Raises:
            CatalogError: it can't be written, or others have been writing for too long.
        """
        with self._transaction(self._backend.writer) as connection:
            self._backend.hold(connection, *held)
            yield connection
        self._thread.commits += 1

    def insist(self, job: Callable[[], _T]) -> _T:
        """Return what a job gives, done again where the database ended a transaction of it for the sake of another.

        Args:
            job: leaves nothing behind when it raises before its first write transaction is committed. After that it is
                not done again.

        Raises:
            TransactionLost: that happened again and again, or to a later transaction.
        """
        commits = self._thread.commits
        for _ in range(ATTEMPTS - 1):
            try:
                return job()
            except TransactionLost:
                if self._thread.commits != commits:
                    raise
        return job()

    @contextmanager
    def alone(self, what: str, timeout: float) -> Iterator[None]:
        """Be the only one of all processes that share the catalog to do something, outside of any transaction.

        Args:
            what: it is, by name.
            timeout: seconds to wait for another.

        Raises:
            TimeoutError: another does it.
            CatalogError: that can't be told.
        """
        with self._explained(), self._backend.alone(what, timeout):
            yield

    def channel(
        self, received: Callable[[str], None], missed: Callable[[], None], look: Callable[[], None]
    ) -> Channel | None:
        """Begin to tell other processes that share the catalog what has news, and to be told; see ``Channel``.

        Returns:
            the way to tell them; None where the database has none.
        """
        return self._backend.channel(received, missed, look)

    def integrity(self) -> list[str]:
        """Return what the database itself finds to be damaged in it.

        Raises:
            CatalogError: it is so damaged that it can't be read.
        """
        with self.read() as connection:
            return self._backend.integrity(connection)

    def settle(self, connection: Connection) -> None:
        """Get ready for use in the write transaction in which many rows were inserted, with keys of their own.

        Raises:
            CatalogError: that fails.
        """
        self._backend.settle(connection)

    def close(self) -> None:
        """Close the connections: those that are in use, as soon as they are not."""
        self._closed = True
        self._backend.close()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with self._explained(), forks.transaction(), engine.connect() as connection:
            try:
                with connection.begin():
                    yield connection
            finally:
                if self._closed and not connection.invalidated:
                    connection.detach()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except StatementError as error:
            # The driver's own error is the cause that logs show: the other one's text is the statement.
            meant = self._backend.explained(error)
            more = ""
            if meant.code == BUSY:
                more = self._users()
            elif meant.code == "InternalError" and (problem := self._refusal()):
                meant = CatalogError("ServiceUnavailable.Outdated", problem)
            raise type(meant)(meant.code, meant.message + more) from error.orig
        except NoConnection as error:
            problem = f"the catalog {self.name} is in use by too many requests at once: try again"
            raise CatalogError(BUSY, problem) from error

    def _users(self) -> str:
        with suppress(StatementError), forks.transaction(), self._backend.reader.begin() as connection:
            others = select(nodes.c.pid, nodes.c.host).where(nodes.c.pid != os.getpid(), nodes.c.account == "")
            if found := ", ".join(f"{pid} on {host}" for pid, host in connection.execute(others)):
                return f"; the processes that use the data folder are {found}"
        return ""

    def _refusal(self) -> str:
        with suppress(StatementError), forks.transaction(), self._backend.reader.begin() as connection:
            return versions.refusal(connection, self.name)
        return ""

    def _prepare(self, users: versions.Users, *, make: bool) -> bool:
        with self.write(MIGRATING) as connection:
            there = versions.bring_up(connection, self.name, users)
            if make and not there:
                versions.make(connection)
            return there or make


class _Commits(threading.local):
    """How many write transactions a thread has committed."""

    commits = 0


def _lost(path: Path) -> DataFolderError:
    return DataFolderError(
        f"the catalog {str(path)!r} is lost: the folder beside it has packs of content that only a catalog can name. "
        f"Restore {path.name} from a backup, or move {str(path.parent / 'blobs')!r} away to begin with nothing"
    )
