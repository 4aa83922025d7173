"""Work item by item: one that fails is tried again later, and keeps no other from its turn."""

from __future__ import annotations

import itertools

import pytest

from ctxmgr.service.catalog.retries import LONGEST_SECONDS, Retries


class Job:
    def __init__(self) -> None:
        self.now = 0.0
        self.bad: set[str] = set()
        self.done: list[str] = []

    def clock(self) -> float:
        return self.now

    def run(self, item: str) -> None:
        self.done.append(item)
        if item in self.bad:
            raise RecursionError("too deep")


def test_one_that_fails_keeps_no_other_from_its_turn(caplog: pytest.LogCaptureFixture) -> None:
    job = Job()
    job.bad = {"a"}
    Retries("clean {}", clock=job.clock).each(["a", "b"], job.run)
    assert job.done == ["a", "b"]
    assert caplog.messages == ["can't clean 'a', and will try again later: RecursionError: too deep"]


def test_it_is_tried_again_after_longer_and_longer_pauses_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    job = Job()
    job.bad = {"a"}
    retries = Retries("clean {}", clock=job.clock)
    tried = []
    for second in range(8 * int(LONGEST_SECONDS)):
        job.now = float(second)
        job.done.clear()
        retries.each(["a"], job.run)
        if job.done:
            tried.append(second)
    pauses = [after - before for before, after in itertools.pairwise(tried)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_SECONDS
    assert len(caplog.messages) == 1


def test_what_went_well_in_the_end_is_told_anew_when_it_fails_again(caplog: pytest.LogCaptureFixture) -> None:
    job = Job()
    job.bad = {"a"}
    retries = Retries("clean {}", clock=job.clock)
    retries.each(["a"], job.run)
    job.bad, job.now = set(), 10.0
    retries.each(["a"], job.run)
    retries.each([], job.run)
    job.bad = {"a"}
    retries.each(["a"], job.run)
    assert len(caplog.messages) == 2
