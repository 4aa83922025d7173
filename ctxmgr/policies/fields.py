"""What all the parts of a policy have in common: how their values are checked, written and read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar, cast

import attrs

from ctxmgr.errors import ArgumentError, ArgumentTypeError

__all__ = ["Policy", "are_texts", "chosen", "collected", "is_flag", "is_text", "named", "refuse_wildcards", "texts"]

_WILDCARD = re.compile(r"[*?\[\]]")

_E = TypeVar("_E", bound=Enum)
_P = TypeVar("_P", bound="Policy")


def named(instance: object, attribute: attrs.Attribute[Any]) -> str:
    """Return what an error message calls a field."""
    return f"{type(instance).__name__}.{attribute.name}"


def is_flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Raise ``ArgumentTypeError`` unless a field is True or False."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{named(instance, attribute)} is {value!r}; it must be True or False")


def is_text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Raise ``ArgumentTypeError`` unless a field is a string."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{named(instance, attribute)} is {value!r}; it must be a string")


def are_texts(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Raise ``ArgumentTypeError`` unless a field is a tuple of strings."""
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ArgumentTypeError(f"{named(instance, attribute)} is {value!r}; it must be a list of strings")


def chosen(name: str, choices: type[_E], value: object) -> _E:
    """Return the choice that a value names, or is."""
    for choice in choices:
        if value == choice.value:
            return choice
    known = ", ".join(repr(choice.value) for choice in choices)
    raise ArgumentError(f"{name} is {value!r}; it must be one of {known}")


def texts(value: Iterable[str]) -> tuple[str, ...]:
    """Return a field's strings as a tuple."""
    return cast("tuple[str, ...]", collected(value))


def collected(value: object) -> object:
    """Take any collection for a list; what is none, a single string above all, is left to the validator."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) else value


def refuse_wildcards(name: str, texts: Iterable[str], instead: str) -> None:
    """Raise ``ArgumentError`` if a text has wildcards.

    Args:
        instead: what to write in their place.
    """
    for text in texts:
        if _WILDCARD.search(text):
            raise ArgumentError(f"{name} has {text!r}; wildcards (* ? [ ]) are not supported: {instead}")


@attrs.frozen(kw_only=True)
class Policy:
    """What all the parts of a policy have in common.

    Attributes:
        extra: what another client wrote and is not known here.
    """

    extra: Mapping[str, Any] = attrs.field(factory=dict, hash=False, repr=False, kw_only=True)

    def wire(self) -> dict[str, Any]:
        """Return the policy as JSON carries it (protocol: "Binding")."""
        document = dict(self.extra)
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if "wire" in field.metadata and (value or value is False or field.metadata.get("sent_empty", True)):
                document[field.metadata["wire"]] = _wired(value)
        return document

    @classmethod
    def from_wire(cls: type[_P], document: Mapping[str, Any]) -> _P:
        """Read the policy from JSON (protocol: "Binding"); what is absent or null has its default.

        Raises:
            ArgumentError: a value is none that the policy can have.
        """
        if not isinstance(document, Mapping):
            raise ArgumentTypeError(f"{cls.__name__} is read from {document!r}; it must be an object")
        rest = dict(document)
        found = {}
        for field in attrs.fields(cls):
            if "wire" in field.metadata and (value := rest.pop(field.metadata["wire"], None)) is not None:
                found[field.name] = cls._read(field, value)
        return cls(**found, extra=rest)

    @classmethod
    def _read(cls, field: attrs.Attribute[Any], value: Any) -> Any:
        """Return a field's value from its JSON."""
        return value


def _wired(value: object) -> object:
    if isinstance(value, Policy):
        return value.wire()
    if isinstance(value, tuple):
        return [_wired(item) for item in value]
    return value.value if isinstance(value, Enum) else value
