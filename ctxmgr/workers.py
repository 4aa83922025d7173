"""A small pool of threads that runs jobs: those of one key in order, those of different keys side by side."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Workers"]


class Workers:
    """Daemon threads, made when they are first needed: the interpreter never waits for them at its exit."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._state = threading.Condition()
        self._jobs: dict[str, deque[Callable[[], None]]] = {}
        self._ready: deque[str] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._running = 0
        self._closed = False

    def submit(self, key: str, job: Callable[[], None]) -> bool:
        """Queue a job, which must not raise, after the others of its key; False when the pool is closed."""
        with self._state:
            if self._closed:
                return False
            if key in self._jobs:
                self._jobs[key].append(job)
                return True
            self._jobs[key] = deque([job])
            self._ready.append(key)
            if self._idle < len(self._ready) and len(self._threads) < self._count:
                thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads) + 1}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._state.notify_all()
            return True

    def close(self) -> None:
        """Take no more jobs and forget those that have not begun."""
        with self._state:
            self._closed = True
            self._ready.clear()
            self._state.notify_all()

    def wait(self, timeout: float) -> bool:
        """Wait, after close, until what was running has ended; False when the time, in seconds, is over before."""
        with self._state:
            return self._state.wait_for(lambda: self._running == 0, timeout)

    def _work(self) -> None:
        while True:
            with self._state:
                self._idle += 1
                self._state.wait_for(lambda: self._ready or self._closed)
                self._idle -= 1
                if self._closed:
                    return
                key = self._ready.popleft()
                job = self._jobs[key].popleft()
                self._running += 1
            try:
                job()
            finally:
                with self._state:
                    self._running -= 1
                    if self._jobs[key]:
                        self._ready.append(key)
                    else:
                        del self._jobs[key]
                    self._state.notify_all()
