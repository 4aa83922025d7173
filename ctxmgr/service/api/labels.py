"""Actions on the labels of a session: set them, and read them."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from ctxmgr.engine.policy.values import malformed, plain_text
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import labels, sessions
from ctxmgr.service.catalog.paging import read_position, token_of
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["get_label", "read_labels", "set_label"]


MOST = 100
MAX_NAME = 255
MAX_VALUE = 4096


def set_label(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer SetLabel: the labels take the place of those the session had; an empty object takes them all away."""
    session_id = parameters.required("SessionId")
    if not parameters.text("Labels"):
        raise ServiceError("InvalidParameter.Missing", "the parameter Labels is missing: send a JSON object")
    given = read_labels(parameters)
    with runtime.catalog.write() as connection:
        sessions.hold_live(connection, account, session_id)
        labels.replace(connection, session_id, given)
    return {}


def get_label(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetLabel: a session's labels, by name; in pages where MaxResults asks for them."""
    session_id = parameters.required("SessionId")
    size = parameters.number("MaxResults", MOST, least=1, most=MOST)
    token = parameters.text("NextToken")
    with runtime.catalog.read() as connection:
        found = sessions.find_live(connection, account, session_id).labels
    names = sorted(found)
    start = bisect_right(names, read_position(token)[1]) if token else 0
    end = start + size
    return {
        "Data": {"Labels": json.dumps({name: found[name] for name in names[start:end]})},
        "NextToken": token_of((0, names[end - 1])) if end < len(names) else "",
        "MaxResults": size,
        "TotalCount": len(names),
    }


def read_labels(parameters: Parameters, name: str = "Labels") -> dict[str, str]:
    """Return the labels that a request carries as a JSON object; none where it carries none.

    Raises:
        ServiceError: they are too many or too long, or not texts.
    """
    given: Mapping[str, Any] = parameters.json_object(name) or {}
    if len(given) > MOST:
        raise malformed(name, f"an object of {len(given)}", f"an object of at most {MOST} labels")
    return {_checked(f"a name in {name}", key, MAX_NAME): _value(f"{name}[{key!r}]", given[key]) for key in given}


def _checked(what: str, text: str, most: int) -> str:
    if not text.strip() or len(text) > most:
        raise malformed(what, text, f"a text of 1 to {most} characters that is not blank")
    return plain_text(what, text)


def _value(what: str, value: object) -> str:
    text = plain_text(what, value)
    if len(text) > MAX_VALUE:
        raise malformed(what, text, f"a text of at most {MAX_VALUE} characters")
    return text
