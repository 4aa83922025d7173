"""What a policy chooses from, in AgentBay's words."""

from __future__ import annotations

from enum import Enum

__all__ = ["ConflictChoice", "DownloadStrategy", "Lifecycle", "UploadMode", "UploadStrategy"]


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


class ConflictChoice(str, Enum):
    """Who wins where both sides changed a path (ctxmgr's own service only).

    Without a choice an upload is won by the directory, and a download by the context.
    """

    NEWEST = "newest"
    OURS = "ours"
    THEIRS = "theirs"
    KEEP_BOTH = "keep-both"
    FAIL = "fail"


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
