"""Ids: made so that nobody guesses one, and recognisable by their prefix."""

from __future__ import annotations

import secrets

__all__ = ["CONTEXT_PREFIX", "new_id", "unlike_an_id"]

CONTEXT_PREFIX = "SdkCtx-"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a new id: the prefix and 110 random bits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(22))


def unlike_an_id(context_id: str) -> str:
    """Return what to add to an error about an unknown id if it can't be the id of a context; "" if it can."""
    if not context_id or context_id.startswith(CONTEXT_PREFIX):
        return ""
    return (
        f": that looks like a name, and ids look like {CONTEXT_PREFIX}…: get the context by its name, and take its id"
    )
