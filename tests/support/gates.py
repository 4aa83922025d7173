"""Syncs that stand still where a test wants them to, without a loop that sleeps for long."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.sync.task import Task

from .scripted import PATIENCE

__all__ = ["Gate"]

_BETWEEN_CHECKS = 0.01


class Gate:
    """Holds back every upload of this process once it has begun, until the gate is opened or the upload is stopped."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._begun = threading.Event()
        self._opened = threading.Event()
        upload: Any = Syncs._upload

        def held(syncs: Syncs, task: Task, root: str, monitor: Monitor) -> None:
            self._begun.set()
            while not self._opened.wait(_BETWEEN_CHECKS):
                monitor.check()
            upload(syncs, task, root, monitor)

        patch.setattr(Syncs, "_upload", held)

    @property
    def is_reached(self) -> bool:
        """Whether an upload is held back."""
        return self._begun.is_set()

    def wait(self) -> None:
        """Wait until an upload is held back."""
        assert self._begun.wait(PATIENCE), "no upload has begun"

    def open(self) -> None:
        """Let all uploads go on."""
        self._opened.set()
