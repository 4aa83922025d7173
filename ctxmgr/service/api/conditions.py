"""Conditional requests and byte ranges on files, as RFC 9110 has them: pure decisions on headers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ctxmgr.errors import ServiceError

__all__ = ["byte_range", "check_conditions", "not_modified"]

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


def check_conditions(headers: Mapping[str, str], etag: str, *, reading: bool) -> None:
    """Check that what is there is what the request demands.

    Args:
        headers: the request's, by lower-case name.
        etag: of what is there; "" for nothing.
        reading: a reader's ``If-None-Match`` asks not to be sent what it has, and refuses nothing.

    Raises:
        ServiceError: ``InvalidFile.PreconditionFailed``.
    """
    if_match, if_none_match = headers.get("if-match", ""), headers.get("if-none-match", "")
    if if_match and not _matches(if_match, etag, weakly=False):
        raise _failed("If-Match", if_match, etag)
    if if_none_match and not reading and _matches(if_none_match, etag, weakly=True):
        raise _failed("If-None-Match", if_none_match, etag)


def not_modified(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the asker says that it has this content already."""
    if_none_match = headers.get("if-none-match", "")
    return bool(if_none_match) and _matches(if_none_match, etag, weakly=True)


def byte_range(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """Return the first byte that is asked for and the one after the last; ``None`` for the whole file.

    The whole is also given, as RFC 9110 allows, to who asks for several ranges or for something else than bytes.

    Raises:
        ServiceError: ``InvalidRange.NotSatisfiable``: the range begins behind the end.
    """
    text, if_range = headers.get("range", ""), headers.get("if-range", "")
    found = _RANGE.fullmatch(text)
    if found is None or (if_range and not _matches(if_range, etag, weakly=False)):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= size:
        raise ServiceError(
            "InvalidRange.NotSatisfiable", f"the file has {size} bytes, and the range {text[:60]!r} begins behind them"
        )
    return start, end


def _matches(header: str, etag: str, *, weakly: bool) -> bool:
    """Whether a list of entity tags, or ``*`` for anything that is there, names this one."""
    if not etag:
        return False
    for tag in header.split(","):
        candidate = tag.strip()
        if weakly:
            candidate = candidate.removeprefix("W/")
        # Some clients send a tag without its quotes.
        if candidate in ("*", etag, etag.strip('"')):
            return True
    return False


def _failed(name: str, value: str, etag: str) -> ServiceError:
    there = f"a file with the ETag {etag}" if etag else "no file"
    return ServiceError("InvalidFile.PreconditionFailed", f"{name} is {value[:80]!r}, and there is {there}")
