"""Messages about chunks and packs, and what is sent in pieces."""

from __future__ import annotations

import msgspec

from .message import Message, Number

__all__ = [
    "Digests",
    "GetUrls",
    "Locate",
    "Lost",
    "Missing",
    "PackUrls",
    "Places",
    "PutUrl",
    "Read",
    "Stage",
    "Staged",
    "StorePack",
    "UploadUrl",
]


class Digests(Message):
    """Names of chunks, 32 bytes each, joined."""

    digests: bytes


class Lost(Message):
    """Ask which chunks the head below paths refers to and which are not stored, or not to be trusted."""

    context: str
    paths: list[str]


class Missing(Digests):
    """Ask which of these chunks are to be stored: not there for this account, or not to be trusted where they lie."""


class Locate(Digests):
    """Ask where these chunks lie."""


class Places(Message):
    """Where chunks lie: packed ``[[digest, pack, offset, stored, length], ...]``; those that are nowhere are absent."""

    places: bytes


class Read(Message):
    """Ask for the stored form of chunks at ``[pack, offset, stored]``, answered with the bytes joined in this order."""

    places: list[tuple[str, Number, Number]]


class Stage(Message):
    """Send one piece of something large.

    Attributes:
        name: BLAKE3-256 of the whole, 64 hexadecimal digits.
        size: bytes of the whole.
        offset: where the piece begins; with an empty piece it is only asked what is there.
    """

    name: str
    size: int
    offset: int
    piece: bytes = b""


class Staged(Message):
    """How many bytes, from the first on, the service has; a piece that began elsewhere was not stored."""

    present: int


class StorePack(Message):
    """Store a pack: inline, or staged before under its name, or sent straight to the object store.

    Attributes:
        proof: of what was sent to the store, its BLAKE3-256 with the challenge of its ``UploadUrl`` as the key.
    """

    name: str
    size: int
    data: bytes = b""
    proof: bytes = b""


class PutUrl(Message):
    """Ask for a URL to which a pack can be sent by ``PUT``, straight to the object store; then ``pack`` stores it."""

    name: str


class UploadUrl(Message):
    """A presigned URL, a secret for the minutes that it is valid; "" where there is none, and ``stage`` is the way.

    Attributes:
        challenge: the key of the proof that ``pack`` brings.
    """

    url: str = ""
    challenge: bytes = b""


class GetUrls(Message):
    """Ask for URLs from which packs of this account can be read by ``GET``, straight from the object store."""

    packs: list[str]


class PackUrls(Message):
    """Presigned URLs, by pack, each a secret; packs that are to be asked of the service by ``read`` are absent.

    Attributes:
        seconds: that they are valid from now on.
    """

    urls: dict[str, str] = msgspec.field(default_factory=dict)
    seconds: int = 0
