"""How a context is kept in step with its directory: the choices a binding carries, as AgentBay writes them.

A policy can be read from what another client wrote (``from_wire``). What is not known here is kept in ``extra``, and
written again (``wire``).
"""

from __future__ import annotations

from .binding import Binding, SyncPolicy
from .choices import ConflictChoice, DownloadStrategy, Lifecycle, UploadMode, UploadStrategy
from .selection import BWList, MappingPolicy, WhiteList
from .transfers import DeletePolicy, DownloadPolicy, ExtractPolicy, RecyclePolicy, UploadPolicy

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
