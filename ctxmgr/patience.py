"""How long an answer may take, and how large it may become: a peer that drips or floods is given up."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterable, Iterator

__all__ = ["LEAST_MOVED", "MAX_ANSWER", "Patience", "unpacked"]

MAX_ANSWER = 64 << 20
"""Bytes of an answer at most, as it comes and as it unpacks: a page of 1,000 files has less than a tenth of that."""

LEAST_MOVED = 64 << 10
"""Bytes of a file that must move within each answer time-out: less is a peer that drips."""

_STEP = 1 << 16
_MAX_ENCODINGS = 2
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Patience:
    """The time that an answer may still take. It begins to run when it is first asked for.

    Args:
        seconds: in all; with ``renewed_by``, until that many bytes have moved.
        within: seconds from now on, whatever moves.
        renewed_by: bytes that give the answer its time anew.
    """

    def __init__(self, seconds: float, *, within: float = math.inf, renewed_by: float = math.inf) -> None:
        self._seconds = seconds
        self._renewed_by = renewed_by
        self._moved = 0
        self._last = time.monotonic() + within
        self._end: float | None = None

    def left(self) -> float:
        """Return the seconds that are left; none if it is not positive."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._seconds
        return min(self._end, self._last) - now

    def moved(self, count: int) -> None:
        """Take note of bytes that moved."""
        self._moved += count
        if self._moved >= self._renewed_by:
            self._moved = 0
            self._end = None


def unpacked(body: bytes, encodings: str) -> bytes:
    """Return a body without its content encodings (RFC 9110, 8.4); what it expands to is bounded at every step.

    Raises:
        ValueError: it can't be unpacked, or becomes larger than ``MAX_ANSWER``.
    """
    names = [name for name in (each.strip().lower() for each in encodings.split(",")) if name not in ("", "identity")]
    if not names or not body:
        return body
    if len(names) > _MAX_ENCODINGS or not set(names) <= _WINDOWS.keys():
        raise ValueError(f"its content encoding is {encodings[:40]!r}, which was not asked for")
    pieces: Iterable[bytes] = (body,)
    for name in reversed(names):
        pieces = _inflated(pieces, name)
    try:
        return b"".join(pieces)
    except zlib.error:
        raise ValueError(f"it is not {encodings[:40]}, as its content encoding says") from None


def _inflated(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    inflater, size = None, 0
    for piece in pieces:
        if inflater is None:
            # Some servers send deflate without the zlib header that belongs to it.
            bare = name == "deflate" and piece[0] & 0xF != zlib.DEFLATED
            inflater = zlib.decompressobj(-zlib.MAX_WBITS if bare else _WINDOWS[name])
        found = b"-"
        while (found or piece) and not inflater.eof:
            found, piece = inflater.decompress(piece, _STEP), inflater.unconsumed_tail
            size += len(found)
            if size > MAX_ANSWER:
                raise ValueError(f"it unpacks to more than {MAX_ANSWER >> 20} MiB")
            if found:
                yield found
    if inflater is None or not inflater.eof:
        raise ValueError(f"it ends in the middle of its {name}")
