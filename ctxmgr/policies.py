"""How a context is kept in step with its directory: the choices a binding carries, as AgentBay writes them.

A policy can be read from what another client wrote (``from_wire``). What is not known here is kept in ``extra``, and
written again (``wire``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar, cast

import attrs

from .arguments import context_id_of
from .errors import ArgumentError, ArgumentTypeError
from .results import Context

__all__ = [
    "BWList",
    "Binding",
    "DeletePolicy",
    "DownloadPolicy",
    "DownloadStrategy",
    "ExtractPolicy",
    "Lifecycle",
    "MappingPolicy",
    "RecyclePolicy",
    "SyncPolicy",
    "UploadMode",
    "UploadPolicy",
    "UploadStrategy",
    "WhiteList",
]

_WILDCARD = re.compile(r"[*?\[\]]")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:[\\/]")
_MAX_PATTERN = 1000

_E = TypeVar("_E", bound=Enum)
_P = TypeVar("_P", bound="_Policy")


class UploadStrategy(str, Enum):
    """When what is uploaded automatically is uploaded."""

    UPLOAD_BEFORE_RESOURCE_RELEASE = "UploadBeforeResourceRelease"


class DownloadStrategy(str, Enum):
    """How what is downloaded automatically is downloaded."""

    DOWNLOAD_ASYNC = "DownloadAsync"


class UploadMode(str, Enum):
    """How files lie in the context: one by one, or those of a directory packed into one object."""

    FILE = "File"
    ARCHIVE = "Archive"


class Lifecycle(str, Enum):
    """How long files stay in the context after their upload."""

    LIFECYCLE_1DAY = "Lifecycle_1Day"
    LIFECYCLE_3DAYS = "Lifecycle_3Days"
    LIFECYCLE_5DAYS = "Lifecycle_5Days"
    LIFECYCLE_10DAYS = "Lifecycle_10Days"
    LIFECYCLE_15DAYS = "Lifecycle_15Days"
    LIFECYCLE_30DAYS = "Lifecycle_30Days"
    LIFECYCLE_90DAYS = "Lifecycle_90Days"
    LIFECYCLE_180DAYS = "Lifecycle_180Days"
    LIFECYCLE_360DAYS = "Lifecycle_360Days"
    LIFECYCLE_FOREVER = "Lifecycle_Forever"


def _named(instance: object, attribute: attrs.Attribute[Any]) -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def _is_flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{_named(instance, attribute)} is {value!r}; it must be True or False")


def _is_text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{_named(instance, attribute)} is {value!r}; it must be a string")


def _are_texts(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ArgumentTypeError(f"{_named(instance, attribute)} is {value!r}; it must be a list of strings")


def _chosen(name: str, choices: type[_E], value: object) -> _E:
    for choice in choices:
        if value == choice.value:
            return choice
    known = ", ".join(repr(choice.value) for choice in choices)
    raise ArgumentError(f"{name} is {value!r}; it must be one of {known}")


def _upload_strategy(value: UploadStrategy | str) -> UploadStrategy:
    return _chosen("UploadPolicy.strategy", UploadStrategy, value)


def _download_strategy(value: DownloadStrategy | str) -> DownloadStrategy:
    return _chosen("DownloadPolicy.strategy", DownloadStrategy, value)


def _upload_mode(value: UploadMode | str) -> UploadMode:
    return _chosen("UploadPolicy.mode", UploadMode, value)


def _lifecycle(value: Lifecycle | str) -> Lifecycle:
    return _chosen("RecyclePolicy.lifecycle", Lifecycle, value)


def _texts(value: Iterable[str]) -> tuple[str, ...]:
    return cast("tuple[str, ...]", _collected(value))


def _white_lists(value: Iterable[WhiteList]) -> tuple[WhiteList, ...]:
    return cast("tuple[WhiteList, ...]", _collected(value))


def _collected(value: object) -> object:
    """Take any collection for a list; what is none, a single string above all, is left to the validator."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) else value


def _refuse_wildcards(name: str, texts: Iterable[str], instead: str) -> None:
    for text in texts:
        if _WILDCARD.search(text):
            raise ArgumentError(f"{name} has {text!r}; wildcards (* ? [ ]) are not supported: {instead}")


@attrs.frozen(kw_only=True)
class _Policy:
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
    if isinstance(value, _Policy):
        return value.wire()
    if isinstance(value, tuple):
        return [_wired(item) for item in value]
    return value.value if isinstance(value, Enum) else value


@attrs.frozen(kw_only=True)
class UploadPolicy(_Policy):
    """When and how changes in the directory are brought to the context.

    Attributes:
        auto_upload: also before the session ends, without being asked.
        strategy: when that is.
        mode: ``UploadMode.ARCHIVE`` packs the files of each directory into one object. Who downloads gets the files,
            whatever his own policy; only the context's list of files shows the packs.
        archive_exclude_paths: prefixes of paths, relative to the mount path, of files that are not packed, such as
            ``output/`` or ``config.json``: so they have URLs of their own.
    """

    auto_upload: bool = attrs.field(default=True, validator=_is_flag, metadata={"wire": "autoUpload"})
    strategy: UploadStrategy = attrs.field(
        default=UploadStrategy.UPLOAD_BEFORE_RESOURCE_RELEASE,
        converter=_upload_strategy,
        metadata={"wire": "uploadStrategy"},
    )
    mode: UploadMode = attrs.field(default=UploadMode.FILE, converter=_upload_mode, metadata={"wire": "uploadMode"})
    archive_exclude_paths: tuple[str, ...] = attrs.field(
        default=(),
        converter=_texts,
        validator=_are_texts,
        metadata={"wire": "archiveExcludePaths", "sent_empty": False},
    )

    def __attrs_post_init__(self) -> None:
        _refuse_wildcards("UploadPolicy.archive_exclude_paths", self.archive_exclude_paths, "give prefixes of paths")


@attrs.frozen(kw_only=True)
class DownloadPolicy(_Policy):
    """When changes in the context are brought to the directory.

    Attributes:
        auto_download: also when the session begins, without being asked.
        strategy: how that is done.
    """

    auto_download: bool = attrs.field(default=True, validator=_is_flag, metadata={"wire": "autoDownload"})
    strategy: DownloadStrategy = attrs.field(
        default=DownloadStrategy.DOWNLOAD_ASYNC, converter=_download_strategy, metadata={"wire": "downloadStrategy"}
    )


@attrs.frozen(kw_only=True)
class DeletePolicy(_Policy):
    """What becomes of files that were deleted.

    Attributes:
        sync_local_file: whether a file deleted in the directory is deleted from the context at the next upload.
    """

    sync_local_file: bool = attrs.field(default=True, validator=_is_flag, metadata={"wire": "syncLocalFile"})


@attrs.frozen(kw_only=True)
class ExtractPolicy(_Policy):
    """What becomes of archives (zip, and tar with gzip, bzip2, xz or zstd) on download.

    Attributes:
        extract: whether they are unpacked. The context keeps them as they are.
        delete_src_file: whether the archive itself is left out of the directory then.
        extract_current_folder: whether its members go beside it, instead of into a folder named after it.
    """

    extract: bool = attrs.field(default=True, validator=_is_flag, metadata={"wire": "extract"})
    delete_src_file: bool = attrs.field(default=True, validator=_is_flag, metadata={"wire": "deleteSrcFile"})
    extract_current_folder: bool = attrs.field(
        default=False, validator=_is_flag, metadata={"wire": "extractToCurrentFolder"}
    )


@attrs.frozen(kw_only=True)
class RecyclePolicy(_Policy):
    """How long files stay in the context, counted from their upload. What is ended then is still in its history.

    Attributes:
        lifecycle: how long.
        paths: which files: exact paths of files and directories in the context, or relative to the mount path without
            the first slash; ``""`` is all of them.
    """

    lifecycle: Lifecycle = attrs.field(
        default=Lifecycle.LIFECYCLE_FOREVER, converter=_lifecycle, metadata={"wire": "lifecycle"}
    )
    paths: tuple[str, ...] = attrs.field(
        default=("",), converter=_texts, validator=_are_texts, metadata={"wire": "paths"}
    )

    def __attrs_post_init__(self) -> None:
        _refuse_wildcards("RecyclePolicy.paths", self.paths, "give exact paths")


@attrs.frozen
class WhiteList(_Policy):
    """A directory that is synced.

    Attributes:
        path: relative to the mount path; ``""`` is all of it. Or a regular expression (RE2's syntax) that the relative
            paths of such directories match as a whole.
        exclude_paths: what in it is not synced, relative to it, or regular expressions.
        is_path_regex: whether ``path`` is a regular expression.
        is_exclude_regex: whether ``exclude_paths`` are regular expressions.
    """

    path: str = attrs.field(default="", validator=_is_text, metadata={"wire": "path"})
    exclude_paths: tuple[str, ...] = attrs.field(
        default=(), converter=_texts, validator=_are_texts, metadata={"wire": "excludePaths"}
    )
    is_path_regex: bool = attrs.field(default=False, validator=_is_flag, metadata={"wire": "isPathRegex"})
    is_exclude_regex: bool = attrs.field(default=False, validator=_is_flag, metadata={"wire": "isExcludeRegex"})

    def __attrs_post_init__(self) -> None:
        _check_names("WhiteList.path", (self.path,), self.is_path_regex, "is_path_regex")
        _check_names("WhiteList.exclude_paths", self.exclude_paths, self.is_exclude_regex, "is_exclude_regex")


def _check_names(name: str, texts: Iterable[str], is_regex: bool, flag: str) -> None:
    if not is_regex:
        _refuse_wildcards(name, texts, f"give exact paths, or set {flag}=True")
    for text in texts:
        if is_regex and len(text) > _MAX_PATTERN:
            raise ArgumentError(
                f"{name} has {text[:40]!r}…; a regular expression has at most {_MAX_PATTERN} characters"
            )
        if not is_regex and ".." in re.split(r"[/\\]", text):
            raise ArgumentError(f"{name} has {text!r}; a path can't climb with '..'")


def _are_white_lists(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, WhiteList) for item in value):
        raise ArgumentTypeError(f"{_named(instance, attribute)} is {value!r}; it must be a list of WhiteList")


@attrs.frozen
class BWList(_Policy):
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
class MappingPolicy(_Policy):
    r"""Which other paths in the context appear at the mount path; what is uploaded goes back below them.

    Attributes:
        path: a path in the context, such as ``/home/me``, or one of Windows, such as ``c:\users\me``.
        more_paths: further ones (ctxmgr's own service only). Of two files with the same relative path the one of the
            first path is seen, and a new file goes where its directory is.
    """

    path: str = attrs.field(default="", validator=_is_text, metadata={"wire": "path"})
    more_paths: tuple[str, ...] = attrs.field(
        default=(), converter=_texts, validator=_are_texts, metadata={"wire": "paths", "sent_empty": False}
    )

    def __attrs_post_init__(self) -> None:
        for path in filter(None, (self.path, *self.more_paths)):
            if not _ABSOLUTE.match(path):
                raise ArgumentError(
                    f"MappingPolicy has {path!r}; give an absolute path, such as '/home/me' or 'c:\\\\users\\\\me'"
                )
            if ".." in re.split(r"[/\\]", path):
                raise ArgumentError(f"MappingPolicy has {path!r}; a path can't climb with '..'")


def _is_part(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    kind = attribute.metadata["kind"]
    if not isinstance(value, kind) and not (value is None and attribute.default is None):
        raise ArgumentTypeError(f"{_named(instance, attribute)} is {value!r}; it must be of type {kind.__name__}")


@attrs.frozen(kw_only=True)
class SyncPolicy(_Policy):
    """All the choices of one binding.

    Attributes:
        upload: when and how the directory is uploaded.
        download: when the context is downloaded.
        delete: what becomes of deleted files.
        extract: what becomes of archives; ``None`` leaves them the files that they are.
        recycle: how long files stay; ``None`` leaves it as it is.
        bw_list: what is synced; ``None`` is everything.
        mapping: which paths of the context appear; ``None`` is the mount path itself.
    """

    upload: UploadPolicy = attrs.field(
        default=UploadPolicy(),
        validator=_is_part,
        metadata={"wire": "uploadPolicy", "kind": UploadPolicy, "sent_empty": False},
    )
    download: DownloadPolicy = attrs.field(
        default=DownloadPolicy(),
        validator=_is_part,
        metadata={"wire": "downloadPolicy", "kind": DownloadPolicy, "sent_empty": False},
    )
    delete: DeletePolicy = attrs.field(
        default=DeletePolicy(),
        validator=_is_part,
        metadata={"wire": "deletePolicy", "kind": DeletePolicy, "sent_empty": False},
    )
    extract: ExtractPolicy | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "extractPolicy", "kind": ExtractPolicy, "sent_empty": False}
    )
    recycle: RecyclePolicy | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "recyclePolicy", "kind": RecyclePolicy, "sent_empty": False}
    )
    bw_list: BWList | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "bwList", "kind": BWList, "sent_empty": False}
    )
    mapping: MappingPolicy | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "mappingPolicy", "kind": MappingPolicy, "sent_empty": False}
    )

    @classmethod
    def from_text(cls, text: str) -> SyncPolicy:
        """Read a policy from JSON text, such as a ``ContextBinding``'s; ``""`` is the default.

        Raises:
            ArgumentError: it is none.
        """
        try:
            document = json.loads(text or "{}")
        except (ValueError, RecursionError):
            raise ArgumentError(f"the policy is {text[:120]!r}; it must be a JSON object") from None
        return cls.from_wire({} if document is None else document)

    @classmethod
    def _read(cls, field: attrs.Attribute[Any], value: Any) -> Any:
        return field.metadata["kind"].from_wire(value)


@attrs.frozen
class Binding:
    """A context to bind, with its policy.

    Attributes:
        context: the context or its id.
        policy: ``None`` leaves it to the service: everything automatic.
    """

    context: Context | str
    policy: SyncPolicy | None = None

    def wire(self, path: str) -> dict[str, str]:
        """Return the binding at a mount path as JSON carries it (protocol: "Binding")."""
        wire = {"ContextId": context_id_of(self.context), "Path": path}
        if self.policy is not None:
            wire["Policy"] = json.dumps(self.policy.wire())
        return wire
