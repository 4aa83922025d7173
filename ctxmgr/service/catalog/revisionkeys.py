"""What tells a revision of a context from others of its number, in another life of the catalog."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["revision_key"]


def revision_key(context_id: str, number: int, created_ms: int, task_id: str, workspace: str, note: str) -> str:
    """Return a text that names a revision by what its row says."""
    told = f"{context_id} {number} {created_ms} {task_id} {workspace} {note}"
    return blake2b(told.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
