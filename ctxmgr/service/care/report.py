"""What a check of a store has found: bounded in length, whatever is wrong with how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

__all__ = ["Affected", "BadChunk", "Damage", "Report"]

MAX_LISTED: Final = 10_000


class Damage(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        kind: ``catalog``, ``context``, ``revision``, ``file``, ``chunk`` or ``pack``.
        name: which.
        problem: what is wrong with it.
    """

    kind: str
    name: str
    problem: str


class Affected(NamedTuple):
    """A version of a file whose content is lost or damaged.

    Attributes:
        context_id, context: the id and the name of the context.
        path: absolute in the context.
        first, last: the first and the last revision that hold it; 0 for one that the head holds.
    """

    context_id: str
    context: str
    path: bytes
    first: int
    last: int


class BadChunk(NamedTuple):
    """A chunk that is not where the index says."""

    account: str
    digest: bytes
    pack: str


@dataclass
class Report:
    """What was looked at, and what is wrong.

    Attributes:
        packs, chunks, files, revisions: how many were looked at.
        unused_packs: packs that nobody recorded: of writers that were killed, or that are at work. ``prune`` removes
            the former.
        damages_total, affected_total: how many there are, of which no more than 10,000 are listed.
        bad: every chunk that can't be read where the index says.
        suspect: every pack that is not what its name and the index say, though chunks in it may be whole.
        repaired: how many chunks were taken out of the index.
    """

    packs: int = 0
    chunks: int = 0
    files: int = 0
    revisions: int = 0
    unused_packs: int = 0
    damages: list[Damage] = field(default_factory=list)
    damages_total: int = 0
    affected: list[Affected] = field(default_factory=list)
    affected_total: int = 0
    bad: set[BadChunk] = field(default_factory=set)
    suspect: set[str] = field(default_factory=set)
    repaired: int = 0

    def add(self, kind: str, name: str, problem: str) -> None:
        """Note a damage."""
        self.damages_total += 1
        if len(self.damages) < MAX_LISTED:
            self.damages.append(Damage(kind, name, problem))

    def affect(self, affected: Affected) -> None:
        """Note a version of a file that a damage concerns."""
        self.affected_total += 1
        if len(self.affected) < MAX_LISTED:
            self.affected.append(affected)
