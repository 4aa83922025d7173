"""Ids: made so that nobody guesses one, and recognisable by their prefix."""

from __future__ import annotations

import secrets

__all__ = ["new_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Give a new id: the prefix and 110 random bits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(22))
