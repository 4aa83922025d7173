"""Reports on a task that runs, beside its work."""

from __future__ import annotations

import queue

import pytest

from ctxmgr.engine.sync.task import Progress, TaskInterrupted
from ctxmgr.node.reports import Reports
from tests.support.scripted import PATIENCE


class Service:
    """Takes reports, and holds each until it is answered."""

    def __init__(self) -> None:
        self.told: queue.Queue[int] = queue.Queue()
        self.answers: queue.Queue[bool] = queue.Queue()

    def report(self, progress: Progress) -> None:
        self.told.put(progress.files_done)
        if not self.answers.get(timeout=PATIENCE):
            raise TaskInterrupted


def test_work_goes_on_while_a_report_is_on_its_way_and_the_latest_follows() -> None:
    service = Service()
    reports = Reports(service.report)
    for done in range(1, 5):
        reports(Progress(10, done))
    assert service.told.get(timeout=PATIENCE) == 1
    service.answers.put(True)
    assert service.told.get(timeout=PATIENCE) == 4
    service.answers.put(True)
    reports(Progress(10, 5))
    assert service.told.get(timeout=PATIENCE) == 5
    service.answers.put(True)


def test_a_task_that_has_ended_learns_it_from_a_later_report() -> None:
    service = Service()
    reports = Reports(service.report)
    reports(Progress(10, 1))
    assert service.told.get(timeout=PATIENCE) == 1
    reports(Progress(10, 2))
    service.answers.put(False)
    # The second is sent when the first was answered.
    assert service.told.get(timeout=PATIENCE) == 2
    with pytest.raises(TaskInterrupted):
        reports(Progress(10, 3))
    service.answers.put(False)
