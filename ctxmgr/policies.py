"""How a context is kept in step with its directory: the choices a binding carries, as AgentBay writes them."""

from __future__ import annotations

import json
from typing import Any

import attrs

from .arguments import context_id_of
from .results import Context

__all__ = ["Binding", "DeletePolicy", "DownloadPolicy", "SyncPolicy", "UploadPolicy"]


@attrs.frozen(kw_only=True)
class UploadPolicy:
    """When changes in the directory are brought to the context.

    Attributes:
        auto_upload: also before the session ends, without being asked.
    """

    auto_upload: bool = True

    def wire(self) -> dict[str, Any]:
        """Give the policy as JSON carries it (protocol: "Binding")."""
        return {
            "autoUpload": self.auto_upload,
            "uploadStrategy": "UploadBeforeResourceRelease",
            "uploadMode": "File",
        }


@attrs.frozen(kw_only=True)
class DownloadPolicy:
    """When changes in the context are brought to the directory.

    Attributes:
        auto_download: also when the session begins, without being asked.
    """

    auto_download: bool = True

    def wire(self) -> dict[str, Any]:
        """Give the policy as JSON carries it (protocol: "Binding")."""
        return {"autoDownload": self.auto_download, "downloadStrategy": "DownloadAsync"}


@attrs.frozen(kw_only=True)
class DeletePolicy:
    """What becomes of files that were deleted.

    Attributes:
        sync_local_file: whether a file deleted in the directory is deleted from the context at the next upload.
    """

    sync_local_file: bool = True

    def wire(self) -> dict[str, Any]:
        """Give the policy as JSON carries it (protocol: "Binding")."""
        return {"syncLocalFile": self.sync_local_file}


@attrs.frozen(kw_only=True)
class SyncPolicy:
    """All the choices of one binding."""

    upload: UploadPolicy = UploadPolicy()
    download: DownloadPolicy = DownloadPolicy()
    delete: DeletePolicy = DeletePolicy()

    def wire(self) -> dict[str, Any]:
        """Give the policy as JSON carries it (protocol: "Binding")."""
        return {
            "uploadPolicy": self.upload.wire(),
            "downloadPolicy": self.download.wire(),
            "deletePolicy": self.delete.wire(),
        }


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
        """Give the binding at a mount path as JSON carries it (protocol: "Binding")."""
        wire = {"ContextId": context_id_of(self.context), "Path": path}
        if self.policy is not None:
            wire["Policy"] = json.dumps(self.policy.wire())
        return wire
