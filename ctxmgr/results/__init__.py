"""What calls give back: plain attrs classes, the same objects in ctxmgr and ctxmgr_async."""

from __future__ import annotations

from .contexts import Context, ContextChangeResult, ContextListResult, ContextResult, Revision, RevisionListResult
from .files import ContextFile, FileListResult, FileResult, FileTransferResult, FileUrlResult
from .history import DiffResult, FileChange, FileVersion, RestoredFile, RestoreResult
from .response import ApiResponse, ListResult, OperationResult, Result
from .sessions import BindResult, ContextBinding, ContextBindingsResult, LabelsResult, SessionInfo, SessionListResult
from .store import (
    AffectedFile,
    ContextStats,
    PrunedContext,
    PruneResult,
    StoreCheckResult,
    StoreDamage,
    StoreStatsResult,
)
from .syncs import ContextPlanResult, ContextSyncResult, ExcludedPath, PlannedChange
from .tasks import Conflict, ContextInfoResult, ContextStatusData, SyncProgress, conflicts_of

__all__ = [
    "AffectedFile",
    "ApiResponse",
    "BindResult",
    "Conflict",
    "Context",
    "ContextBinding",
    "ContextBindingsResult",
    "ContextChangeResult",
    "ContextFile",
    "ContextInfoResult",
    "ContextListResult",
    "ContextPlanResult",
    "ContextResult",
    "ContextStats",
    "ContextStatusData",
    "ContextSyncResult",
    "DiffResult",
    "ExcludedPath",
    "FileChange",
    "FileListResult",
    "FileResult",
    "FileTransferResult",
    "FileUrlResult",
    "FileVersion",
    "LabelsResult",
    "ListResult",
    "OperationResult",
    "PlannedChange",
    "PruneResult",
    "PrunedContext",
    "RestoreResult",
    "RestoredFile",
    "Result",
    "Revision",
    "RevisionListResult",
    "SessionInfo",
    "SessionListResult",
    "StoreCheckResult",
    "StoreDamage",
    "StoreStatsResult",
    "SyncProgress",
    "conflicts_of",
]
