"""The checksums that an upload announces in its headers, compared with the bytes that come."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from blake3 import blake3

from ctxmgr.errors import ServiceError
from ctxmgr.filedigests import repr_digest, sha256_of

__all__ = ["Checksums"]


class Checksums:
    """Follows the bytes of one upload. What was not announced costs nothing.

    Args:
        headers: by lower-case name; ``content-md5`` (RFC 1864), ``repr-digest`` with a SHA-256 (RFC 9530) and
            ``x-ctxmgr-blake3`` (hexadecimal) are known.

    Raises:
        ServiceError: a header holds no checksum.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._expected: list[tuple[str, bytes, Any]] = []
        self._expect(headers, "content-md5", 16, _base64, lambda: hashlib.md5(usedforsecurity=False))
        self._expect(headers, "repr-digest", 32, sha256_of, hashlib.sha256)
        self._expect(headers, "x-ctxmgr-blake3", 32, bytes.fromhex, blake3)

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next bytes into account."""
        for _, _, seen in self._expected:
            seen.update(piece)

    def check(self) -> None:
        """Check that all bytes together have the announced checksums.

        Raises:
            ServiceError: ``InvalidContent.Checksum``.
        """
        for name, said, seen in self._expected:
            if seen.digest() != said:
                raise ServiceError(
                    "InvalidContent.Checksum",
                    f"the bytes that came do not have the checksum that {name} announced: send the file again",
                )

    @property
    def repr_digest(self) -> str:
        """Return the ``repr-digest`` of what came, if one was announced."""
        return next((repr_digest(seen.digest()) for name, _, seen in self._expected if name == "repr-digest"), "")

    def _expect(
        self,
        headers: Mapping[str, str],
        name: str,
        size: int,
        decode: Callable[[str], bytes],
        make: Callable[[], Any],
    ) -> None:
        text = headers.get(name, "").strip()
        if not text or (name == "repr-digest" and "sha-256" not in text):
            return
        try:
            said = decode(text)
        except ValueError:
            said = b""
        if len(said) != size:
            raise ServiceError(
                "InvalidParameter.Malformed", f"the header {name} is {text[:80]!r}, which is no checksum"
            )
        self._expected.append((name, said, make()))


def _base64(text: str) -> bytes:
    return base64.b64decode(text.encode(), validate=True)
