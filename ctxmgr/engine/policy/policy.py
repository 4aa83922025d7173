"""A binding's policy, read: everything in it is honoured, or refused with what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import permutations
from typing import Any, get_args

from ctxmgr.engine.manifest.merge import Choice
from ctxmgr.errors import ServiceError

from .ignore import check_patterns
from .mounts import is_within, normalised
from .values import malformed, plain_text
from .whitelist import SelectionRule, check_white_lists

__all__ = ["DAYS", "BindingPolicy", "Extract", "Recycle", "read_choice", "read_policy"]

DAYS: dict[str, int | None] = {
    **{f"Lifecycle_{days}Day{'s' if days > 1 else ''}": days for days in (1, 3, 5, 10, 15, 30, 90, 180, 360)},
    "Lifecycle_Forever": None,
}
"""The days that a file is kept after its upload, by lifecycle; None is for ever."""

MAX_ITEMS = 200
_WILDCARD = re.compile(r"[*?\[\]]")


@dataclass(frozen=True)
class Extract:
    """How archives are unpacked on download.

    Attributes:
        delete_source: the archive itself does not stay in the workspace; in the context it does.
        current_folder: its members go beside it; otherwise into a folder named after it.
    """

    delete_source: bool = True
    current_folder: bool = False


@dataclass(frozen=True)
class Recycle:
    """How long files stay in the context after their upload.

    Attributes:
        days: None is for ever.
        paths: what it is about, absolute in the context; "/" is all of it.
    """

    days: int | None
    paths: tuple[str, ...] = ("/",)


@dataclass(frozen=True)
class BindingPolicy:
    """A policy as the service acts on it. The defaults are those of a binding without one.

    Attributes:
        auto_upload: upload before the session ends.
        auto_download: download when the context is bound.
        sync_local_file: an upload deletes in the context what was deleted in the workspace.
        archive: an upload packs the files of each directory into one object.
        archive_excluded: prefixes of the paths that are not packed.
        extract: None where archives are files like any other.
        recycle: None where the binding does not say.
        white_lists: what is synced; everything where there are none.
        origins: the paths in the context that appear at the mount path, the first of several winning; the mount path
            itself where there are none.
        exclude: patterns of what is not synced, in gitignore's syntax.
        conflict: who wins where both sides changed; empty for the side that is synced from.
    """

    auto_upload: bool = True
    auto_download: bool = True
    sync_local_file: bool = True
    archive: bool = False
    archive_excluded: tuple[str, ...] = ()
    extract: Extract | None = None
    recycle: Recycle | None = None
    white_lists: tuple[SelectionRule, ...] = ()
    origins: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    conflict: Choice = ""

    def variant(self) -> str:
        """Name what decides which of the context's files belong to which of the workspace's; "" for the plain case.

        What a workspace had at its last sync says nothing about a sync under another variant.
        """
        if not self.origins and self.extract is None:
            return ""
        return repr((self.origins, self.extract))


def read_policy(value: object, mount: str) -> tuple[BindingPolicy, str]:
    """Read a binding's ``Policy``.

    Args:
        value: the JSON text of protocol.md's policy, or the object itself; None or "" for the defaults.
        mount: the path the binding mounts its context at, normalised.

    Returns:
        the policy, and the JSON text to keep and show: unknown keys stay in it.

    Raises:
        ServiceError: ``InvalidParameter.Malformed``, or ``UnsupportedPolicy`` for what would have to be ignored.
    """
    document = _document(value)
    whole = _Section({"Policy": document}, "Policy")
    upload = _Section(document, "uploadPolicy")
    download = _Section(document, "downloadPolicy")
    upload.choice("uploadStrategy", ("UploadBeforeResourceRelease",))
    download.choice("downloadStrategy", ("DownloadAsync",))
    archive = upload.choice("uploadMode", ("File", "Archive")) == "Archive"
    read = BindingPolicy(
        auto_upload=upload.flag("autoUpload"),
        auto_download=download.flag("autoDownload"),
        sync_local_file=_Section(document, "deletePolicy").flag("syncLocalFile"),
        archive=archive,
        archive_excluded=_archive_excluded(upload) if archive else (),
        extract=_extract(_Section(document, "extractPolicy")),
        recycle=_recycle(_Section(document, "recyclePolicy"), mount),
        white_lists=_white_lists(_Section(document, "bwList"), mount),
        origins=_origins(_Section(document, "mappingPolicy"), mount),
        exclude=_excluded(whole),
        conflict=read_choice(f"{whole.name}.conflict", whole.text("conflict")),
    )
    text = value if isinstance(value, str) and value else json.dumps(document)
    return read, text


def read_choice(name: str, value: str) -> Choice:
    """Return who wins a conflict.

    Raises:
        ServiceError: the value is none that there is.
    """
    for choice in get_args(Choice):
        if value == choice:
            return choice  # type: ignore[no-any-return]  # it is one of the literals
    raise malformed(name, value, f"one of {', '.join(filter(None, get_args(Choice)))}")


def _excluded(whole: _Section) -> tuple[str, ...]:
    patterns = whole.texts("exclude")
    check_patterns(f"{whole.name}.exclude", patterns)
    return patterns


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

    def __init__(self, document: dict[str, Any], name: str, *, within: str = "") -> None:
        found = document.get(name)
        self.name = name if name == "Policy" else f"Policy.{within}{name}"
        if found is not None and not isinstance(found, dict):
            raise malformed(self.name, found, "an object")
        self.given = found is not None
        self.values: dict[str, Any] = found or {}

    def flag(self, key: str, default: bool = True) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def text(self, key: str) -> str:
        value = self.values.get(key)
        return "" if value is None else plain_text(f"{self.name}.{key}", value)

    def items(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, value, "a list")
        if len(value) > MAX_ITEMS:
            raise self.wrong(key, f"a list of {len(value)}", f"a list of at most {MAX_ITEMS}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(plain_text(f"{self.name}.{key}", item) for item in self.items(key))

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """Return one of the known values; the first is the default."""
        value = self.text(key)
        if value and value not in known:
            raise ServiceError(
                "UnsupportedPolicy",
                f"the parameter {self.name}.{key} is {value!r}, which is not supported here: send {' or '.join(known)}",
            )
        return value or known[0]

    def wrong(self, key: str, value: object, wanted: str) -> ServiceError:
        return malformed(f"{self.name}.{key}", value, wanted)


def _archive_excluded(upload: _Section) -> tuple[str, ...]:
    found = []
    for item in upload.texts("archiveExcludePaths"):
        if _WILDCARD.search(item):
            raise upload.wrong("archiveExcludePaths", item, "a prefix of relative paths, without * ? [ ]")
        prefix = item.lstrip("/")
        if prefix or item:
            found.append(prefix)
    return tuple(found)


def _extract(section: _Section) -> Extract | None:
    extract = Extract(
        delete_source=section.flag("deleteSrcFile"),
        current_folder=section.flag("extractToCurrentFolder", default=False),
    )
    return extract if section.flag("extract") and section.given else None


def _recycle(section: _Section, mount: str) -> Recycle | None:
    name = section.text("lifecycle")
    if name and name not in DAYS:
        raise section.wrong("lifecycle", name, f"one of {', '.join(DAYS)}")
    paths = []
    for item in section.texts("paths"):
        if _WILDCARD.search(item):
            raise section.wrong("paths", item, 'an exact path, without * ? [ ], or "" for everything')
        if not item:
            paths.append("/")
        elif item.startswith("/") or "\\" in item:
            paths.append(normalised(item, name=f"{section.name}.paths"))
        else:
            paths.append(normalised(f"{mount}/{item}", name=f"{section.name}.paths"))
    if not name:
        return None
    return Recycle(DAYS[name], tuple(paths) if section.values.get("paths") is not None else ("/",))


def _white_lists(section: _Section, mount: str) -> tuple[SelectionRule, ...]:
    lists = []
    for item in section.items("whiteLists"):
        if not isinstance(item, dict):
            raise section.wrong("whiteLists", item, "a list of objects")
        entry = _Section({"whiteLists": item}, "whiteLists", within="bwList.")
        lists.append(
            SelectionRule(
                path=entry.text("path"),
                excluded=entry.texts("excludePaths"),
                path_is_regex=entry.flag("isPathRegex", default=False),
                excluded_is_regex=entry.flag("isExcludeRegex", default=False),
            )
        )
    check_white_lists(lists, mount)
    return tuple(lists)


def _origins(section: _Section, mount: str) -> tuple[str, ...]:
    asked = [section.text("path"), *section.texts("paths")]
    origins = [normalised(path, name=f"{section.name}.path") for path in asked if path]
    unique = tuple(dict.fromkeys(origins))
    for one, other in permutations(unique, 2):
        if is_within(one, other):
            raise section.wrong("paths", one, f"a path that does not lie in another one of them, {other!r}")
    return () if unique == (mount,) else unique
