"""What can go wrong between a workspace and the stored content, as types."""

from __future__ import annotations

from ctxmgr.errors import CtxmgrError

from .entries import show

__all__ = ["ArchiveError", "ContentError", "HeadMoved", "WorkspaceChanged", "WorkspaceError", "WorkspaceGone"]


class WorkspaceError(CtxmgrError):
    """A workspace can't be read or written.

    Attributes:
        path: what it is about, relative to the mount directory; empty for the directory itself.
    """

    def __init__(self, path: bytes, problem: str) -> None:
        where = f"{show(path)} in the workspace" if path else "the workspace's directory"
        super().__init__(f"{where} {problem}")
        self.path = path


class WorkspaceChanged(WorkspaceError):
    """A path is no longer what the scan saw; scan and plan again."""


class WorkspaceGone(WorkspaceChanged):
    """A path is not there any more."""


class ContentError(CtxmgrError):
    """Stored content is missing or damaged, or can't be stored."""


class ArchiveError(CtxmgrError):
    """An archive can't be unpacked, or must not be."""


class HeadMoved(Exception):
    """Another sync committed first: plan again on what it left."""
