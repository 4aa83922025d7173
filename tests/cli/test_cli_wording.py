"""How things are told."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr.cli.output import counted, moment, one_line, quoted, shown, size_of


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plain name.txt", "plain name.txt"),
        ("naïve 猫", "naïve 猫"),
        ("new\nline\ttab\rreturn", "new\\nline\\ttab\\rreturn"),
        ("back\\slash", "back\\\\slash"),
        (os.fsdecode(b"bad\xff"), "bad\\xff"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_a_name_is_shown_on_one_line_without_control_sequences(name: str, told: str) -> None:
    assert shown(name) == told


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_different_names_are_shown_differently(one: bytes, other: bytes) -> None:
    first, second = shown(os.fsdecode(one)), shown(os.fsdecode(other))
    assert first.isprintable()
    assert (first == second) == (one == other)


def test_a_long_name_is_cut_short_in_a_sentence() -> None:
    assert quoted("short") == "'short'"
    assert quoted("x" * 500) == f"'{'x' * 80}…'"


def test_a_message_is_one_line() -> None:
    assert one_line("a\n  b\x1b[2J") == "a b\\x1b[2J"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345, "12.3 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5_000_000_000, "5.0 GB"),
        (2_500_000_000_000_000, "2.5 PB"),
    ],
)
def test_sizes(number: int, told: str) -> None:
    assert size_of(number) == told


def test_counts() -> None:
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_a_time_that_no_calendar_holds_is_told_as_it_is() -> None:
    assert moment(0) is None
    assert moment(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert moment(10**30) == str(10**30)
