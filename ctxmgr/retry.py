"""When a request may be sent again, and after how long: pure decisions."""

from __future__ import annotations

import random
from http import HTTPStatus

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from .errors import ProtocolError, TransportError
from .protocol import Answer

__all__ = ["delay_after", "retry_after"]

_BASE = 0.2
_CAP = 10.0
_RETRY_AFTER_CAP = 30.0
_NO_EFFECT = ("Throttling", "TooManyRequests", "InvalidRequest.Damaged")


def delay_after(outcome: Answer | TransportError, attempt: int, attempts: int, *, idempotent: bool) -> float | None:
    """Return the seconds to wait before sending a request again, or ``None`` to take what came of it.

    A request that was throttled or arrived damaged, or that can't have been received, had no effect: any is sent again
    then. After another failure that may pass, such as a 5xx, only an idempotent one is.
    ``Retry-After`` (RFC 9110, seconds or a date) is obeyed up to 30 s.

    Args:
        attempt: how often it has been sent.
        attempts: how often it may be sent in all.
        idempotent: whether it does no harm twice.
    """
    if isinstance(outcome, (Answer, ProtocolError)):
        untaken = outcome.http_status == HTTPStatus.TOO_MANY_REQUESTS or _had_no_effect(outcome)
        repeatable = untaken or (idempotent and outcome.http_status >= 500)
        told = outcome.retry_after
    else:
        repeatable, told = idempotent or not outcome.received, ""
    taken = isinstance(outcome, Answer) and outcome.success
    if taken or not repeatable or attempt >= attempts:
        return None
    return max(_backoff(attempt), retry_after(told))


def _had_no_effect(outcome: Answer | ProtocolError) -> bool:
    return isinstance(outcome, Answer) and outcome.code.startswith(_NO_EFFECT)


def _backoff(attempt: int) -> float:
    """Grow exponentially, with jitter over the upper half so that clients spread out."""
    ceiling: float = min(_CAP, _BASE * 2 ** (attempt - 1))
    return ceiling * random.uniform(0.5, 1.0)


def retry_after(header: str) -> float:
    """Return the seconds that a ``Retry-After`` header asks for, as far as it is obeyed."""
    if not header:
        return 0.0
    try:
        return min(_RETRY_AFTER_CAP, max(0.0, Retry(0).parse_retry_after(header)))
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0
