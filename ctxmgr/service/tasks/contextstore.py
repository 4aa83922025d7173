"""What keeps contexts in this process, as the engine's syncs see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

from ctxmgr.engine.manifest.entries import Entry
from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.engine.sync.projection import Origins
from ctxmgr.engine.sync.task import Outcome, Progress, Task
from ctxmgr.service.catalog import revisions, sessions, tasks
from ctxmgr.service.catalog.changes import key_of
from ctxmgr.service.catalog.chunkindex import check_stored
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.origins import read_origins
from ctxmgr.service.storage.blobstore import BlobStore

from .contentstore import CatalogContentStore

__all__ = ["CatalogContextStore"]


class CatalogContextStore:
    """The ``ContextStore`` of one account, on a catalog and the packs beside it."""

    def __init__(
        self, catalog: Catalog, packs: BlobStore, account: str, ended: Callable[[Task], None] = lambda _: None
    ) -> None:
        """Keep what an account has.

        Args:
            ended: called when a task has ended well, before its sync has noted that where the directory is.
        """
        self.content = CatalogContentStore(catalog, packs, account)
        self._catalog = catalog
        self._account = account
        self._ended = ended

    def start(self, task: Task) -> None:
        def start() -> None:
            with self._catalog.write() as connection:
                tasks.start(connection, task)

        self._catalog.insist(start)

    def report(self, task: Task, progress: Progress) -> None:
        # Others see the progress a little later then; the task itself is none the worse.
        with suppress(CatalogError), self._catalog.write() as connection:
            tasks.record_progress(connection, task, progress)

    def policy(self, task: Task) -> BindingPolicy:
        with self._catalog.read() as connection:
            revisions.head_of(connection, task.context_id)
            return sessions.policy_of(connection, task.session_id, task.context_id, task.mount)

    def origins(self, context_id: str, paths: Sequence[str]) -> Origins:
        with self._catalog.read() as connection:
            return read_origins(connection, context_id, paths)

    def uploaded_since(self, context_id: str, path: str, *, workspace: str, revision: int) -> dict[bytes, Entry | None]:
        with self._catalog.read() as connection:
            return revisions.uploaded_since(connection, context_id, path, workspace=workspace, revision=revision)

    def ever_held(self, context_id: str, paths: Sequence[bytes]) -> bool:
        with self._catalog.read() as connection:
            return any(revisions.ever_held(connection, context_id, path) for path in paths)

    def key(self, context_id: str, revision: int) -> str | None:
        with self._catalog.read() as connection:
            if revision > revisions.head_of(connection, context_id):
                return ""
            return key_of(connection, context_id, revision) or None

    def is_unchanged(
        self, context_id: str, paths: Sequence[str], *, revision: int, key: str, packs: Collection[str]
    ) -> bool:
        with self._catalog.read() as connection:
            head = revisions.head_of(connection, context_id)
            if (head, key_of(connection, context_id, head)) != (revision, key):
                return False
        return self.content.are_whole(packs)

    def lost(self, context_id: str, paths: Sequence[str]) -> set[bytes]:
        with self._catalog.read() as connection:
            referred_to = revisions.chunks_below(connection, context_id, paths)
        return self.content.missing(referred_to)

    def commit(self, task: Task, changes: Sequence[RowChange], *, head: int, outcome: Outcome | None = None) -> None:
        self._catalog.insist(partial(self._commit, task, changes, head, outcome))
        if outcome is not None:
            self._ended(task)

    def _commit(self, task: Task, changes: Sequence[RowChange], head: int, outcome: Outcome | None) -> None:
        # Not by path: what a later change replaces is a revision's content too.
        put = [item for change in changes for item in change.put.items()]
        with self._catalog.write() as connection:
            if outcome is not None:
                sessions.hold(connection, [task.session_id])
            check_stored(connection, self._account, put)
            for change in changes:
                head = revisions.commit(
                    connection,
                    task.context_id,
                    change.mount,
                    head=head,
                    current=change.current,
                    put=change.put,
                    drop=change.drop,
                    task_id=task.id,
                    note=change.note,
                    workspace=change.workspace,
                )
            if outcome is not None:
                tasks.succeed(connection, task, outcome)
            else:
                tasks.record_conflicts(connection, task)
