"""Signed URLs: who holds one may for a while read or write a file of a context, or read a revision; no more."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from ctxmgr.engine.workspace.durable import sync_directory
from ctxmgr.errors import DataFolderError, ServiceError

__all__ = ["CONTENTS", "DOWNLOAD", "UPLOAD", "VALID_SECONDS", "Grant", "Signer", "load_key", "new_key"]

UPLOAD, DOWNLOAD, CONTENTS = "PUT", "GET", "POST"
VALID_SECONDS = 3600
KEY_SIZE = 32
MAX_TOKEN = 16_384
_PURPOSE = b"ctxmgr file url 1\0"
_CHALLENGE = b"ctxmgr pack challenge 1\0"


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What one URL allows.

    Attributes:
        account: whose context it is; a URL grants nothing that the account has lost.
        context_id: the context.
        path: the file's, absolute in the context; ``/`` where any of its files may be read by POST.
        method: ``PUT``, ``GET``, which allows ``HEAD`` too, or ``POST``, which reads many files.
        expires: epoch seconds.
        revision: reads the file as it was then; 0 for as it is.
    """

    account: str
    context_id: str
    path: bytes
    method: str
    expires: int
    revision: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Grant).decode


class Signer:
    """Turns grants into tokens that nobody can make or change who has not got the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, grant: Grant) -> str:
        """Return the token that stands for a grant: text that any URL can hold as it is."""
        payload = _encode(grant)
        return f"{_text(payload)}.{_text(self._seal(payload))}"

    def grant(self, token: str, method: str) -> Grant:
        """Return the grant that a token stands for.

        Args:
            token: from a URL.
            method: the request's.

        Raises:
            ServiceError: ``ForbiddenUrl.Invalid``, ``ForbiddenUrl.Expired`` or ``ForbiddenUrl.Method``.
        """
        payload, _, seal = token[:MAX_TOKEN].partition(".")
        found, given = _bytes(payload), _bytes(seal)
        # The seal first: nothing is read out of what is not ours.
        if not hmac.compare_digest(self._seal(found), given):
            raise ServiceError("ForbiddenUrl.Invalid", "this URL was not made here, or was changed: ask for a new one")
        grant = _decode(found)
        if time.time() >= grant.expires:
            raise ServiceError(
                "ForbiddenUrl.Expired", f"this URL was valid for {VALID_SECONDS // 60} minutes: ask for a new one"
            )
        if method not in (("GET", "HEAD") if grant.method == DOWNLOAD else (grant.method,)):
            raise ServiceError("ForbiddenUrl.Method", f"this URL is for {grant.method}, and the request is a {method}")
        return grant

    def challenge(self, account: str, name: str) -> bytes:
        """Return the key with which an account proves that it has the pack of a name: 32 bytes that it can't guess."""
        return hmac.digest(self._key, _CHALLENGE + f"{account}\0{name}".encode(), sha256)

    def _seal(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + payload, sha256)


def new_key() -> bytes:
    """Return a key that nobody can guess."""
    return secrets.token_bytes(KEY_SIZE)


def load_key(file: Path) -> bytes:
    """Return the data folder's signing key, made once and for all processes that use the folder.

    Raises:
        DataFolderError: the file can't be used.
    """
    try:
        if not file.exists():
            _make_key(file)
        key = file.read_bytes()
    except OSError as error:
        raise DataFolderError(f"can't use {str(file)!r}, the key that signs file URLs: {error}") from error
    if len(key) != KEY_SIZE:
        raise DataFolderError(f"{str(file)!r} is no key that signs file URLs: it has {len(key)} bytes; remove it")
    return key


def _make_key(file: Path) -> None:
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(new_key())
            opened.flush()
            os.fsync(opened.fileno())
        # Unlike a rename, a link leaves the key alone that another process has made meanwhile.
        with suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        temporary.unlink()
    sync_directory(file.parent)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
