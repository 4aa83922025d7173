"""What is done now and then is done again, also after it has failed."""

from __future__ import annotations

import threading

import pytest

from ctxmgr.service.tasks import sweeper as sweeping
from ctxmgr.service.tasks.sweeper import Sweeper


def test_a_sweep_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sweeping, "SECONDS_BETWEEN_SWEEPS", 0)
    done = threading.Event()
    runs: list[int] = []

    def job() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("the disk is full")
        done.set()

    sweeper = Sweeper(job, "sweep")
    sweeper.begin()
    sweeper.begin()
    assert done.wait(30)
    sweeper.stop()
    sweeper.begin()
    assert "the disk is full" in caplog.text
