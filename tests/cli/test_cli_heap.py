"""What a command gives back of the memory that content took."""

from __future__ import annotations

import platform

import pytest

from tests.support.programs import output_of

PROGRAM = """
from ctxmgr.cli.heap import return_large_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

return_large_blocks()
before = resident()
pack = bytearray(24 << 20)
del pack
large, small = [], []
for _ in range(20):
    large.append(bytearray(2 << 20))
    small.append([bytearray(1000) for _ in range(100)])
held = resident()
del large
print(held - before, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is set is glibc's")
def test_large_blocks_are_given_back_though_small_ones_came_between() -> None:
    held, left = map(int, output_of(PROGRAM).split())
    assert held > 40 << 20
    assert left < 8 << 20
