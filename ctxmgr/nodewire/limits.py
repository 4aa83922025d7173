"""What holds for all messages: their bounds, and the codes of refusals that a node acts on."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCEPTED_BLOCK",
    "ACCEPTED_PATHS",
    "CONTENT",
    "CONTENT_TYPE",
    "DAMAGED",
    "HEAD_MOVED",
    "MAX_BODY",
    "MAX_DIGESTS",
    "MAX_PACKED",
    "MAX_PACKS",
    "MAX_PARTS",
    "MAX_PLACES",
    "MAX_PLAN",
    "MAX_URLS",
    "NODE_CONFLICT",
    "PIECE_BYTES",
    "READ_BYTES",
    "TASK_INTERRUPTED",
    "VERSION",
]

VERSION: Final = 1
CONTENT_TYPE: Final = "application/msgpack"

MAX_BODY: Final = 1_000_000
"""Bytes of a request's body: below what proxies let through by default."""
PIECE_BYTES: Final = 900_000
"""Bytes of one piece that is staged, and of what may stand inline in ``pack`` and ``commit``."""
READ_BYTES: Final = 8 << 20
"""Bytes that one ``read`` may ask for."""
MAX_DIGESTS: Final = 20_000
"""Chunks that one ``missing`` or ``locate`` may ask about."""
MAX_PLACES: Final = 8_000
"""Places that one ``read`` may name."""
MAX_PACKS: Final = 10_000
"""Packs that one ``unchanged`` may name."""
MAX_URLS: Final = 1_000
"""Packs that one ``get_urls`` may name."""
MAX_PACKED: Final = 64 << 20
"""Bytes that come out of one packed field at most: a page of entries is about 4 MiB, and one entry may be larger."""
ACCEPTED_BLOCK: Final = 64 << 20
"""Bytes of one block of a commit's changes; writers keep them at some thousand paths or 1 MiB."""
ACCEPTED_PATHS: Final = 100_000
"""Paths in one block or page: each takes many times the memory of the few bytes that may stand for it."""
MAX_PLAN: Final = 16 << 20
"""Bytes that come out of the plan in an answer."""
MAX_PARTS: Final = 1_000
"""Bindings that one question is about."""

HEAD_MOVED: Final = "Head.Moved"
TASK_INTERRUPTED: Final = "Task.Interrupted"
NODE_CONFLICT: Final = "Node.Conflict"
DAMAGED: Final = "InvalidRequest.Damaged"
"""The code for a message that is not the one its header ``Content-Digest`` is of: to be sent again."""
CONTENT: Final = "Content.Unusable"
"""The code of an engine's ``ContentError``: stored content is missing or damaged, or can't be stored."""
