"""A binding's policy: what of it is honoured, and the refusal of what is not implemented."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ctxmgr.errors import ServiceError

from .parameters import malformed

__all__ = ["Policy", "read_policy"]


@dataclass(frozen=True)
class Policy:
    """The parts of a policy that the service acts on; the defaults are AgentBay's."""

    auto_upload: bool = True
    auto_download: bool = True
    sync_local_file: bool = True


def read_policy(value: object, mount: str) -> tuple[Policy, str]:
    """Read a binding's ``Policy``.

    Args:
        value: the JSON text of protocol.md's policy, or the object itself; None or "" for the defaults.
        mount: the path the binding mounts its context at.

    Returns:
        the policy, and the JSON text to keep and show: unknown keys stay in it.

    Raises:
        ServiceError: ``InvalidParameter.Malformed``, or ``UnsupportedPolicy`` for what would have to be ignored.
    """
    document = _document(value)
    policy = (
        _Section(document, "uploadPolicy"),
        _Section(document, "downloadPolicy"),
        _Section(document, "deletePolicy"),
    )
    upload, download, delete = policy
    upload.only("uploadStrategy", "UploadBeforeResourceRelease")
    upload.only("uploadMode", "File")
    download.only("downloadStrategy", "DownloadAsync")
    _check_extract(_Section(document, "extractPolicy"))
    _check_recycle(_Section(document, "recyclePolicy"))
    _check_lists(_Section(document, "bwList"))
    _Section(document, "mappingPolicy").only("path", mount)
    read = Policy(
        auto_upload=upload.flag("autoUpload"),
        auto_download=download.flag("autoDownload"),
        sync_local_file=delete.flag("syncLocalFile"),
    )
    text = value if isinstance(value, str) and value else json.dumps(document)
    return read, text


def _document(value: object) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    document = value
    if isinstance(value, str):
        try:
            document = json.loads(value)
        except (ValueError, RecursionError):
            raise malformed("Policy", value, "a JSON object") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise malformed("Policy", value, "a JSON object")
    return document


class _Section:
    """One part of the policy, such as ``uploadPolicy``; an absent one has nothing but defaults."""

    def __init__(self, document: dict[str, Any], name: str) -> None:
        found = document.get(name)
        if found is not None and not isinstance(found, dict):
            raise malformed(f"Policy.{name}", found, "an object")
        self.name = name
        self.values: dict[str, Any] = found or {}

    def flag(self, key: str, default: bool = True) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise malformed(f"Policy.{self.name}.{key}", value, "true or false")
        return value

    def items(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise malformed(f"Policy.{self.name}.{key}", value, "a list")
        return value

    def only(self, key: str, supported: str) -> None:
        value = self.values.get(key)
        if value is None or value == "" or value == supported:
            return
        if not isinstance(value, str):
            raise malformed(f"Policy.{self.name}.{key}", value, "a text")
        raise self.unsupported(key, value, f"only {supported!r} is")

    def unsupported(self, key: str, value: object, instead: str) -> ServiceError:
        return ServiceError(
            "UnsupportedPolicy", f"Policy.{self.name}.{key} = {value!r} is not supported here: {instead}"
        )


def _check_extract(extract: _Section) -> None:
    if not extract.flag("extract"):
        return
    if not extract.flag("deleteSrcFile"):
        raise extract.unsupported(
            "deleteSrcFile", False, "archives are not unpacked; leave it out, or turn extract off"
        )
    if extract.flag("extractToCurrentFolder", default=False):
        raise extract.unsupported(
            "extractToCurrentFolder", True, "archives are not unpacked; leave it out, or turn extract off"
        )


def _check_recycle(recycle: _Section) -> None:
    recycle.only("lifecycle", "Lifecycle_Forever")
    recycle.items("paths")


def _check_lists(lists: _Section) -> None:
    for item in lists.items("whiteLists"):
        if not isinstance(item, dict):
            raise malformed("Policy.bwList.whiteLists", item, "a list of objects")
        entry = _Section({"whiteLists": item}, "whiteLists")
        entry.only("path", "")
        excluded = [path for path in entry.items("excludePaths") if path != ""]
        if excluded:
            raise entry.unsupported("excludePaths", excluded, "everything below the mount path is synced")
