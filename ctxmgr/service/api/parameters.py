"""The parameters of one request, read by name and type, or refused with what is wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ctxmgr.engine.policy.values import malformed, plain_text
from ctxmgr.errors import ServiceError

__all__ = ["Parameters"]


class Parameters:
    """A request's parameters. An empty text counts as absent, as AgentBay's SDKs send it.

    Attributes:
        base_url: where the door that took the request is reached, without a slash at the end; "" if it has no URLs.
        asked: the id of the question to a node for whose answer the request has waited; "" if there is none.
    """

    def __init__(self, raw: Mapping[str, str], *, base_url: str = "", asked: str = "") -> None:
        self._raw = raw
        self.asked = asked
        self.base_url = base_url

    def text(self, name: str, default: str = "") -> str:
        """Return a text, or the default."""
        return plain_text(name, self.file_name(name)) or default

    def file_name(self, name: str) -> str:
        """Return a text that may hold, as ``os.fsdecode`` does, bytes that are not UTF-8; "" where it is absent."""
        value: object = self._raw.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise malformed(name, value, "a text")
        if "\0" in value:
            raise malformed(name, value, "a text without NUL characters")
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            raise malformed(name, value, "a text that can be encoded") from None
        return value

    @classmethod
    def encoded(cls, name: str, text: str) -> bytes:
        """Return the bytes of a file's name that stands inside of a parameter."""
        return os.fsencode(cls({name: text}).file_name(name))

    def named(self, name: str) -> list[str]:
        """Return the names under which a parameter came: its own, or, as RPC spells lists and objects, ``name.1``."""
        return [sent for sent in self._raw if sent == name or sent.startswith(f"{name}.")]

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, sent as JSON or as ``name.1``, ``name.2`` and so on."""
        items = self.json_list(name) if name in self._raw else [self.text(sent) for sent in self.named(name)]
        return [plain_text(name, item) for item in items or []]

    def required(self, name: str) -> str:
        """Return a text that must be there."""
        value = self.text(name)
        if not value:
            raise ServiceError("InvalidParameter.Missing", f"the parameter {name} is missing: send it")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean: True, False, true or false."""
        value = self.text(name)
        if not value:
            return default
        if value.lower() not in ("true", "false"):
            raise malformed(name, value, "True, False, true or false")
        return value.lower() == "true"

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number; more than ``most`` counts as ``most``."""
        value = self.text(name)
        if not value:
            return default
        # The length first: Python refuses, with an error of its own, to read thousands of digits.
        if len(value) > 18 or not value.isascii() or not value.isdecimal() or int(value) < least:
            raise malformed(name, value, f"a whole number from {least}")
        return min(int(value), most)

    def json_list(self, name: str) -> list[Any] | None:
        """Return a JSON list, or None where the parameter is absent."""
        value = self._json(name)
        if value is not None and not isinstance(value, list):
            raise malformed(name, self.text(name), "a JSON list")
        return value

    def json_object(self, name: str) -> dict[str, Any] | None:
        """Return a JSON object, or None where the parameter is absent."""
        value = self._json(name)
        if value is not None and not isinstance(value, dict):
            raise malformed(name, self.text(name), "a JSON object")
        return value

    def _json(self, name: str) -> Any:
        value = self.text(name)
        if not value:
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise malformed(name, value, "JSON") from None
