"""The heap of a command that moves content."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

__all__ = ["return_large_blocks"]

_M_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 1 << 20


def return_large_blocks() -> None:
    """Have a block of 1 MiB or more given back to the system as soon as it is freed, where the C library is glibc.

    Once such a block was freed, glibc by itself takes the next ones from its heap, where small blocks between them keep
    it from shrinking: a first upload would take a fourth more memory.
    """
    # Neither every Python has ctypes, nor every C library mallopt.
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
