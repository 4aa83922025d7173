"""Labels of sessions: short texts by name, which sessions are found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete

from .catalog import labels as label_rows
from .insertion import bulk_insert
from .parameters import Parameters, malformed, plain_text

__all__ = ["read_labels", "replace"]

MOST = 100
MAX_NAME = 255
MAX_VALUE = 4096


def read_labels(parameters: Parameters, name: str = "Labels") -> dict[str, str]:
    """Give the labels that a request carries as a JSON object; none where it carries none.

    Raises:
        ServiceError: they are too many or too long, or not texts.
    """
    given: Mapping[str, Any] = parameters.json_object(name) or {}
    if len(given) > MOST:
        raise malformed(name, f"an object of {len(given)}", f"an object of at most {MOST} labels")
    return {_checked(f"a name in {name}", key, MAX_NAME): _value(f"{name}[{key!r}]", given[key]) for key in given}


def replace(connection: Connection, session_id: str, labels: Mapping[str, str]) -> None:
    """Make these a session's labels, in place of those it had."""
    connection.execute(delete(label_rows).where(label_rows.c.session_id == session_id))
    bulk_insert(connection, label_rows, [(session_id, name, value) for name, value in labels.items()])


def _checked(what: str, text: str, most: int) -> str:
    if not text.strip() or len(text) > most:
        raise malformed(what, text, f"a text of 1 to {most} characters that is not blank")
    return plain_text(what, text)


def _value(what: str, value: object) -> str:
    text = plain_text(what, value)
    if len(text) > MAX_VALUE:
        raise malformed(what, text, f"a text of at most {MAX_VALUE} characters")
    return text
