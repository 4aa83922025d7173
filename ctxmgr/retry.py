"""When a request may be sent again, and after how long: pure decisions."""

from __future__ import annotations

import random
from http import HTTPStatus

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from .errors import ProtocolError, TransportError
from .protocol import Answer

__all__ = ["delay_after_answer", "delay_after_error"]

_BASE = 0.2
_CAP = 10.0
_RETRY_AFTER_CAP = 30.0
_THROTTLED = ("Throttling", "TooManyRequests")


def delay_after_error(error: TransportError, attempt: int, attempts: int, *, idempotent: bool) -> float | None:
    """Return the seconds to wait before sending a request again that got no answer, or ``None`` to give up.

    Args:
        attempt: how often it has been sent.
        attempts: how often it may be sent in all.
        idempotent: whether it does no harm twice. One that would is sent again only if it can't have been received
            or was refused as throttled.

    ``Retry-After`` (RFC 9110, seconds or a date) is obeyed up to 30 s.
    """
    retry_after = ""
    if isinstance(error, ProtocolError):
        retry_after = error.retry_after
        throttled = error.http_status == HTTPStatus.TOO_MANY_REQUESTS
        repeatable = throttled or (idempotent and error.http_status >= 500)
    else:
        repeatable = idempotent or not error.received
    return max(_backoff(attempt), _retry_after(retry_after)) if repeatable and attempt < attempts else None


def delay_after_answer(answer: Answer, attempt: int, attempts: int, *, idempotent: bool) -> float | None:
    """Return the seconds to wait before asking again after a failure that may pass, or ``None`` to take the answer.

    A throttled request was not carried out, so any may be sent again; after another 5xx only an idempotent one.
    ``Retry-After`` (RFC 9110, seconds or a date) is obeyed up to 30 s.
    """
    throttled = answer.http_status == HTTPStatus.TOO_MANY_REQUESTS or answer.code.startswith(_THROTTLED)
    passing = throttled or (answer.http_status >= 500 and idempotent)
    if answer.success or not passing or attempt >= attempts:
        return None
    return max(_backoff(attempt), _retry_after(answer.retry_after))


def _backoff(attempt: int) -> float:
    """Grow exponentially, with jitter over the upper half so that clients spread out."""
    ceiling: float = min(_CAP, _BASE * 2 ** (attempt - 1))
    return ceiling * random.uniform(0.5, 1.0)


def _retry_after(header: str) -> float:
    if not header:
        return 0.0
    try:
        return min(_RETRY_AFTER_CAP, max(0.0, Retry(0).parse_retry_after(header)))
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0
