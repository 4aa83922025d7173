"""How much a service has stored, whether it is whole, and what a prune has done."""

from __future__ import annotations

import attrs

from ctxmgr.retention import Retention

from .response import Result

__all__ = [
    "AffectedFile",
    "ContextStats",
    "PruneResult",
    "PrunedContext",
    "StoreCheckResult",
    "StoreDamage",
    "StoreStatsResult",
]


@attrs.frozen(kw_only=True)
class ContextStats:
    """What one context holds.

    Attributes:
        context_id, name: the context's.
        revisions: how many are kept.
        files, bytes: of its latest revision; folders and links are no files.
        history_bytes: of every version of every file that a revision holds.
        unique_bytes: of their content, each piece of it counted once.
        stored_bytes: that this takes, compressed. What several contexts hold is stored once, and counted in each.
        retention: which revisions the service keeps by itself.
    """

    context_id: str
    name: str = ""
    revisions: int = 0
    files: int = 0
    bytes: int = 0
    history_bytes: int = 0
    unique_bytes: int = 0
    stored_bytes: int = 0
    retention: Retention = attrs.Factory(Retention)


@attrs.define(kw_only=True)
class StoreStatsResult(Result):
    """How much an account has stored, and how much room that saves.

    Attributes:
        contexts: by name.
        unique_bytes: of the content of all, each piece of it counted once.
        stored_bytes: that this takes, compressed.
        loose_bytes: that what nothing refers to takes until it is pruned.
    """

    contexts: list[ContextStats] = attrs.Factory(list)
    unique_bytes: int = 0
    stored_bytes: int = 0
    loose_bytes: int = 0

    @property
    def revisions(self) -> int:
        """How many revisions all contexts have."""
        return sum(each.revisions for each in self.contexts)

    @property
    def files(self) -> int:
        """How many files the latest revisions hold."""
        return sum(each.files for each in self.contexts)

    @property
    def bytes(self) -> int:
        """How many bytes these files have."""
        return sum(each.bytes for each in self.contexts)

    @property
    def history_bytes(self) -> int:
        """How many bytes every version of every file has."""
        return sum(each.history_bytes for each in self.contexts)

    @property
    def saved_by_dedup(self) -> int:
        """Bytes that are not stored again, since they are stored already."""
        return max(0, self.history_bytes - self.unique_bytes)

    @property
    def saved_by_compression(self) -> int:
        """Bytes that compression saves."""
        return self.unique_bytes - self.stored_bytes


@attrs.frozen(kw_only=True)
class StoreDamage:
    """Something that is not as it should be.

    Attributes:
        kind: ``catalog``, ``context``, ``revision``, ``file``, ``chunk`` or ``pack``.
        name: which.
        problem: what is wrong with it.
    """

    kind: str
    name: str = ""
    problem: str = ""


@attrs.frozen(kw_only=True)
class AffectedFile:
    """A version of a file whose content is lost or damaged.

    Attributes:
        path: absolute in the context.
        first_revision, last_revision: the revisions that hold it; the last is 0 where the context holds it now.
    """

    context_id: str
    context_name: str = ""
    path: str = ""
    first_revision: int = 0
    last_revision: int = 0


@attrs.define(kw_only=True)
class StoreCheckResult(Result):
    """Whether all that is stored is whole: only then is it a success.

    Attributes:
        packs, chunks, files, revisions: how many were looked at.
        unused_packs: packs that no revision needs; a prune removes them.
        damages, damages_total: what is wrong, of which at most 10,000 are listed, and how much it is.
        affected, affected_total: the same of the versions of files whose content is lost.
        repaired: how many chunks were taken out of the index, to be stored again by whoever has them.
    """

    packs: int = 0
    chunks: int = 0
    files: int = 0
    revisions: int = 0
    unused_packs: int = 0
    damages: list[StoreDamage] = attrs.Factory(list)
    damages_total: int = 0
    affected: list[AffectedFile] = attrs.Factory(list)
    affected_total: int = 0
    repaired: int = 0


@attrs.frozen(kw_only=True)
class PrunedContext:
    """What a prune left of a context's history: the numbers of its revisions."""

    context_id: str
    name: str = ""
    kept: tuple[int, ...] = ()
    pruned: tuple[int, ...] = ()


@attrs.define(kw_only=True)
class PruneResult(Result):
    """What a prune has done, or would do.

    Attributes:
        contexts: by name, what is left of their history.
        freed_bytes: what was given back.
        waiting_bytes: what nothing refers to any more, and is given back once no sync or download can rely on it.
        packs_removed, packs_rewritten: how many.
        damaged_packs: the names of packs that were left as they are, since something in them is damaged.
    """

    contexts: list[PrunedContext] = attrs.Factory(list)
    freed_bytes: int = 0
    waiting_bytes: int = 0
    packs_removed: int = 0
    packs_rewritten: int = 0
    damaged_packs: list[str] = attrs.Factory(list)
