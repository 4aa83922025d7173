"""Which files are synced, and where in the context they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

import attrs

from ctxmgr.errors import ArgumentError, ArgumentTypeError

from .fields import Policy, are_texts, collected, is_flag, is_text, named, refuse_wildcards, texts

__all__ = ["BWList", "MappingPolicy", "WhiteList"]

_ABSOLUTE = re.compile(r"/|[A-Za-z]:[\\/]")
_MAX_PATTERN = 1000


@attrs.frozen
class WhiteList(Policy):
    """A directory that is synced.

    Attributes:
        path: relative to the mount path; ``""`` is all of it. Or a regular expression (RE2's syntax) that the relative
            paths of such directories match as a whole.
        exclude_paths: what in it is not synced, relative to it, or regular expressions.
        is_path_regex: whether ``path`` is a regular expression.
        is_exclude_regex: whether ``exclude_paths`` are regular expressions.
    """

    path: str = attrs.field(default="", validator=is_text, metadata={"wire": "path"})
    exclude_paths: tuple[str, ...] = attrs.field(
        default=(), converter=texts, validator=are_texts, metadata={"wire": "excludePaths"}
    )
    is_path_regex: bool = attrs.field(default=False, validator=is_flag, metadata={"wire": "isPathRegex"})
    is_exclude_regex: bool = attrs.field(default=False, validator=is_flag, metadata={"wire": "isExcludeRegex"})

    def __attrs_post_init__(self) -> None:
        _check_names("WhiteList.path", (self.path,), self.is_path_regex, "is_path_regex")
        _check_names("WhiteList.exclude_paths", self.exclude_paths, self.is_exclude_regex, "is_exclude_regex")


def _check_names(name: str, texts: Iterable[str], is_regex: bool, flag: str) -> None:
    if not is_regex:
        refuse_wildcards(name, texts, f"give exact paths, or set {flag}=True")
    for text in texts:
        if is_regex and len(text) > _MAX_PATTERN:
            raise ArgumentError(
                f"{name} has {text[:40]!r}…; a regular expression has at most {_MAX_PATTERN} characters"
            )
        if not is_regex and ".." in re.split(r"[/\\]", text):
            raise ArgumentError(f"{name} has {text!r}; a path can't climb with '..'")


def _white_lists(value: Iterable[WhiteList]) -> tuple[WhiteList, ...]:
    return cast("tuple[WhiteList, ...]", collected(value))


def _are_white_lists(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, WhiteList) for item in value):
        raise ArgumentTypeError(f"{named(instance, attribute)} is {value!r}; it must be a list of WhiteList")


@attrs.frozen
class BWList(Policy):
    """What is synced: everything on one of the white lists, or everything where there are none.

    What is not on them is left alone on both sides.
    """

    white_lists: tuple[WhiteList, ...] = attrs.field(
        default=(), converter=_white_lists, validator=_are_white_lists, metadata={"wire": "whiteLists"}
    )

    @classmethod
    def _read(cls, field: attrs.Attribute[Any], value: Any) -> Any:
        return [WhiteList.from_wire(item) for item in value] if isinstance(value, list) else value


@attrs.frozen
class MappingPolicy(Policy):
    r"""Which other paths in the context appear at the mount path; what is uploaded goes back below them.

    Attributes:
        path: a path in the context, such as ``/home/me``, or one of Windows, such as ``c:\users\me``.
        more_paths: further ones (ctxmgr's own service only). Of two files with the same relative path the one of the
            first path is seen, and a new file goes where its directory is.
    """

    path: str = attrs.field(default="", validator=is_text, metadata={"wire": "path"})
    more_paths: tuple[str, ...] = attrs.field(
        default=(), converter=texts, validator=are_texts, metadata={"wire": "paths", "sent_empty": False}
    )

    def __attrs_post_init__(self) -> None:
        for path in filter(None, (self.path, *self.more_paths)):
            if not _ABSOLUTE.match(path):
                raise ArgumentError(
                    f"MappingPolicy has {path!r}; give an absolute path, such as '/home/me' or 'c:\\\\users\\\\me'"
                )
            if ".." in re.split(r"[/\\]", path):
                raise ArgumentError(f"MappingPolicy has {path!r}; a path can't climb with '..'")
