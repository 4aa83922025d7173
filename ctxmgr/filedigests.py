"""Digests of files that travel: what the sender announces, compared with what came, and what an upload announces.

The standard library has no BLAKE3, which our service names every content by; without the package ``blake3`` a download
asks for a SHA-256 instead (RFC 9530). Object stores tell an MD5, which proves that no bit was flipped on the way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from .errors import ConnectionFailed

try:
    from blake3 import blake3 as _blake3
except ImportError:  # it comes with the extra `local`
    _blake3 = None  # type: ignore[assignment,misc]

__all__ = ["Arrival", "Departure", "content_digest", "is_intact", "repr_digest", "sha256_of", "wanted"]

_STEP = 1 << 20
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")
_GOOGLE_MD5 = re.compile(r"(?:^|,)\s*md5=([A-Za-z0-9+/=]+)")


def repr_digest(sha256: bytes) -> str:
    """Return a SHA-256 as the header ``Repr-Digest`` has it."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def sha256_of(header: str) -> bytes:
    """Return the SHA-256 in a header ``Repr-Digest``; nothing if it tells none.

    Raises:
        ValueError: it is no SHA-256.
    """
    found = _SHA256.search(header)
    return _base64(found[1], 32) if found else b""


def content_digest(body: bytes) -> str:
    """Return the header ``Content-Digest`` of a message (RFC 9530)."""
    return repr_digest(hashlib.sha256(body).digest())


def is_intact(body: bytes, told: str) -> bool:
    """Whether a message is the one that its header ``Content-Digest`` is of; one that has none may be anything."""
    try:
        digest = sha256_of(told)
    except ValueError:
        return False
    return not digest or digest == hashlib.sha256(body).digest()


def wanted() -> dict[str, str]:
    """Return the header that a download asks for a digest with."""
    return {} if _blake3 is not None else {"Want-Repr-Digest": "sha-256=1"}


class Arrival:
    """The digest of a file on its way in: the strongest that was announced and can be computed here.

    Args:
        headers: of the answer that brings it.

    Attributes:
        verified: whether ``check`` has compared one.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.verified = False
        self._name, self._announced, self._seen = _announced(headers)

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes into account."""
        if self._seen is not None:
            self._seen.update(piece)

    def check(self) -> None:
        """Compare the digest, if there is one.

        Raises:
            ConnectionFailed: the file is not the one that was sent.
        """
        if self._seen is None:
            return
        if self._seen.digest() != self._announced:
            raise ConnectionFailed(f"the file was damaged on its way: it does not have the {self._name} announced")
        self.verified = True


class Departure:
    """The digests of a file that is about to be sent. It is read to its end, and then back at its beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        while piece := file.read(_STEP):
            self._sha256.update(piece)
            self._md5.update(piece)
        file.seek(0)

    @property
    def headers(self) -> dict[str, str]:
        """What announces it: our service compares before it keeps anything, and an object store takes no notice."""
        return {"Repr-Digest": repr_digest(self._sha256.digest())}

    def verify(self, headers: Mapping[str, str]) -> bool:
        """Return whether the answer proves what was kept; an ``ETag`` that is another than the MD5 may be anything.

        Raises:
            ConnectionFailed: it proves that something else was.
        """
        kept = [(_sha256, self._sha256), (_md5, self._md5)]
        told = [(read(headers), sent.digest()) for read, sent in kept]
        if any(digest and digest != sent for digest, sent in told):
            raise ConnectionFailed("the file was damaged on its way: the server kept something else than was sent")
        etag = headers.get("ETag", "").strip('"').lower()
        return any(digest for digest, _ in told) or etag == self._md5.hexdigest()


def _announced(headers: Mapping[str, str]) -> tuple[str, bytes, Any]:
    if _blake3 is not None and (digest := _known(bytes.fromhex, headers.get("x-ctxmgr-blake3", ""), 32)):
        return "BLAKE3", digest, _blake3()
    if digest := _sha256(headers):
        return "SHA-256", digest, hashlib.sha256()
    if digest := _md5(headers):
        return "MD5", digest, hashlib.md5(usedforsecurity=False)
    return "", b"", None


def _sha256(headers: Mapping[str, str]) -> bytes:
    return _known(sha256_of, headers.get("Repr-Digest", ""), 32)


def _md5(headers: Mapping[str, str]) -> bytes:
    google = _GOOGLE_MD5.search(headers.get("x-goog-hash", ""))
    return _known(lambda text: _base64(text, 16), google[1] if google else headers.get("Content-MD5", ""), 16)


def _known(decode: Callable[[str], bytes], text: str, size: int) -> bytes:
    """Return what a header tells; nothing if that is no digest."""
    try:
        digest = decode(text)
    except ValueError:
        return b""
    return digest if len(digest) == size else b""


def _base64(text: str, size: int) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if len(digest) != size:
        raise ValueError(f"{len(digest)} bytes instead of {size}")
    return digest
