"""How a context is kept in step with its directory: the choices a binding carries, as AgentBay writes them.

A policy can be read from what another client wrote (``from_wire``). What is not known here is kept in ``extra``, and
written again (``wire``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxmgr._lazy import lazily

__all__ = [
    "BWList",
    "Binding",
    "ConflictChoice",
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

if TYPE_CHECKING:
    from .binding import Binding, SyncPolicy
    from .choices import ConflictChoice, DownloadStrategy, Lifecycle, UploadMode, UploadStrategy
    from .selection import BWList, MappingPolicy, WhiteList
    from .transfers import DeletePolicy, DownloadPolicy, ExtractPolicy, RecyclePolicy, UploadPolicy
else:
    # The command needs but the choices.
    __getattr__ = lazily(
        __name__,
        {
            ".binding": ("Binding", "SyncPolicy"),
            ".choices": ("ConflictChoice", "DownloadStrategy", "Lifecycle", "UploadMode", "UploadStrategy"),
            ".selection": ("BWList", "MappingPolicy", "WhiteList"),
            ".transfers": ("DeletePolicy", "DownloadPolicy", "ExtractPolicy", "RecyclePolicy", "UploadPolicy"),
        },
    )
