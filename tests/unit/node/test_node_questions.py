"""Plans that are told to a service: as much as it takes."""

from __future__ import annotations

from typing import cast

import pytest

from ctxmgr import nodewire
from ctxmgr.engine.manifest.merge import Plan
from ctxmgr.engine.sync.outcome import Preview
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.node.questions import answer_to

QUESTION = nodewire.Question("q", "s", "upload", False, [nodewire.PlanPart("c", "/", "/", "")])


class Planning:
    """Plans to drop some paths."""

    def __init__(self, paths: list[bytes]) -> None:
        self._paths = paths

    def preview(self, *arguments: object, **options: object) -> Preview:
        return Preview(Plan(drop=self._paths), [], [], [], "")


def answered(paths: list[bytes]) -> nodewire.QuestionAnswer:
    return answer_to(QUESTION, "/root", cast("Syncs", Planning(paths)), "node")


@pytest.mark.parametrize("bound", ["MAX_PLAN", "MAX_BODY"])
def test_a_plan_that_is_larger_than_the_service_takes_is_told_so(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    paths = [b"%d" % number for number in range(100)]
    answer = answered(paths)
    (part,) = nodewire.unpack(answer.data, list[nodewire.PlannedPart])
    assert [change.path for change in part.changes] == sorted(paths)
    monkeypatch.setattr(nodewire, bound, 1_100)
    assert answered(paths).code == "InvalidPlan.TooLarge"
