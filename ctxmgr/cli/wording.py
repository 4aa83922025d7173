"""How things are told to people: names with anything in them, sizes, counts and times."""

from __future__ import annotations

import time

__all__ = ["counted", "moment", "one_line", "quoted", "shown", "size_of"]

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONGEST = 80


def shown(name: str) -> str:
    """Return a path or name on one line, as C would write it: no control sequence of it reaches a terminal.

    A byte that is not UTF-8 is ``\\xff``, any other character that can't be seen ``\\u202e``.
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_SHORT.get(character) or _visible(character) for character in name)


def quoted(name: str) -> str:
    """Return a name in quotes for a sentence, cut short if it is very long."""
    text = shown(name)
    return f"'{text}'" if len(text) <= _LONGEST else f"'{text[:_LONGEST]}…'"


def one_line(text: str) -> str:
    """Return a message as one line without control sequences."""
    return "".join(_visible(character) for character in " ".join(text.split()))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode gives it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def size_of(number: int) -> str:
    """Return a number of bytes to three digits or so, in powers of 1000."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} PB"


def counted(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def moment(epoch: int) -> str | None:
    """Return epoch seconds as ISO 8601 in UTC, as the service writes its times; ``None`` for none."""
    if not epoch:
        return None
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    except (OverflowError, OSError, ValueError):
        return str(epoch)
