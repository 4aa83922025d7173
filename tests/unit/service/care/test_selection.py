"""Which revisions a retention keeps: the rules that restic's users know, and what they never touch."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr import ArgumentError, ArgumentTypeError, Retention
from ctxmgr.retention import seconds_of
from ctxmgr.service.care.selection import Moment, kept

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS


def at(*texts: str) -> list[Moment]:
    """Revisions 1, 2, … made at these times, in UTC."""
    made = (datetime.fromisoformat(text).replace(tzinfo=timezone.utc) for text in texts)
    return [Moment(number, int(moment.timestamp() * 1000)) for number, moment in enumerate(made, 1)]


def rules_of(rules: dict[str, int]) -> Retention:
    return Retention.from_wire({f"keep{rule.capitalize()}": count for rule, count in rules.items()})


WEEK = at(
    "2026-03-01T10:00",  # Sunday
    "2026-03-01T22:00",
    "2026-03-02T08:00",  # Monday
    "2026-03-02T08:30",
    "2026-03-02T09:10",
    "2026-03-05T12:00",
    "2026-04-01T00:00",
)


@pytest.mark.parametrize(
    ("rules", "numbers"),
    [
        ({}, {1, 2, 3, 4, 5, 6, 7}),
        ({"last": 1}, {7}),
        ({"last": 3}, {5, 6, 7}),
        ({"last": 99}, {1, 2, 3, 4, 5, 6, 7}),
        ({"within": "1h"}, {7}),
        ({"within": "27d"}, {6, 7}),
        ({"within": "4w2d"}, {3, 4, 5, 6, 7}),
        ({"hourly": 3}, {7, 6, 5}),
        ({"hourly": 4}, {7, 6, 5, 4}),
        ({"daily": 3}, {7, 6, 5}),
        ({"daily": 4}, {7, 6, 5, 2}),
        ({"weekly": 2}, {7, 6}),
        ({"weekly": 3}, {7, 6, 2}),
        ({"monthly": 2}, {7, 6}),
        ({"yearly": 1}, {7}),
        ({"daily": 1, "last": 2, "monthly": 2}, {7, 6}),
    ],
)
def test_the_rules_keep_what_their_names_say(rules: dict[str, Any], numbers: set[int]) -> None:
    assert kept(WEEK, Retention(**rules)) == numbers


@pytest.mark.parametrize("rule", ["hourly", "daily", "weekly", "monthly", "yearly"])
def test_the_oldest_is_kept_while_a_rule_has_room(rule: str) -> None:
    assert kept(WEEK, rules_of({rule: 1000})) >= {1, 7}


@given(
    st.lists(st.integers(0, 400 * 24), max_size=30),
    st.fixed_dictionaries(
        {rule: st.integers(0, 4) for rule in ("last", "hourly", "daily", "weekly", "monthly", "yearly")}
    ),
)
def test_the_latest_is_always_kept_and_more_rules_never_keep_less(hours: list[int], rules: dict[str, int]) -> None:
    moments = [Moment(number, hour * HOUR_MS) for number, hour in enumerate(sorted(hours), 1)]
    found = kept(moments, rules_of(rules))
    assert found <= {moment.number for moment in moments}
    assert not moments or len(moments) in found
    if any(rules.values()):
        for rule, count in rules.items():
            if count:
                assert kept(moments, rules_of({rule: count})) <= found
        assert found >= {moment.number for moment in moments[len(moments) - rules["last"] :]}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 5))
def test_so_many_days_have_one_revision_each(days: list[int], count: int) -> None:
    moments = [Moment(number, day * DAY_MS) for number, day in enumerate(sorted(days), 1)]
    latest_of = {day: number for number, day in enumerate(sorted(days), 1)}
    wanted = [latest_of[day] for day in sorted(latest_of, reverse=True)[:count]]
    assert kept(moments, Retention(daily=count)) == {*wanted, *([1] if len(latest_of) < count else [])}


@pytest.mark.parametrize(
    ("span", "days"), [("30d", 30), ("2w", 14), ("1m", 30), ("1y6m", 365 + 180), ("12h", 0.5), ("1d12h", 1.5)]
)
def test_a_span_of_time_is_read(span: str, days: float) -> None:
    assert seconds_of(span) == days * 24 * 3600


@pytest.mark.parametrize("span", ["30", "d", "30 d", "-3d", "1.5d", "30D", "9999999d", "3d!"])
def test_a_span_that_is_none_is_refused(span: str) -> None:
    with pytest.raises(ArgumentError, match="30d"):
        Retention(within=span)


def test_a_count_that_is_none_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match=r"Retention.last is '3'"):
        Retention(last="3")  # type: ignore[arg-type]  # that is the test
    with pytest.raises(ArgumentError, match=r"Retention.daily is -1"):
        Retention(daily=-1)


def test_a_retention_is_read_as_it_was_written() -> None:
    written = Retention(last=3, within="30d", weekly=4).wire()
    assert written == {"keepLast": 3, "keepWithin": "30d", "keepWeekly": 4}
    assert Retention.from_wire(written) == Retention(last=3, within="30d", weekly=4)
    assert Retention.from_wire({}).keeps_everything
