"""What waits, blocking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Annotated, TypeVar

_T = TypeVar("_T")

Waitable = Annotated[_T, "ready at once"]
Lock = threading.Lock
now = time.monotonic


def pause(seconds: float) -> None:
    time.sleep(seconds)


def ticks(count: int) -> Iterator[int]:
    yield from range(count)


class Wire:
    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[str] = []

    def send(self, text: str) -> str:
        self.sent.append(text)
        return text.upper()

    def close(self) -> None:
        self.sent.append("closed")


class Jobs:
    def start(self, run: Callable[[], _T]) -> Waitable[_T]:
        return run()
