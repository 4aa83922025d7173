"""The pruning of a store: the end of revisions that no retention keeps, and of what nothing refers to any more.

Each step is durable before the next begins, and is found and carried on by the next run if this one is killed:
revisions end, chunks that nothing refers to are condemned and removed from the index (``references``), and packs are
written anew, retired and removed (``packs``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from ctxmgr.retention import Retention
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.retention import expire, retention_of
from ctxmgr.service.catalog.schema import chunks, contexts, retired_packs, revisions
from ctxmgr.service.storage.blobstore import BlobStore

from . import packs
from .references import condemn, find_loose, remove_condemned
from .selection import Moment, kept

__all__ = ["GRACE_MS", "Pruned", "PrunedContext", "Room", "apply_retention", "free_room", "loose_bytes"]

GRACE_MS: Final = 24 * 3600 * 1000
"""How long what nothing refers to stays, so that a sync or a download that relied on it comes to its end."""
UPLOAD_MS: Final = 3600 * 1000
"""How long an upload of a node stays at least: it is taken within the minutes that its URL is valid, or never."""


class PrunedContext(NamedTuple):
    """What a retention leaves of a context's history: the numbers of its revisions, in order."""

    id: str
    name: str
    account: str
    kept: Sequence[int]
    pruned: Sequence[int]


class Room(NamedTuple):
    """What became of what nothing refers to.

    Attributes:
        freed: bytes that were given back, without those that new packs take.
        waiting: bytes that are given back when their grace period is over.
        packs_removed, packs_rewritten: how many.
        damaged: the names of packs that are not touched, since something in them is damaged.
    """

    freed: int
    waiting: int
    packs_removed: int
    packs_rewritten: int
    damaged: tuple[str, ...]


Pruned = tuple[list[PrunedContext], Room]


def apply_retention(
    catalog: Catalog, chosen: Mapping[str, Retention | None], *, dry_run: bool = False
) -> list[PrunedContext]:
    """End the revisions of contexts that their retention does not keep.

    Args:
        catalog: the catalog.
        chosen: by context, its retention; None for its own.
        dry_run: only tell.
    """
    found = []
    for context_id, retention in chosen.items():
        if dry_run:
            with catalog.read() as connection:
                outcome = _weighed(connection, context_id, retention)
        else:
            with catalog.write() as connection:
                outcome = _weighed(connection, context_id, retention)
                if outcome is not None and outcome.pruned:
                    expire(connection, context_id, outcome.pruned)
        if outcome is not None:
            found.append(outcome)
    return found


def loose_bytes(catalog: Catalog, accounts: Sequence[str], outcomes: Sequence[PrunedContext]) -> int:
    """Return how many bytes nothing refers to, were the revisions ended that are to be."""
    only = {outcome.id: outcome.kept for outcome in outcomes}
    total = 0
    for account in accounts:
        with catalog.read() as connection:
            total += find_loose(connection, account, only).size
    return total


def free_room(
    catalog: Catalog,
    store: BlobStore,
    *,
    alone: Callable[[], bool],
    grace_ms: int | None = None,
    clock: Callable[[], int] = now_ms,
) -> Room:
    """Give back the room of what nothing refers to and whose grace period is over.

    Args:
        catalog, store: what to free.
        alone: whether nobody else is at work on them: then nobody relies on what is condemned, or reads what is
            retired, from that moment on. Asked after each has been written down, so that whoever came before is seen.
        grace_ms: how long what nothing refers to stays; None for none where this process is alone, and else a day.
        clock: returns the milliseconds since the epoch.
    """

    def grace() -> int:
        return grace_ms if grace_ms is not None else 0 if alone() else GRACE_MS

    with catalog.read() as connection:
        accounts = connection.execute(select(chunks.c.account).distinct()).scalars().all()
        young = packs.young_packs(connection, clock() - grace())
    waiting = 0
    for account in accounts:
        with catalog.read() as connection:
            loose = find_loose(connection, account)
        condemn(catalog, loose, clock(), young=young)
        remove_condemned(catalog, loose, clock() - grace())
        waiting += loose.size
    rewritten = packs.repack(catalog, store)
    packs.retire_empty(catalog, clock())
    until = clock() - grace()
    removed, freed = packs.remove_retired(catalog, store, until)
    orphans, orphaned = packs.remove_orphans(catalog, store, until)
    # Whoever uses the store alone has nodes that upload nevertheless.
    orphaned += store.remove_uploads(min(until, clock() - UPLOAD_MS))
    with catalog.read() as connection:
        waiting += int(connection.execute(select(func.coalesce(func.sum(retired_packs.c.size), 0))).scalar_one())
    return Room(
        max(0, freed + orphaned - rewritten.written), waiting, removed + orphans, rewritten.packs, rewritten.damaged
    )


def _weighed(connection: Connection, context_id: str, retention: Retention | None) -> PrunedContext | None:
    """Return which revisions of a context stay; None where it is gone."""
    context = connection.execute(select(contexts).where(contexts.c.id == context_id)).one_or_none()
    if context is None:
        return None
    own = (revisions.c.context_id == context_id) & revisions.c.pruned_ms.is_(None)
    rows = connection.execute(select(revisions.c.number, revisions.c.created_ms).where(own)).all()
    stay = kept([Moment(*row) for row in rows], retention or retention_of(context.retention))
    numbers = sorted(row.number for row in rows)
    pruned = [number for number in numbers if number not in stay]
    return PrunedContext(context_id, context.name, context.account, sorted(stay), pruned)
