"""Actions on the labels of a session: set them, and read them."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any

from ctxmgr.errors import ServiceError

from . import labels, sessions
from .engine import Engine
from .paging import read_position, token_of
from .parameters import Parameters

__all__ = ["get_label", "set_label"]


def set_label(engine: Engine, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer SetLabel: the labels take the place of those the session had; an empty object takes them all away."""
    session_id = parameters.required("SessionId")
    if not parameters.text("Labels"):
        raise ServiceError("InvalidParameter.Missing", "the parameter Labels is missing: send a JSON object")
    given = labels.read_labels(parameters)
    with engine.catalog.write() as connection:
        sessions.find_live(connection, account, session_id)
        labels.replace(connection, session_id, given)
    return {}


def get_label(engine: Engine, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetLabel: a session's labels, by name; in pages where MaxResults asks for them."""
    session_id = parameters.required("SessionId")
    size = parameters.number("MaxResults", labels.MOST, least=1, most=labels.MOST)
    token = parameters.text("NextToken")
    with engine.catalog.read() as connection:
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
