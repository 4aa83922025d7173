"""Pages of a listing that is ordered by (time, id), newest first, and the tokens that lead from one to the next."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, func, or_, select

from ctxmgr.engine.policy.values import malformed

__all__ = ["Page", "Position", "page_of", "read_position", "token_of"]

Position = tuple[int, str]


@dataclass(frozen=True)
class Page:
    """Some rows of a listing, the token of the next page ("" after the last), and the size of the whole listing."""

    rows: list[Any]
    next_token: str
    total: int


def page_of(connection: Connection, rows: Select[Any], table: Table, *, token: str, size: int) -> Page:
    """Read one page; the table's ``created_ms`` and ``id`` order it, so what is added meanwhile moves nothing."""
    total = connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one()
    if token:
        created, identifier = read_position(token)
        earlier = and_(table.c.created_ms == created, table.c.id < identifier)
        rows = rows.where(or_(table.c.created_ms < created, earlier))
    ordered = rows.order_by(table.c.created_ms.desc(), table.c.id.desc()).limit(size + 1)
    found = list(connection.execute(ordered))
    following = ""
    if len(found) > size:
        del found[size:]
        following = token_of((found[-1].created_ms, found[-1].id))
    return Page(found, following, total)


def token_of(position: Position) -> str:
    """Return the ``NextToken`` for what follows a position."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def read_position(token: str) -> Position:
    """Return the position a ``NextToken`` stands for.

    Raises:
        ServiceError: it is not a token that this service made.
    """
    try:
        number, text = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError):
        number, text = None, None
    if type(number) is not int or not isinstance(text, str) or not 0 <= number < 2**63 or "\0" in text:
        raise malformed("NextToken", token, "one that an earlier answer gave")
    return number, text
