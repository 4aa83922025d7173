"""API keys: made once and shown once, kept as hashes, each opening one account."""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, insert, or_, select, update

from ctxmgr.errors import ServiceError

from .clock import now_ms
from .database import Catalog
from .errors import CatalogError
from .identifiers import new_id
from .schema import keys as key_rows

__all__ = ["Key", "Keys", "checked_account"]

PREFIX = "ctxmgr"
_NAMES = "names of keys"
MAX_NAME = 100
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Key:
    """A key as the catalog has it: everything but the key.

    Attributes:
        used_ms: when it was last used, to the minute; ``None`` if never.
        revoked_ms: when it was revoked; ``None`` while it is good.
    """

    id: str
    account: str
    name: str
    created_ms: int
    used_ms: int | None
    revoked_ms: int | None


class Keys:
    """The keys in a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def create(self, name: str, account: str) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: what people call it; no two keys that are good have the same.
            account: what it opens; the account is there as soon as a key names it.

        Returns:
            what is kept of it, and the key itself, which nobody can tell again.

        Raises:
            ServiceError: the name is taken, or it or the account can't be one.
        """
        checked_account(account)
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise ServiceError(
                "InvalidKey.Malformed",
                f"the key's name is {name[:MAX_NAME]!r}; it must be 1 to {MAX_NAME} characters that can be seen",
            )
        identifier = new_id("")[:10]
        # 256 random bits and more: no dictionary holds them, so hashing them slowly would only slow requests down.
        secret = new_id("") + new_id("") + new_id("")
        text = f"{PREFIX}-{identifier}-{secret}"
        key = Key(identifier, account, name, now_ms(), None, None)
        with self._catalog.write(_NAMES) as connection:
            taken = select(key_rows.c.id).where(key_rows.c.name == name, key_rows.c.revoked_ms.is_(None))
            if connection.execute(taken).first() is not None:
                raise ServiceError(
                    "InvalidKey.Duplicate", f"there is a key {name!r}: revoke it, or choose another name"
                )
            connection.execute(
                insert(key_rows).values(
                    id=key.id, account=account, name=name, hash=_hash(text), created_ms=key.created_ms
                )
            )
        return key, text

    def all(self) -> list[Key]:
        """Return all keys, also those that were revoked, oldest first."""
        with self._catalog.read() as connection:
            rows = connection.execute(select(key_rows).order_by(key_rows.c.created_ms, key_rows.c.id))
            return [_key(row) for row in rows]

    def revoke(self, which: str) -> Key:
        """Revoke a key.

        Args:
            which: its name or its id.

        Raises:
            ServiceError: there is no such key that is good.
        """
        with self._catalog.write() as connection:
            named = select(key_rows).where(or_(key_rows.c.name == which, key_rows.c.id == which))
            # A name may look like another key's id: the name counts, since it is what was chosen.
            good = connection.execute(named.where(key_rows.c.revoked_ms.is_(None))).all()
            if not good:
                raise ServiceError("InvalidKey.NotFound", f"there is no key {which!r} that could be revoked")
            row = next((row for row in good if row.name == which), good[0])
            now = now_ms()
            connection.execute(update(key_rows).where(key_rows.c.id == row.id).values(revoked_ms=now))
        return Key(row.id, row.account, row.name, row.created_ms, row.used_ms, now)

    def find(self, text: str) -> Key | None:
        """Return the key that a text is, if it is one and is good."""
        prefix, _, rest = text.partition("-")
        identifier, _, secret = rest.partition("-")
        if prefix != PREFIX or not secret or not text.isascii() or "\0" in text:
            return None
        with self._catalog.read() as connection:
            row = connection.execute(select(key_rows).where(key_rows.c.id == identifier)).one_or_none()
        # The id is public and finds the row; the secret is compared in a time that does not depend on it.
        if row is None or not hmac.compare_digest(row.hash, _hash(text)) or row.revoked_ms is not None:
            return None
        return _key(row)

    def note_use(self, key: Key) -> None:
        """Note that a key was used."""
        # That is worth knowing, but not worth failing for.
        with suppress(CatalogError), self._catalog.write() as connection:
            connection.execute(update(key_rows).where(key_rows.c.id == key.id).values(used_ms=now_ms()))


def checked_account(account: str) -> str:
    """Return an account's name if it can be one.

    Raises:
        ServiceError: it can't.
    """
    if not _ACCOUNT.fullmatch(account):
        raise ServiceError(
            "InvalidAccount.Malformed",
            f"the account is {account[:MAX_NAME]!r}; it must be 1 to 64 letters, digits, dots, dashes or underscores, "
            "beginning with a letter or digit",
        )
    return account


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _key(row: Row[Any]) -> Key:
    return Key(row.id, row.account, row.name, row.created_ms, row.used_ms, row.revoked_ms)
