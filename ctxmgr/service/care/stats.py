"""How much is stored, and how much room that saves, by context and in all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE
from ctxmgr.retention import Retention
from ctxmgr.service.catalog.contexts import is_transfer
from ctxmgr.service.catalog.retention import retention_of
from ctxmgr.service.catalog.revisions import digests_of
from ctxmgr.service.catalog.schema import chunks, contexts, files, revisions

from .references import streamed

__all__ = ["ContextVolume", "Volume", "account_volume"]


class ContextVolume(NamedTuple):
    """What one context holds.

    Attributes:
        id, name: the context's.
        revisions: how many are kept.
        files, bytes: of its latest revision; links and folders are no files.
        history_bytes: of every version of every file that a revision holds.
        unique_bytes: of their content, each chunk counted once.
        stored_bytes: that it takes, compressed; what other contexts hold too is counted in each.
        retention: which revisions the service keeps by itself.
    """

    id: str
    name: str
    revisions: int
    files: int
    bytes: int
    history_bytes: int
    unique_bytes: int
    stored_bytes: int
    retention: Retention


class Volume(NamedTuple):
    """What an account holds: as for one context, and ``loose_bytes`` that nothing refers to any more."""

    contexts: tuple[ContextVolume, ...]
    unique_bytes: int
    stored_bytes: int
    loose_bytes: int


def account_volume(connection: Connection, account: str) -> Volume:
    """Return what an account holds; the contexts in the order of their names.

    Args:
        connection: a transaction that sees one state.
        account: the account.
    """
    own = select(chunks.c.digest, chunks.c.stored, chunks.c.length).where(chunks.c.account == account)
    sizes = {row.digest: (row.stored, row.length) for row in streamed(connection, own)}
    used: set[bytes] = set()
    found = []
    for context in connection.execute(select(contexts).where(contexts.c.account == account)).all():
        held: set[bytes] = set()
        count = current = history = 0
        columns = (files.c.rev_to, files.c.kind, files.c.size, files.c.chunks)
        of_context = (files.c.context_id == context.id) & (files.c.kind != DIRECTORY)
        for row in streamed(connection, select(*columns).where(of_context)):
            held.update(digests_of(row.chunks))
            history += row.size
            if row.rev_to is None and row.kind == FILE:
                count += 1
                current += row.size
        used |= held
        kept = (revisions.c.context_id == context.id) & revisions.c.pruned_ms.is_(None)
        made = connection.execute(select(func.count()).select_from(revisions).where(kept)).scalar_one()
        if not is_transfer(context.id):
            sums, rules = _sums(held, sizes), retention_of(context.retention)
            found.append(ContextVolume(context.id, context.name, made, count, current, history, *sums, rules))
    loose = sum(stored for digest, (stored, _) in sizes.items() if digest not in used)
    return Volume(tuple(sorted(found, key=lambda each: each.name)), *_sums(used, sizes), loose)


def _sums(digests: Iterable[bytes], sizes: dict[bytes, tuple[int, int]]) -> tuple[int, int]:
    """Return the bytes of chunks, and those that they take."""
    known = [sizes[digest] for digest in digests if digest in sizes]
    return sum(length for _, length in known), sum(stored for stored, _ in known)
