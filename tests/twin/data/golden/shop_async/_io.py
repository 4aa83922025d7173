"""What waits, for asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

Waitable = Awaitable[_T]
Lock = threading.Lock
now = time.monotonic


async def pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def ticks(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class Wire:
    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[str] = []

    async def send(self, text: str) -> str:
        await asyncio.sleep(0)
        self.sent.append(text)
        return text.upper()

    async def close(self) -> None:
        self.sent.append("closed")


class Jobs:
    def start(self, run: Callable[[], Coroutine[Any, Any, _T]]) -> Waitable[_T]:
        return asyncio.ensure_future(run())
