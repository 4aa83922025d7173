"""A thread that does a job now and then, for what nobody waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from ctxmgr.reasons import reason

__all__ = ["Sweeper"]

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_SWEEPS: Final = 900.0
STOP_TIMEOUT: Final = 3.0


class Sweeper:
    """A thread that does a job now and then; there is none until it is needed."""

    def __init__(self, job: Callable[[], object], work: str) -> None:
        """Sweep by a job; what it raises is logged, and it is tried again the next time.

        Args:
            job: does the work.
            work: what can't be done when it fails, as ``recycle files``.
        """
        self._job = job
        self._work = work
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Sweep from now on; again is allowed."""
        with self._guard:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="ctxmgr-sweeper", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Sweep no more, and wait a moment for a sweep that runs."""
        with self._guard:
            self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._job()
            except Exception as error:
                if not self._stopped.is_set():
                    logger.warning("can't %s: %s", self._work, reason(error))
            self._stopped.wait(SECONDS_BETWEEN_SWEEPS)
