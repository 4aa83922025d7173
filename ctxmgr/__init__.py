"""Directories that outlive the sandbox, the session or the machine that works in them."""

from __future__ import annotations

from .client import Client
from .contexts import Contexts
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
from .manager import ContextManager
from .policies import Binding, DeletePolicy, DownloadPolicy, SyncPolicy, UploadPolicy
from .results import (
    ApiResponse,
    Context,
    ContextFile,
    ContextInfoResult,
    ContextListResult,
    ContextPlanResult,
    ContextResult,
    ContextStatusData,
    ContextSyncResult,
    FileListResult,
    OperationResult,
    PlannedChange,
    SessionInfo,
    SessionListResult,
)
from .sessions import Session, SessionResult, Sessions

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "ApiResponse",
    "ArgumentError",
    "ArgumentTypeError",
    "Binding",
    "Client",
    "ClosedError",
    "ConfigError",
    "ConflictError",
    "ConnectionFailed",
    "Context",
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
    "FileListResult",
    "ForbiddenError",
    "InvalidRequestError",
    "NotFoundError",
    "OperationResult",
    "PlannedChange",
    "ProtocolError",
    "RequestTimeout",
    "ServerError",
    "Session",
    "SessionInfo",
    "SessionListResult",
    "SessionResult",
    "Sessions",
    "SyncFailed",
    "SyncPolicy",
    "ThrottledError",
    "TransportError",
    "UploadPolicy",
]
