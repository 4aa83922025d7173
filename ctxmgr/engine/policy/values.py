"""Texts as any database keeps them, and the refusal of a value that is not what it must be."""

from __future__ import annotations

from ctxmgr.errors import ServiceError

__all__ = ["malformed", "plain_text"]

SHOWN = 120


def plain_text(name: str, value: object) -> str:
    """Return a text that any database keeps as it is.

    Raises:
        ServiceError: it is no text, or holds NUL or half a surrogate pair.
    """
    if not isinstance(value, str):
        raise malformed(name, value, "a text")
    if "\0" in value or (not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value)):
        raise malformed(name, value, "a text without NUL characters or halves of surrogate pairs")
    return value


def malformed(name: str, value: object, wanted: str) -> ServiceError:
    """Return the error for a value that is not what the parameter must be."""
    shown = repr(value)
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]}…"
    return ServiceError("InvalidParameter.Malformed", f"the parameter {name} is {shown}, and must be {wanted}")
