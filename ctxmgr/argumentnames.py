"""What the service calls a parameter and a Python program an argument: errors name what the reader can change."""

from __future__ import annotations

import re

__all__ = ["naming_arguments"]

#: Only the beginning of a message is the service's own for certain: what follows may quote anything.
_BEGINNING = re.compile(r"the parameter(s?) (a name in )?([A-Za-z]+(?:\.[A-Za-z]+)*)(?: and ([A-Z][A-Za-z]+))?")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_NAMES = {
    "AllowCreate": "create",
    "FilePath": "path",
    "FilePaths": "paths",
    "Id": "context",
    "ParentFolderPath": "parent",
    "PersistenceDataList": "bind",
    "deletePolicy": "delete",
    "downloadPolicy": "download",
    "downloadStrategy": "strategy",
    "extractPolicy": "extract",
    "extractToCurrentFolder": "extract_current_folder",
    "mappingPolicy": "mapping",
    "recyclePolicy": "recycle",
    "uploadMode": "mode",
    "uploadPolicy": "upload",
    "uploadStrategy": "strategy",
}


def naming_arguments(message: str) -> str:
    """Return an error's message with the names of Python's arguments in place of the protocol's parameters.

    >>> naming_arguments("the parameter ContextId is 7, and must be a text")
    'the argument context_id is 7, and must be a text'
    """
    return _BEGINNING.sub(_named, message, count=1) if _BEGINNING.match(message) else message


def _named(found: re.Match[str]) -> str:
    plural, part, first, second = found.groups()
    names = [_argument(name) for name in (first, second) if name]
    return f"the argument{plural} {part or ''}{' and '.join(names)}"


def _argument(name: str) -> str:
    return ".".join(_NAMES.get(part) or _CAPITAL.sub("_", part).lower() for part in name.split("."))
