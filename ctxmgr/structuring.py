"""Makes objects of the protocol's JSON with cattrs, and tells what does not fit as a path in the document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from .errors import ArgumentError, ProtocolError
from .results import (
    AffectedFile,
    Conflict,
    Context,
    ContextBinding,
    ContextFile,
    ContextStats,
    ContextStatusData,
    ExcludedPath,
    FileChange,
    FileVersion,
    PlannedChange,
    PrunedContext,
    PruneResult,
    Revision,
    SessionInfo,
    StoreCheckResult,
    StoreDamage,
    StoreStatsResult,
)
from .retention import Retention

__all__ = [
    "CreatedSession",
    "EntryData",
    "FileUrlData",
    "LabelsData",
    "PlanData",
    "SessionDetail",
    "TransferData",
    "kind_of",
    "structure",
    "structure_dict",
    "structure_list",
]

_T = TypeVar("_T")


@attrs.frozen
class PlanData:
    """The ``Data`` of PlanSync (ext of ctxmgr's service)."""

    changes: list[PlannedChange]
    unchanged: int
    skipped: tuple[tuple[str, str], ...]
    kept_local: int = 0
    conflicts: tuple[Conflict, ...] = ()
    excluded: tuple[ExcludedPath, ...] = ()
    excluded_total: int = 0
    refusal: str = ""


@attrs.frozen
class CreatedSession:
    """The ``Data`` of CreateMcpSession, as far as it matters here.

    Attributes:
        root: the directory the session works in, where the service says (ext of ctxmgr's service).
    """

    session_id: str
    root: str = ""


@attrs.frozen
class SessionDetail:
    """The ``Data`` of GetSessionDetail, as far as it matters here."""

    status: str = ""
    end_reason: str = ""


@attrs.frozen
class FileUrlData:
    """The ``Data`` of GetContextFileUploadUrl and GetContextFileDownloadUrl."""

    url: str
    expire_time: int = 0


@attrs.frozen
class EntryData:
    """One item of the ``Data`` of DescribeRevision: a path that a context held, and what proves it."""

    path: str
    type: str
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""


@attrs.frozen
class TransferData:
    """What is known of a file that has travelled."""

    size: int
    digest: str = ""
    revision: int = 0
    verified: bool = False


@attrs.frozen
class LabelsData:
    """The ``Data`` of GetLabel: a JSON object as a string."""

    labels: str = ""


def structure(value: Any, kind: type[_T], path: str = "Data") -> _T:
    """Make an object of the protocol from its JSON.

    Raises:
        ProtocolError: it does not fit; the text names the path in the document, what is there and what should be.
    """
    try:
        return _converter.structure(value, kind)
    except Exception as error:
        raise ProtocolError("; ".join(_problems(error, path, kind)) or f"{path}: {error}") from error


def structure_list(value: Any, kind: type[_T], path: str = "Data") -> list[_T]:
    """Make a list of objects of the protocol from its JSON; ``None`` is an empty list.

    Raises:
        ProtocolError: as ``structure``.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise ProtocolError(f"{path} is {kind_of(value)}, not a list")
    return [structure(item, kind, f"{path}[{index}]") for index, item in enumerate(value)]


def structure_dict(text: str, path: str) -> dict[str, str]:
    """Make a dict of strings from a JSON object in a string; an empty string is an empty dict.

    Raises:
        ProtocolError: it is none.
    """
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ProtocolError(f"{path} decodes to {kind_of(value)}, not an object of strings")
    return value


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value, for an error's text."""
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "missing" if value is None else type(value).__name__)


def _problems(error: BaseException, path: str, kind: type[Any] | None) -> Iterator[str]:
    """Walk cattrs' tree of failures and tell each as a path of wire names."""
    if isinstance(error, cattrs.ClassValidationError):
        names = _WIRE_NAMES.get(kind, {}) if kind else {}
        for inner, note in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}.{names.get(note.name, note.name)}", note.type)
    elif isinstance(error, cattrs.IterableValidationError):
        for inner, place in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}[{place.index}]", place.type)
    else:
        yield f"{path}: {'it is missing' if isinstance(error, KeyError) else error}"


def _strict(expected: type[_T], default: _T, accepts: Callable[[Any], bool]) -> Callable[[Any, Any], _T]:
    def hook(value: Any, _: Any) -> _T:
        if value is None:
            return default
        if not accepts(value):
            raise ValueError(f"expected {expected.__name__}, found {kind_of(value)}")
        return value  # type: ignore[no-any-return]  # accepts() has just looked

    return hook


def _integer(value: Any, _: Any) -> int:
    """Accept epoch seconds as a number or as digits: peers write both."""
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"expected int, found {kind_of(value)}")
    return int(value)


def _pairs(value: Any, _: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise ValueError("expected a list of pairs")
    return tuple((str(path), str(reason)) for path, reason in value)


def _retention(value: Any, _: Any) -> Retention:
    try:
        return Retention.from_wire(value or {})
    except ArgumentError as error:
        raise ValueError(str(error)) from error


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


_IN_PASCAL = (
    *(AffectedFile, ContextStats, PrunedContext, StoreDamage),
    *(PruneResult, StoreCheckResult, StoreStatsResult),
)
_WIRE_NAMES: dict[type[Any], dict[str, str]] = {
    **{kind: {field.name: _pascal(field.name) for field in attrs.fields(kind)} for kind in _IN_PASCAL},
    Conflict: {field.name: _camel(field.name) for field in attrs.fields(Conflict)},
    ContextStatusData: {field.name: _camel(field.name) for field in attrs.fields(ContextStatusData)},
    Context: {
        "id": "Id",
        "name": "Name",
        "state": "State",
        "os_type": "OsType",
        "create_time": "CreateTime",
        "last_used_time": "LastUsedTime",
    },
    ContextFile: {
        "id": "FileId",
        "name": "FileName",
        "path": "FilePath",
        "type": "FileType",
        "size": "Size",
        "create_time": "GmtCreate",
        "modify_time": "GmtModified",
        "status": "Status",
        "revision": "Revision",
        "mode": "Mode",
        "digest": "Digest",
        "target": "Target",
    },
    ContextBinding: {
        "context_id": "ContextId",
        "context_name": "ContextName",
        "path": "Path",
        "policy": "Policy",
        "bind_time": "BindTime",
    },
    PlannedChange: {
        "path": "path",
        "action": "action",
        "size": "size",
        "kind": "kind",
        "context_id": "contextId",
        "mount": "mount",
    },
    ExcludedPath: {name: name for name in ("path", "pattern", "source", "line", "mount")},
    PlanData: {
        "changes": "Changes",
        "unchanged": "Unchanged",
        "skipped": "Skipped",
        "kept_local": "KeptLocal",
        "conflicts": "Conflicts",
        "excluded": "Excluded",
        "excluded_total": "ExcludedTotal",
        "refusal": "Refusal",
    },
    CreatedSession: {"session_id": "SessionId", "root": "Root"},
    FileUrlData: {"url": "Url", "expire_time": "ExpireTime"},
    TransferData: {"size": "Size", "digest": "Digest", "revision": "Revision", "verified": "Verified"},
    LabelsData: {"labels": "Labels"},
    Revision: {
        "number": "Revision",
        "create_time": "CreateTime",
        "note": "Note",
        "task_id": "TaskId",
        "current": "Current",
        "workspace": "Workspace",
        "directory": "Directory",
        "host": "Host",
        "added": "Added",
        "changed": "Changed",
        "deleted": "Deleted",
        "bytes": "Bytes",
    },
    FileVersion: {
        "type": "Type",
        "size": "Size",
        "mode": "Mode",
        "mtime_ns": "MtimeNs",
        "digest": "Digest",
        "target": "Target",
    },
    FileChange: {"path": "Path", "change": "Change", "before": "Before", "after": "After"},
    EntryData: {
        "path": "Path",
        "type": "Type",
        "mode": "Mode",
        "mtime_ns": "MtimeNs",
        "size": "Size",
        "digest": "Digest",
        "target": "Target",
    },
    SessionDetail: {"status": "Status", "end_reason": "EndReason"},
    SessionInfo: {"session_id": "SessionId", "status": "SessionStatus"},
}


def _object(kind: type[_T], converter: cattrs.Converter) -> Callable[[Any, Any], _T]:
    renames = {attribute: override(rename=wire) for attribute, wire in _WIRE_NAMES[kind].items()}
    read = make_dict_structure_fn(kind, converter, **renames)  # type: ignore[arg-type]  # cattrs types **kwargs by its own options

    def hook(value: Any, _: Any) -> _T:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {kind_of(value)}")
        return read(value, kind)

    return hook


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _strict(str, "", lambda value: isinstance(value, str)))
    converter.register_structure_hook(bool, _strict(bool, False, lambda value: isinstance(value, bool)))
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(Retention, _retention)
    converter.register_structure_hook_func(lambda kind: kind == tuple[tuple[str, str], ...], _pairs)
    # Made when it is first needed: most programs meet few of them, and making all would be a part of every start.
    converter.register_structure_hook_factory(_WIRE_NAMES.__contains__, _object)
    return converter


_converter = _make_converter()
