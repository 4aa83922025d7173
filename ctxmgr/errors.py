"""What can go wrong, as types: everything raised on purpose is a CtxmgrError."""

from __future__ import annotations

__all__ = [
    "ApiError",
    "ArgumentError",
    "ArgumentTypeError",
    "ClosedError",
    "ConfigError",
    "ConflictError",
    "ConnectionFailed",
    "CtxmgrError",
    "DataFolderError",
    "ForbiddenError",
    "InvalidRequestError",
    "NotFoundError",
    "ProtocolError",
    "RequestTimeout",
    "ServerError",
    "ServiceError",
    "SyncFailed",
    "ThrottledError",
    "TransportError",
    "error_for",
]


class CtxmgrError(Exception):
    """The root of every error this project raises on purpose."""


class ArgumentError(CtxmgrError, ValueError):
    """A call was given a value it can't take; nothing was sent."""


class ArgumentTypeError(ArgumentError, TypeError):
    """A call was given a value of the wrong type; nothing was sent."""


class ConfigError(ArgumentError):
    """A client can't be configured from its arguments and the environment."""


class ClosedError(CtxmgrError):
    """The client was closed, before or during the call."""


class TransportError(CtxmgrError):
    """A request got no answer that can be used.

    Attributes:
        received: whether the server may have received the request. ``False`` means it certainly has not, so that
            even a request with an effect can be sent again.
    """

    def __init__(self, message: str, *, received: bool = True) -> None:
        super().__init__(message)
        self.received = received


class ConnectionFailed(TransportError):
    """No connection could be made, or it broke before the answer was read."""


class RequestTimeout(TransportError):
    """The connection or the answer took longer than the configured time-out."""


class ProtocolError(TransportError):
    """An answer came that is not the protocol: HTML, half a document, a field of the wrong type.

    Attributes:
        http_status: the HTTP status it came with.
        retry_after: the ``Retry-After`` header it came with, if any.
    """

    def __init__(self, message: str, *, http_status: int = 200, retry_after: str = "") -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after = retry_after


class ApiError(CtxmgrError):
    """The service answered, and the answer is a failure.

    Attributes:
        code: the service's error code, such as ``InvalidMcpSession.NotFound``.
        message: the service's text for people.
        request_id: the id under which the service logged the request.
    """

    def __init__(self, code: str, message: str, *, request_id: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.request_id = request_id

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" if self.code else self.message


class NotFoundError(ApiError):
    """The session, context, binding or file does not exist, or not for this key."""


class ForbiddenError(ApiError):
    """The key is missing, unknown, or may not do this."""


class ConflictError(ApiError):
    """The request contradicts what exists, such as a name already taken."""


class InvalidRequestError(ApiError):
    """The service understood the request and refuses its values."""


class ThrottledError(ApiError):
    """The service asks to slow down."""


class ServerError(ApiError):
    """The service failed; the same request may succeed later."""


class SyncFailed(ApiError):
    """A sync was accepted and then failed, or was not proven done in time."""


class ServiceError(ApiError):
    """Raised inside the context service; it becomes the answer's Code and Message."""


class DataFolderError(CtxmgrError):
    """A data folder is not ours, of a newer version, or can't be used."""


_KINDS: tuple[tuple[tuple[str, ...], type[ApiError]], ...] = (
    (("Throttling", "TooManyRequests", "QuotaExceeded"), ThrottledError),
    (
        (
            "Forbidden",
            "Unauthorized",
            "InvalidApiKey",
            "NoPermission",
            "AccessDenied",
            "InvalidAuthorization",
        ),
        ForbiddenError,
    ),
    (("Internal", "ServiceUnavailable", "ServerBusy", "SystemError"), ServerError),
    (("Sync.",), SyncFailed),
)
_SUFFIXES: tuple[tuple[tuple[str, ...], type[ApiError]], ...] = (
    ((".NotFound", ".NotExist", ".NotExists"), NotFoundError),
    ((".Duplicate", ".AlreadyExists", ".Conflict"), ConflictError),
)
_HTTP: dict[int, type[ApiError]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: ThrottledError,
}


def error_for(code: str, message: str, *, request_id: str = "", http_status: int = 200) -> ApiError:
    """Return the typed exception for a failed answer.

    Args:
        code: the answer's ``Code``; it decides where it is known.
        message: the answer's ``Message``.
        request_id: the answer's ``RequestId``.
        http_status: decides where the code says nothing.
    """
    return _kind(code, http_status)(code, message, request_id=request_id)


def _kind(code: str, http_status: int) -> type[ApiError]:
    for prefixes, kind in _KINDS:
        if code.startswith(prefixes):
            return kind
    for suffixes, kind in _SUFFIXES:
        if code.endswith(suffixes):
            return kind
    if http_status in _HTTP:
        return _HTTP[http_status]
    if http_status >= 500:
        return ServerError
    if code.startswith(("Invalid", "Missing", "Unsupported")) or 400 <= http_status < 500:
        return InvalidRequestError
    return ApiError
