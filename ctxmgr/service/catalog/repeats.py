"""Uploads that change nothing, in a catalog that nobody else has open: what decides of one, and its record.

The database driver alone does that within a millisecond: importing SQLAlchemy would cost more than all else does. What
is not known here to be plain is left to the catalog as a whole, and so is what can't be read.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from .identifiers import new_id
from .revisionkeys import revision_key
from .schemaversion import SCHEMA

__all__ = ["Labels", "Repeats", "Standing"]

Labels = Callable[[str], Mapping[str, str]]
"""Returns the labels of the session that is kept for a directory, by the id of its context."""

_WAIT_SECONDS: Final = 1.0

_VERSION: Final = "SELECT value FROM meta WHERE key = 'schema'"
# Other processes, tasks that have not ended, and files whose time may be over.
_PENDING: Final = """
SELECT EXISTS (SELECT 1 FROM nodes)
    OR EXISTS (SELECT 1 FROM tasks WHERE finished_ms IS NULL)
    OR EXISTS (SELECT 1 FROM lifecycles WHERE days IS NOT NULL)
"""
_CONTEXT: Final = "SELECT id, head FROM contexts WHERE account = ? AND name = ?"
_REVISION: Final = """
SELECT context_id, number, created_ms, task_id, workspace, note FROM revisions WHERE context_id = ? AND number = ?
"""
_SESSIONS: Final = """
SELECT id, root FROM sessions
WHERE account = ? AND status = 'RUNNING' AND owns_root = 0 AND home = '' AND node_id = ''
"""
_LABELLED: Final = """
AND EXISTS (SELECT 1 FROM labels WHERE labels.session_id = sessions.id AND labels.name = ? AND labels.value = ?)
"""
_BINDINGS: Final = "SELECT context_id, mount, path, policy FROM bindings WHERE session_id = ?"
_LAST_TASK: Final = "SELECT max(number) FROM tasks"
_PROOF: Final = "SELECT size, changed_ns FROM pack_proofs WHERE pack_id = ?"

_RECORD: Final = """
INSERT INTO tasks (
    id, account, session_id, context_id, mount, path, mode, "delete", status, node_id, error,
    queued_ms, started_ms, finished_ms, revision, files, deleted, bytes, unchanged,
    files_total, files_done, bytes_total, bytes_done, skipped, nothing_to_sync, options
) VALUES (
    :id, :account, :session, :context, '/', '/', 'upload', :delete, 'Success', :node, '',
    :now, :now, :now, :revision, 0, 0, 0, :files,
    0, 0, 0, 0, '[]', 1, :options
)
"""

_UPLOADED: Final = "UPDATE contexts SET uploaded_ms = :now WHERE id = :context"


class Standing(NamedTuple):
    """What an upload begins from; the same later only if nothing came between.

    Attributes:
        key: names the revision ``head``, as a workspace's state does.
        policy: the JSON text of the binding, which mounts the whole context at "/".
        last_task: the number of the last task of all.
    """

    context_id: str
    head: int
    key: str
    session_id: str
    root: str
    policy: str
    last_task: int


class Repeats:
    """The SQLite catalog at a path, as long as it is open here."""

    def __init__(self, connection: sqlite3.Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    @classmethod
    @contextmanager
    def opened(cls, file: Path, account: str) -> Iterator[Repeats]:
        """Open the catalog that is in a file.

        Raises:
            sqlite3.Error: there is none that can be written.
        """
        # The driver must not begin transactions by itself.
        database = sqlite3.connect(f"{file.as_uri()}?mode=rw", _WAIT_SECONDS, isolation_level=None, uri=True)
        with closing(database) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield cls(connection, account)

    def standing(self, name: str, labels: Labels) -> Standing | None:
        """Return what an upload to a context begins from; None if that is not plain.

        Args:
            name: of the context.
            labels: those of the one session that is kept for the directory and the context.

        Raises:
            sqlite3.Error: it can't be read.
        """
        with self._transaction("BEGIN"):
            return self._standing(name, labels)

    def proof(self, pack: str) -> tuple[int, int] | None:
        """Return what shows that a pack is as it was when it was last found whole: its size and time of change.

        Raises:
            sqlite3.Error: it can't be read.
        """
        found: tuple[int, int] | None = self._one(_PROOF, pack)
        return found

    def record(self, standing: Standing, name: str, labels: Labels, *, delete: bool, options: str, files: int) -> bool:
        """Record that an upload was carried out and found nothing to do.

        Args:
            standing, name, labels: what it began from.
            delete, options: how it was to be done, as the task's row says it.
            files: how many there are.

        Returns:
            False if it no longer begins from there: then nothing is recorded.

        Raises:
            sqlite3.Error: it can't be written.
        """
        now = time.time_ns() // 1_000_000
        row = {
            "id": new_id("task-"),
            "account": self._account,
            "session": standing.session_id,
            "context": standing.context_id,
            "delete": delete,
            "node": new_id("node-"),
            "now": now,
            "revision": standing.head,
            "files": files,
            "options": options,
        }
        with self._transaction("BEGIN IMMEDIATE"):
            if self._standing(name, labels) != standing:
                return False
            self._connection.execute(_RECORD, row)
            self._connection.execute(_UPLOADED, {"now": row["now"], "context": standing.context_id})
            return True

    def _standing(self, name: str, labels: Labels) -> Standing | None:
        if self._one(_VERSION) != (str(SCHEMA),) or self._one(_PENDING) != (0,):
            return None
        context_id, head = self._one(_CONTEXT, self._account, name) or (name, 0)
        if context_id == name:
            # There is none, or it is the service's own for the transfer of files, whose id is its name.
            return None
        revision = self._one(_REVISION, context_id, head)
        wanted = labels(context_id)
        which = [self._account, *(text for label in wanted.items() for text in label)]
        sessions = self._connection.execute(_SESSIONS + _LABELLED * len(wanted), which).fetchall()
        if revision is None or len(sessions) != 1:
            return None
        ((session_id, root),) = sessions
        bindings = self._connection.execute(_BINDINGS, (session_id,)).fetchall()
        if len(bindings) != 1 or bindings[0][:3] != (context_id, "/", "/"):
            return None
        (last_task,) = self._one(_LAST_TASK) or (0,)
        key = revision_key(*revision)
        return Standing(context_id, head, key, session_id, os.fsdecode(root), bindings[0][3], last_task)

    def _one(self, query: str, *parameters: object) -> Any:
        """Return the first row, a tuple, or None."""
        return self._connection.execute(query, parameters).fetchone()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
