"""How files are brought to the context and to the directory, and how long they stay."""

from __future__ import annotations

import attrs

from .choices import DownloadStrategy, Lifecycle, UploadMode, UploadStrategy
from .fields import Policy, are_texts, chosen, is_flag, refuse_wildcards, texts

__all__ = ["DeletePolicy", "DownloadPolicy", "ExtractPolicy", "RecyclePolicy", "UploadPolicy"]


def _upload_strategy(value: UploadStrategy | str) -> UploadStrategy:
    return chosen("UploadPolicy.strategy", UploadStrategy, value)


def _download_strategy(value: DownloadStrategy | str) -> DownloadStrategy:
    return chosen("DownloadPolicy.strategy", DownloadStrategy, value)


def _upload_mode(value: UploadMode | str) -> UploadMode:
    return chosen("UploadPolicy.mode", UploadMode, value)


@attrs.frozen(kw_only=True)
class UploadPolicy(Policy):
    """When and how changes in the directory are brought to the context.

    Attributes:
        auto_upload: also before the session ends, without being asked.
        strategy: when that is.
        mode: ``UploadMode.ARCHIVE`` packs the files of each directory into one object. Who downloads gets the files,
            whatever his own policy; only the context's list of files shows the packs.
        archive_exclude_paths: prefixes of paths, relative to the mount path, of files that are not packed, such as
            ``output/`` or ``config.json``: so they have URLs of their own.
    """

    auto_upload: bool = attrs.field(default=True, validator=is_flag, metadata={"wire": "autoUpload"})
    strategy: UploadStrategy = attrs.field(
        default=UploadStrategy.UPLOAD_BEFORE_RESOURCE_RELEASE,
        converter=_upload_strategy,
        metadata={"wire": "uploadStrategy"},
    )
    mode: UploadMode = attrs.field(default=UploadMode.FILE, converter=_upload_mode, metadata={"wire": "uploadMode"})
    archive_exclude_paths: tuple[str, ...] = attrs.field(
        default=(), converter=texts, validator=are_texts, metadata={"wire": "archiveExcludePaths", "sent_empty": False}
    )

    def __attrs_post_init__(self) -> None:
        refuse_wildcards("UploadPolicy.archive_exclude_paths", self.archive_exclude_paths, "give prefixes of paths")


@attrs.frozen(kw_only=True)
class DownloadPolicy(Policy):
    """When changes in the context are brought to the directory.

    Attributes:
        auto_download: also when the session begins, without being asked.
        strategy: how that is done.
    """

    auto_download: bool = attrs.field(default=True, validator=is_flag, metadata={"wire": "autoDownload"})
    strategy: DownloadStrategy = attrs.field(
        default=DownloadStrategy.DOWNLOAD_ASYNC, converter=_download_strategy, metadata={"wire": "downloadStrategy"}
    )


@attrs.frozen(kw_only=True)
class DeletePolicy(Policy):
    """What becomes of files that were deleted.

    Attributes:
        sync_local_file: whether a file deleted in the directory is deleted from the context at the next upload.
    """

    sync_local_file: bool = attrs.field(default=True, validator=is_flag, metadata={"wire": "syncLocalFile"})


@attrs.frozen(kw_only=True)
class ExtractPolicy(Policy):
    """What becomes of archives (zip, and tar with gzip, bzip2, xz or zstd) on download.

    Attributes:
        extract: whether they are unpacked. The context keeps them as they are.
        delete_src_file: whether the archive itself is left out of the directory then.
        extract_current_folder: whether its members go beside it, instead of into a folder named after it.
    """

    extract: bool = attrs.field(default=True, validator=is_flag, metadata={"wire": "extract"})
    delete_src_file: bool = attrs.field(default=True, validator=is_flag, metadata={"wire": "deleteSrcFile"})
    extract_current_folder: bool = attrs.field(
        default=False, validator=is_flag, metadata={"wire": "extractToCurrentFolder"}
    )


def _lifecycle(value: Lifecycle | str) -> Lifecycle:
    return chosen("RecyclePolicy.lifecycle", Lifecycle, value)


@attrs.frozen(kw_only=True)
class RecyclePolicy(Policy):
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
        default=("",), converter=texts, validator=are_texts, metadata={"wire": "paths"}
    )

    def __attrs_post_init__(self) -> None:
        refuse_wildcards("RecyclePolicy.paths", self.paths, "give exact paths")
