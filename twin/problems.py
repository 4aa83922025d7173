"""What the generator refuses: a place in the source and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Problem", "Refused"]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that can't be twinned, where it stands, and what to do."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Refused(Exception):
    """The source can't be twinned; nothing was written.

    Attributes:
        problems: all of them, sorted by place.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
