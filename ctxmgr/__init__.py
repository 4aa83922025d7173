"""Directories that outlive the sandbox, the session or the machine that works in them.

What this package exports is public, and so are ``ctxmgr.results``, ``ctxmgr.policies``, ``ctxmgr.errors`` and
``ctxmgr.testing``. Every other module is private, whatever its name, and may change in any release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazily
from .errors import (
    ApiError,
    ArgumentError,
    ArgumentTypeError,
    ClosedError,
    ConfigError,
    ConflictError,
    ConnectionFailed,
    CtxmgrError,
    DataFolderError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    RequestTimeout,
    ServerError,
    SyncFailed,
    ThrottledError,
    TransportError,
)
from .policies import (
    Binding,
    BWList,
    DeletePolicy,
    DownloadPolicy,
    DownloadStrategy,
    ExtractPolicy,
    Lifecycle,
    MappingPolicy,
    RecyclePolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    UploadStrategy,
    WhiteList,
)
from .results import (
    ApiResponse,
    BindResult,
    Conflict,
    Context,
    ContextBinding,
    ContextBindingsResult,
    ContextChangeResult,
    ContextFile,
    ContextInfoResult,
    ContextListResult,
    ContextPlanResult,
    ContextResult,
    ContextStatusData,
    ContextSyncResult,
    FileListResult,
    FileResult,
    FileTransferResult,
    FileUrlResult,
    LabelsResult,
    OperationResult,
    PlannedChange,
    Revision,
    RevisionListResult,
    SessionInfo,
    SessionListResult,
    SyncProgress,
)

if TYPE_CHECKING:
    from .client import Client
    from .contexts import Contexts
    from .files import Files
    from .manager import AdoptedManager, ContextManager
    from .sessions import Session, SessionResult, Sessions
else:
    # What reaches the network is imported when it is first asked for: the engine and the service do without requests.
    __getattr__ = lazily(
        __name__,
        {
            "AdoptedManager": "manager",
            "Client": "client",
            "Contexts": "contexts",
            "Files": "files",
            "ContextManager": "manager",
            "Session": "sessions",
            "SessionResult": "sessions",
            "Sessions": "sessions",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "AdoptedManager",
    "ApiError",
    "ApiResponse",
    "ArgumentError",
    "ArgumentTypeError",
    "BWList",
    "BindResult",
    "Binding",
    "Client",
    "ClosedError",
    "ConfigError",
    "Conflict",
    "ConflictError",
    "ConnectionFailed",
    "Context",
    "ContextBinding",
    "ContextBindingsResult",
    "ContextChangeResult",
    "ContextFile",
    "ContextInfoResult",
    "ContextListResult",
    "ContextManager",
    "ContextPlanResult",
    "ContextResult",
    "ContextStatusData",
    "ContextSyncResult",
    "Contexts",
    "CtxmgrError",
    "DataFolderError",
    "DeletePolicy",
    "DownloadPolicy",
    "DownloadStrategy",
    "ExtractPolicy",
    "FileListResult",
    "FileResult",
    "FileTransferResult",
    "FileUrlResult",
    "Files",
    "ForbiddenError",
    "InvalidRequestError",
    "LabelsResult",
    "Lifecycle",
    "MappingPolicy",
    "NotFoundError",
    "OperationResult",
    "PlannedChange",
    "ProtocolError",
    "RecyclePolicy",
    "RequestTimeout",
    "Revision",
    "RevisionListResult",
    "ServerError",
    "Session",
    "SessionInfo",
    "SessionListResult",
    "SessionResult",
    "Sessions",
    "SyncFailed",
    "SyncPolicy",
    "SyncProgress",
    "ThrottledError",
    "TransportError",
    "UploadMode",
    "UploadPolicy",
    "UploadStrategy",
    "WhiteList",
]
