"""What the adversarial cases start from: something for every way to wait."""

from __future__ import annotations

__all__ = ["HEAD"]

HEAD = """\
from __future__ import annotations
import attrs, contextlib, copy, enum, functools, itertools, json, operator, random, threading, time, types
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable
from ._io import Wire, pause
wire: Wire
class Plain:
    def send(self, text: str) -> str: return text
class Box:
    def go(self) -> str: return wire.send("a")
class Called:
    def __call__(self) -> None: pause(1)
class Rows:
    def __iter__(self) -> Iterator[int]:
        pause(1)
        yield 1
class Held:
    def __enter__(self) -> Held: pause(1); return self
    def __exit__(self, *e: object) -> None: ...
"""
