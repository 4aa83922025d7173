"""Messages about what a context has and had."""

from __future__ import annotations

import msgspec

from .message import Message, Number

__all__ = [
    "Changes",
    "ChangesPage",
    "EntriesPage",
    "Held",
    "Key",
    "KeyOf",
    "Truth",
    "Unchanged",
    "Uploaded",
]


class Changes(Message):
    """Ask what changed below paths of a context, one page of it.

    Attributes:
        paths: absolute, none in another.
        known: the revision that the asker has already; 0 for nothing.
        known_key: the key that came with it.
        at: 0 for the first page; later ones name the head that the first one told, and so are of one revision.
            ``InvalidRevision.NotFound`` if it is not there any more: begin anew.
        origin, after: ``next_origin`` and ``next_after`` of the page before.
    """

    context: str
    paths: list[str]
    known: Number = 0
    known_key: str = ""
    at: Number = 0
    origin: Number = 0
    after: bytes = b""


class ChangesPage(Message):
    """One page of what changed.

    Attributes:
        head: the revision that all pages are of, to be sent as ``at``.
        key: names that revision, so that a service restored from a backup is told apart. Other than on the first page:
            begin anew.
        full: ``known`` is not known here: everything comes, and what the asker has is to be forgotten.
        entries: packed ``[[path, Entry or None], ...]`` of the path numbered ``origin``, relative to it; None is what
            ended. Without the directories that are only implied by deeper mount paths.
        next_origin, next_after: where the next page goes on.
        in_the_way: files and links where a path above one of several has to be a directory; on the last page.
        end: this is the last page.
    """

    head: int
    key: str
    full: bool
    entries: bytes
    origin: int = 0
    next_origin: int = 0
    next_after: bytes = b""
    in_the_way: list[bytes] = msgspec.field(default_factory=list)
    end: bool = False


class Uploaded(Message):
    """Ask what a workspace has uploaded below a path after a revision, one page of it."""

    context: str
    path: str
    workspace: str
    revision: Number
    after: bytes = b""


class EntriesPage(Message):
    """One page of entries, packed as in ``ChangesPage``."""

    entries: bytes
    next_after: bytes = b""
    end: bool = False


class Held(Message):
    """Ask whether a context holds, or ever held, something at or below one of absolute paths."""

    context: str
    paths: list[bytes]


class KeyOf(Message):
    """Ask for the key of a revision, which tells it from others of its number, as before and after a restore."""

    context: str
    revision: Number


class Key(Message):
    """A revision's key; empty where the context has not come so far, None where it can't be told."""

    key: str | None


class Unchanged(Message):
    """Ask whether a revision is still the head of a context, and packs are as they were when they were stored.

    Attributes:
        key: the revision's.
        packs: the names of those that hold all its content below the paths.
    """

    context: str
    paths: list[str]
    revision: Number
    key: str
    packs: list[str]


class Truth(Message):
    """Yes or no."""

    value: bool
