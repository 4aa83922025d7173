"""The care of one data folder: pruned and checked by one process at a time, when asked and by itself once a day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from ctxmgr.errors import ServiceError
from ctxmgr.retention import Retention
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.schema import contexts, meta
from ctxmgr.service.storage.blobstore import BlobStore

from .check import check_store, repair
from .prune import PrunedContext, Room, apply_retention, free_room, loose_bytes
from .report import Report
from .stats import Volume, account_volume
from .turns import alone

__all__ = ["Care"]

DAY_MS: Final = 24 * 3600 * 1000
LOCK_TIMEOUT: Final = 60.0
_LAST: Final = "pruned_ms"


class Care:
    """Cares for what is stored. Safe to use from several threads, and beside other processes."""

    def __init__(self, catalog: Catalog, store: BlobStore, locks: Path, alone: Callable[[], bool]) -> None:
        """Care for a catalog and its packs.

        Args:
            catalog, store: what to care for.
            locks: the folder of the lock that whoever prunes or checks holds.
            alone: whether no sync runs, here or in another process that uses the same.
        """
        self._catalog = catalog
        self._store = store
        self._locks = locks
        self._alone = alone

    def stats(self, account: str) -> Volume:
        """Return how much an account has stored."""
        with self._catalog.read() as connection:
            return account_volume(connection, account)

    def check(self, *, read_data: bool, mend: bool) -> Report:
        """Check everything, and mend what can be mended.

        Raises:
            ServiceError: ``ServiceUnavailable.Busy`` where another process prunes or checks.
        """
        with self._held(LOCK_TIMEOUT):
            report = check_store(self._catalog, self._store, read_data=read_data)
            if mend:
                repair(self._catalog, self._store, report)
        return report

    def end_revisions(
        self, account: str, context_ids: Collection[str], retention: Retention | None, *, dry_run: bool
    ) -> list[PrunedContext]:
        """End the revisions of an account's contexts that no retention keeps.

        Args:
            account: whose contexts.
            context_ids: of the contexts; none for all of them.
            retention: None for each context's own.
            dry_run: only tell.
        """
        with self._catalog.read() as connection:
            owned = select(contexts.c.id).where(contexts.c.account == account)
            chosen = context_ids or connection.execute(owned.order_by(contexts.c.name)).scalars().all()
        return apply_retention(self._catalog, dict.fromkeys(chosen, retention), dry_run=dry_run)

    def would_free(self, account: str, outcomes: list[PrunedContext]) -> int:
        """Return how many bytes nothing of an account refers to, were revisions ended as a dry run says."""
        return loose_bytes(self._catalog, [account], outcomes)

    def free(self, *, grace_ms: int | None = None) -> Room:
        """Give back the room of what nothing refers to; see `free_room`.

        Raises:
            ServiceError: ``ServiceUnavailable.Busy`` where another process prunes or checks.
        """
        with self._held(LOCK_TIMEOUT):
            return self._freed(grace_ms)

    def run_if_due(self) -> bool:
        """Prune as the contexts' own retentions say, and give room back, where that was last done a day ago or more."""
        if not self._is_due():
            return False
        try:
            with self._held(0):
                if not self._is_due():
                    return False  # another process was at it
                with self._catalog.read() as connection:
                    ruled = connection.execute(select(contexts.c.id).where(contexts.c.retention != "")).scalars().all()
                apply_retention(self._catalog, dict.fromkeys(ruled))
                self._freed(None)
        except ServiceError:
            return False  # another process is at it
        return True

    def _is_due(self) -> bool:
        with self._catalog.read() as connection:
            return now_ms() - _last(connection) >= DAY_MS

    def _freed(self, grace_ms: int | None) -> Room:
        room = free_room(self._catalog, self._store, alone=self._alone, grace_ms=grace_ms)
        with self._catalog.write() as connection:
            connection.execute(delete(meta).where(meta.c.key == _LAST))
            connection.execute(insert(meta).values(key=_LAST, value=str(now_ms())))
        return room

    @contextmanager
    def _held(self, timeout: float) -> Iterator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(alone(self._catalog, self._locks, "care", timeout))
            except TimeoutError:
                raise ServiceError(
                    "ServiceUnavailable.Busy", "another process prunes or checks the same data folder: try again later"
                ) from None
            yield


def _last(connection: Connection) -> int:
    found = connection.execute(select(meta.c.value).where(meta.c.key == _LAST)).scalar_one_or_none()
    return int(found) if found is not None and found.isdecimal() else 0
