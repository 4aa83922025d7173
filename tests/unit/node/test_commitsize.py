"""Commits that tell more than one message holds."""

from __future__ import annotations

import json

from ctxmgr import nodewire
from ctxmgr.node.commitsize import fitted


def test_what_fits_is_left_as_it_is() -> None:
    message = nodewire.Commit("node-1", "t-1", 0, conflicts=json.dumps([{"path": "a"}]), conflicts_total=1)
    assert fitted(message) is message


def test_conflicts_are_told_as_far_as_they_fit_and_counted() -> None:
    conflicts = [{"path": f"{number}" * 50} for number in range(10_000)]
    message = nodewire.Commit("node-1", "t-1", 0, conflicts=json.dumps(conflicts), conflicts_total=10_000)
    made = fitted(message)
    told = json.loads(made.conflicts)
    assert len(nodewire.encode(made)) < nodewire.MAX_BODY
    assert (told, made.conflicts_total) == (conflicts[: len(told)], 10_000)
    assert len(told) > 1000


def test_skipped_paths_are_told_as_far_as_they_fit_and_the_rest_counted() -> None:
    skipped = [[f"{number}" * 50, "is a socket"] for number in range(10_000)]
    outcome = nodewire.OutcomeMessage(1, skipped=json.dumps(skipped))
    made = fitted(nodewire.Commit("node-1", "t-1", 0, outcome=outcome))
    assert len(nodewire.encode(made)) < nodewire.MAX_BODY
    assert made.outcome is not None
    *told, last = json.loads(made.outcome.skipped)
    assert told == skipped[: len(told)]
    assert last == ["", f"and {10_000 - len(told)} more paths"]
