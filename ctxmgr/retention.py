"""Which revisions of a context are kept when its history is pruned, in the words that restic's users know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from .errors import ArgumentError, ArgumentTypeError

__all__ = ["MAX_COUNT", "Retention", "seconds_of"]

MAX_COUNT: Final = 1_000_000
_DAY: Final = 24 * 3600
_UNITS: Final = {"y": 365 * _DAY, "m": 30 * _DAY, "w": 7 * _DAY, "d": _DAY, "h": 3600}
_SPAN: Final = re.compile(r"(?:[0-9]{1,6}[ymwdh])+")


def seconds_of(span: str) -> int:
    """Return the seconds of a span such as ``30d`` or ``1y6m``: years, months (30 days), weeks, days and hours.

    Raises:
        ArgumentError: it is none.
    """
    if not _SPAN.fullmatch(span):
        raise ArgumentError(f"the span of time {span!r} can't be read: write it as '30d', '12h' or '1y6m'")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([ymwdh])", span))


def _is_count(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"Retention.{attribute.name} is {value!r}; it must be a whole number")
    if not 0 <= value <= MAX_COUNT:
        raise ArgumentError(f"Retention.{attribute.name} is {value}; it must be from 0 to {MAX_COUNT}")


def _is_span(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"Retention.{attribute.name} is {value!r}; it must be a string")
    if value:
        seconds_of(value)


def _count() -> Any:
    return attrs.field(default=0, validator=_is_count)


@attrs.frozen(kw_only=True)
class Retention:
    """Which revisions of a context are kept; the rules add up, and the latest revision is always kept.

    Without any rule every revision is kept. Of an hour, a day, a week (from Monday), a month or a year, in UTC, the
    latest revision is kept, for so many of them in which there is one; the oldest one too, where there are fewer.

    Attributes:
        last: how many of the latest revisions.
        within: those made at most so long before the latest one, such as ``30d`` or ``1y6m``.
        hourly, daily, weekly, monthly, yearly: for how many hours, days and so on.
    """

    last: int = _count()
    within: str = attrs.field(default="", validator=_is_span)
    hourly: int = _count()
    daily: int = _count()
    weekly: int = _count()
    monthly: int = _count()
    yearly: int = _count()

    @property
    def keeps_everything(self) -> bool:
        """Whether there is no rule."""
        return self == Retention()

    def wire(self) -> dict[str, Any]:
        """Return the rules as JSON carries them, such as ``{"keepLast": 3}``."""
        return {_wired(name): value for name, value in attrs.asdict(self).items() if value}

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> Retention:
        """Read rules from JSON; what is absent or null is no rule.

        Raises:
            ArgumentError: something is no rule. It is not left out: less would be kept than was meant.
        """
        known = {_wired(field.name): field.name for field in attrs.fields(cls)}
        if not isinstance(document, Mapping) or not known.keys() >= document.keys():
            raise ArgumentError(f"the retention {document!r} can't be read: it is an object of {', '.join(known)}")
        return cls(**{known[name]: value for name, value in document.items() if value is not None})


def _wired(name: str) -> str:
    return f"keep{name.capitalize()}"
