"""Reads a request of the protocol out of what HTTP brought: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from ctxmgr.errors import ServiceError

from .limits import MAX_PARAMETERS

__all__ = ["ActionRequest", "base_url", "bearer", "read_action", "read_request"]

_FORM = "application/x-www-form-urlencoded"
_COMMON = ("Action", "Format", "Version", "Timestamp", "SignatureNonce", "Authorization")
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")


@dataclass(frozen=True)
class ActionRequest:
    """A request of the protocol.

    Attributes:
        key: the credential, "" where there is none; not shown.
        parameters: what the action takes.
    """

    action: str
    key: str = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)


def read_action(query: bytes, headers: Mapping[str, str]) -> str:
    """Return the action: it stands in the query or in ``x-acs-action``; "" where it is in neither."""
    try:
        return _parameters(query).get("Action") or headers.get("x-acs-action", "")
    except ServiceError:
        return headers.get("x-acs-action", "")


def read_request(query: bytes, headers: Mapping[str, str], body: bytes) -> ActionRequest:
    """Read a request.

    Args:
        query: each parameter stands in it or in the body, where both have it the body counts.
        headers: by lower-case name.
        body: a form.

    Raises:
        ServiceError: it is none, or has no action.
    """
    parameters = _parameters(query)
    if body:
        kind = headers.get("content-type", _FORM).partition(";")[0].strip().lower()
        if kind != _FORM:
            raise ServiceError(
                "InvalidParameter.Malformed", f"the body is {kind[:80]!r}: send the parameters as {_FORM}"
            )
        parameters.update(_parameters(body))
    action = parameters.get("Action") or headers.get("x-acs-action", "")
    if not action:
        raise ServiceError(
            "InvalidParameter.Missing", "the parameter Action is missing, and x-acs-action too: send one"
        )
    key = bearer(parameters.get("Authorization") or headers.get("authorization", ""))
    for name in _COMMON:
        parameters.pop(name, None)
    return ActionRequest(action, key, parameters)


def bearer(credential: str) -> str:
    """Return the key in a credential; "" where it holds none."""
    scheme, _, key = credential.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def base_url(scheme: str, headers: Mapping[str, str], server: tuple[str, int | None] | None) -> str:
    """Return the URL under which the client reached the service: what it called the host, else the socket's address."""
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        address, port = server or ("localhost", None)
        host = f"[{address}]" if ":" in address else address
        host += f":{port}" if port else ""
    return f"{scheme}://{host}"


def _parameters(text: bytes) -> dict[str, str]:
    # File names need not be UTF-8: os.fsencode gives back the bytes that were sent.
    decoded = text.decode("utf-8", "surrogateescape")
    try:
        pairs = parse_qsl(decoded, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise ServiceError(
            "InvalidParameter.Malformed", f"there are more than {MAX_PARAMETERS} parameters: send fewer"
        ) from None
    return dict(pairs)
