"""The calls of the door for nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .content import (
    Digests,
    GetUrls,
    Locate,
    Lost,
    Missing,
    PackUrls,
    Places,
    PutUrl,
    Read,
    Stage,
    Staged,
    StorePack,
    UploadUrl,
)
from .contexts import Changes, ChangesPage, EntriesPage, Held, Key, KeyOf, Truth, Unchanged, Uploaded
from .message import Done, Message
from .sessions import Attach, Attached, Hello, Leave, QuestionAnswer, Take, Taken, Welcome
from .tasks import Commit, Fail, PolicyOf, PolicyText, Report, Start

__all__ = ["CALLS", "READ"]

READ: Final = "read"

CALLS: Final[Mapping[str, tuple[type[Message], type[Message] | None]]] = {
    "hello": (Hello, Welcome),
    "attach": (Attach, Attached),
    "take": (Take, Taken),
    "leave": (Leave, Done),
    "start": (Start, Done),
    "progress": (Report, Done),
    "fail": (Fail, Done),
    "policy": (PolicyOf, PolicyText),
    "changes": (Changes, ChangesPage),
    "uploaded": (Uploaded, EntriesPage),
    "held": (Held, Truth),
    "key": (KeyOf, Key),
    "unchanged": (Unchanged, Truth),
    "lost": (Lost, Digests),
    "missing": (Missing, Digests),
    "locate": (Locate, Places),
    READ: (Read, None),
    "stage": (Stage, Staged),
    "pack": (StorePack, Done),
    "put_url": (PutUrl, UploadUrl),
    "get_urls": (GetUrls, PackUrls),
    "commit": (Commit, Done),
    "answer": (QuestionAnswer, Done),
}
"""By the name of a call, the message of its request and that of its answer; None for raw bytes."""
