"""What every message is."""

from __future__ import annotations

import msgspec

__all__ = [
    "Done",
    "Message",
]


class Message(msgspec.Struct, omit_defaults=True):
    """One message, on the wire a map by the names of the fields."""


class Done(Message):
    """It is done."""
