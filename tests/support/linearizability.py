"""Whether what many saw of a context's head can have come about one after the other, each before its answer."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import attrs

__all__ = ["Operation", "violations"]


@attrs.frozen
class Operation:
    """What somebody asked for, and what they were told about the head.

    Attributes:
        who: asked.
        start, end: the moments of the question and of the answer, by one clock.
        base: the head that it went out from.
        revision: the head that it left behind, the same as ``base`` where it only looked.
    """

    who: str
    start: float
    end: float
    base: int
    revision: int


def violations(answered: Collection[Operation], unanswered: Collection[float], head: int) -> Sequence[str]:
    """Return why no order of operations explains what they were told; empty where one does.

    A head counts up from 0, and each revision goes out from the one before it. So the order of those that were
    answered is known, and each is put at the earliest moment that its question and those before it allow. Revisions
    that nobody was told of must be those of operations that got no answer, each of which made any number in a row.

    Args:
        answered: the operations that could have changed the head of one context, or looked at it.
        unanswered: when others were asked for of which nobody knows whether they changed anything.
        head: what it was in the end.
    """
    found: list[str] = []
    spare = sorted(unanswered, reverse=True)
    now, reached = -math.inf, 0

    def fill(until: int) -> None:
        nonlocal now, reached
        if reached < until:
            if spare:
                now = max(now, spare.pop())
            else:
                found.append(f"nobody made the revisions {reached + 1} to {until}")
            reached = until

    for each in sorted(answered, key=_place):
        fill(each.base)
        if each.base < reached:
            found.append(f"{each} goes out from {each.base}, and another had made {reached}")
        now = max(now, each.start)
        if now > each.end:
            found.append(f"{each} was answered before it can have happened, which is {now}")
        reached = max(reached, each.revision)
    if reached > head:
        found.append(f"somebody was told of revision {reached}, and the head is {head}")
    fill(head)
    return found


def _place(operation: Operation) -> tuple[int, bool, float]:
    """Return what sorts operations in the order of the heads that they left: who made one, and then who saw it."""
    return operation.revision, operation.base == operation.revision, operation.start
