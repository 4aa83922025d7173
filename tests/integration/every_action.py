"""A request of every action, with names in braces where what it is about comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["REQUESTS", "asked", "filled"]

_BINDING = [{"ContextId": "{context}", "Path": "/bound"}]

REQUESTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "BindContexts": ({"SessionId": "{session}", "PersistenceDataList": _BINDING},),
    "CheckStore": ({},),
    "ClearContext": ({"Id": "{context}"},),
    "CreateMcpSession": ({"PersistenceDataList": _BINDING},),
    "DeleteContext": ({"Id": "{context}"},),
    "DeleteContextFile": ({"ContextId": "{context}", "FilePath": "{path}"},),
    "DeleteSessionAsync": ({"SessionId": "{session}"}, {"SessionId": "{session}", "Force": "true"}),
    "DescribeContextFile": ({"ContextId": "{context}", "FilePath": "{path}"},),
    "DescribeContextFiles": ({"ContextId": "{context}", "ParentFolderPath": "/", "Recursive": "true"},),
    "DescribeRevision": ({"ContextId": "{context}"}, {"ContextId": "{context}", "Paths": ["{path}"]}),
    "DescribeSessionContexts": ({"SessionId": "{session}"},),
    "DiffRevisions": ({"ContextId": "{context}"}, {"ContextId": "{context}", "From": 0, "To": 1}),
    "ForkContext": ({"Id": "{context}", "Name": "forked"},),
    "GetAndLoadInternalContext": ({"SessionId": "{session}", "ContextTypes": ["browser"]},),
    "GetContext": ({"ContextId": "{context}"}, {"Name": "{name}"}),
    "GetContextContentsUrl": ({"ContextId": "{context}"},),
    "GetContextFileDownloadUrl": ({"ContextId": "{context}", "FilePath": "{path}"},),
    "GetContextFileUploadUrl": ({"ContextId": "{context}", "FilePath": "{path}"},),
    "GetContextInfo": (
        {"SessionId": "{session}"},
        {"SessionId": "{session}", "TaskIds": ["{task}"]},
        {"ContextId": "{context}"},
    ),
    "GetLabel": ({"SessionId": "{session}"},),
    "GetSession": ({"SessionId": "{session}"},),
    "GetSessionDetail": ({"SessionId": "{session}"},),
    "GetStoreStats": ({},),
    "ListContexts": ({"SessionId": "{session}"},),
    "ListRevisions": ({"ContextId": "{context}"}, {"ContextId": "{context}", "Counts": "true"}),
    "ListSession": ({},),
    "ModifyContext": ({"Id": "{context}", "Name": "another"},),
    "PlanSync": ({"SessionId": "{session}"},),
    "PruneContexts": ({}, {"ContextIds": ["{context}"], "Retention": {"keepLast": 1}}),
    "RefreshSessionIdleTime": ({"SessionId": "{session}"},),
    "ReleaseMcpSession": ({"SessionId": "{session}"},),
    "RestoreContext": ({"Id": "{context}", "Revision": 0},),
    "SetContextRetention": ({"Id": "{context}"}, {"Id": "{context}", "Retention": {"keepLast": 1}}),
    "SetLabel": ({"SessionId": "{session}", "Labels": {"taken": "over"}},),
    "SyncContext": (
        {"SessionId": "{session}"},
        {"SessionId": "{session}", "ContextId": "{context}", "Path": "/", "Mode": "download"},
    ),
    "UnbindContexts": ({"SessionId": "{session}", "ContextId": "{context}"},),
}
"""By action; the first request of each has all that the action can't do without."""


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """Return a request, or a part of one, with what it is about."""
    if isinstance(template, str):
        return values.get(template[1:-1], template) if template.startswith("{") else template
    if isinstance(template, Mapping):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return template


def asked() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every action with each of its requests."""
    for action, templates in REQUESTS.items():
        for template in templates:
            yield action, template
