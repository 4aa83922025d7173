"""What differs between two revisions, and what a restore has proven (ctxmgr's own service only)."""

from __future__ import annotations

import attrs

from .response import ListResult, Result

__all__ = ["DiffResult", "FileChange", "FileVersion", "RestoreResult", "RestoredFile"]


@attrs.frozen(kw_only=True)
class FileVersion:
    """What a path was at a revision.

    Attributes:
        type: ``file``, ``folder`` or ``link``.
        size: bytes.
        mode: octal permission bits.
        mtime_ns: nanoseconds since the epoch; 0 for a folder, whose time is not kept.
        digest: BLAKE3 of the content in hexadecimal.
        target: where a link points.
    """

    type: str
    size: int = 0
    mode: str = ""
    mtime_ns: int = 0
    digest: str = ""
    target: str = ""


@attrs.frozen(kw_only=True)
class FileChange:
    """A path that is not the same at two revisions.

    Attributes:
        path: absolute in the context.
        change: ``added``, ``deleted``, ``changed``, or ``mode`` or ``time`` where nothing else differs.
        before, after: what it was; ``None`` where it was not there.
    """

    path: str
    change: str
    before: FileVersion | None = None
    after: FileVersion | None = None


@attrs.define(kw_only=True)
class DiffResult(ListResult):
    """One page of what differs between two revisions, in the order of the paths' bytes.

    Attributes:
        from_revision, to_revision: the numbers of the revisions that were compared.
    """

    changes: list[FileChange] = attrs.Factory(list)
    from_revision: int = 0
    to_revision: int = 0


@attrs.frozen(kw_only=True)
class RestoredFile:
    """A path that a restore has proven: it was read back after it was written, and is what the context held.

    Attributes:
        path: absolute in the context; in the directory it has the same path below its top.
        type: ``file``, ``folder`` or ``link``.
        size: bytes.
        digest: BLAKE3 of the content in hexadecimal; empty for a folder or a link.
        target: where a link points.
    """

    path: str
    type: str
    size: int = 0
    digest: str = ""
    target: str = ""


@attrs.define(kw_only=True)
class RestoreResult(Result):
    """How a restore into a directory ended: a success is proven path by path.

    Attributes:
        directory: the real path of the directory.
        revision: the number of the revision that it holds now.
        files: files and links that were written; those that were there already are not.
        bytes: of the files that were written.
        receipt: every path, as it was found after writing; empty where anything was not as it should be.
    """

    directory: str = ""
    revision: int = 0
    files: int = 0
    bytes: int = 0
    receipt: list[RestoredFile] = attrs.field(factory=list, repr=lambda found: f"<{len(found)} paths>")
