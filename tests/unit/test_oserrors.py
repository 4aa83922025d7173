"""What the system's errors are told as."""

from __future__ import annotations

import errno
import os

import pytest

from ctxmgr.oserrors import described


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "No space left on device; make room on that disk, and try again"),
        (errno.EACCES, "Permission denied; give this user the right to it, or leave it out"),
        (errno.ELOOP, "Too many levels of symbolic links"),
    ],
)
def test_what_the_system_said_comes_with_what_to_do(number: int, told: str) -> None:
    assert described(OSError(number, os.strerror(number), "/file")) == told


def test_an_error_without_a_number_is_told_as_it_is() -> None:
    assert described(OSError("cannot read")) == "cannot read"
