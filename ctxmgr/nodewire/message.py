"""What every message is."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["Done", "Message", "Number"]

Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""A number that any database takes."""


class Message(msgspec.Struct, omit_defaults=True):
    """One message, on the wire a map by the names of the fields."""


class Done(Message):
    """It is done."""
