"""When a request is sent again, and after how long."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from ctxmgr import ConnectionFailed, ProtocolError, RequestTimeout, TransportError
from ctxmgr.protocol import Answer, answer_from_document
from ctxmgr.retry import delay_after
from tests.support.answers import ok, refused

UNSENT = ConnectionFailed("refused", received=False)
BROKEN = ConnectionFailed("the connection broke")
TOO_SLOW = RequestTimeout("no answer")


def failed(http_status: int, code: str = "Any", retry_after: str = "") -> Answer:
    return answer_from_document(refused(code), http_status, retry_after)


def delay(outcome: Answer | TransportError, attempt: int = 1, *, idempotent: bool = True) -> float | None:
    return delay_after(outcome, attempt, 4, idempotent=idempotent)


def after(retry_after: str) -> float:
    seconds = delay(failed(503, retry_after=retry_after))
    assert seconds is not None
    return seconds


class TestAfterError:
    @pytest.mark.parametrize("error", [UNSENT, BROKEN, TOO_SLOW])
    def test_what_does_no_harm_twice_is_sent_again(self, error: TransportError) -> None:
        assert delay(error) is not None

    def test_what_has_an_effect_is_sent_again_if_it_was_not_received(self) -> None:
        assert delay(UNSENT, idempotent=False) is not None

    @pytest.mark.parametrize("error", [BROKEN, TOO_SLOW])
    def test_what_has_an_effect_is_not_sent_again_if_it_may_have_been_received(self, error: TransportError) -> None:
        assert delay(error, idempotent=False) is None

    def test_the_last_attempt_is_not_followed_by_another(self) -> None:
        assert (delay(BROKEN, 3) is None, delay(BROKEN, 4) is None) == (False, True)

    @pytest.mark.parametrize(("status", "again"), [(200, False), (404, False), (429, True), (500, True), (502, True)])
    def test_an_answer_that_is_not_the_protocol_is_judged_by_its_status(self, status: int, again: bool) -> None:
        assert (delay(ProtocolError("HTML", http_status=status)) is not None) is again

    @pytest.mark.parametrize(("status", "again"), [(429, True), (502, False)])
    def test_so_is_one_to_what_has_an_effect(self, status: int, again: bool) -> None:
        assert (delay(ProtocolError("HTML", http_status=status), idempotent=False) is not None) is again

    def test_an_answer_that_is_not_the_protocol_may_say_when_to_come_back(self) -> None:
        assert delay(ProtocolError("HTML", http_status=503, retry_after="7")) == 7


class TestAfterAnswer:
    def test_a_success_is_taken(self) -> None:
        assert delay(answer_from_document(ok())) is None

    @pytest.mark.parametrize("status", [200, 400, 403, 404, 409])
    def test_a_refusal_is_taken(self, status: int) -> None:
        assert delay(failed(status, "InvalidContext.NotFound")) is None

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_a_failure_of_the_server_may_pass(self, status: int) -> None:
        assert delay(failed(status)) is not None

    def test_a_failure_of_the_server_may_have_had_the_effect(self) -> None:
        assert delay(failed(500), idempotent=False) is None

    @pytest.mark.parametrize(
        "answer",
        [
            failed(429),
            failed(200, "Throttling.User"),
            failed(400, "TooManyRequests"),
            failed(400, "InvalidRequest.Damaged"),
        ],
    )
    def test_a_request_that_was_throttled_or_damaged_had_no_effect(self, answer: Answer) -> None:
        assert delay(answer, idempotent=False) is not None

    def test_the_last_attempt_is_not_followed_by_another(self) -> None:
        assert (delay(failed(500), 3) is None, delay(failed(500), 4) is None) == (False, True)


class TestBackoff:
    @pytest.mark.parametrize(("attempt", "ceiling"), [(1, 0.2), (2, 0.4), (3, 0.8)])
    def test_it_doubles_within_its_jitter(self, attempt: int, ceiling: float) -> None:
        delays = [delay(BROKEN, attempt) or 0 for _ in range(50)]
        assert ceiling / 2 <= min(delays) <= max(delays) <= ceiling

    def test_it_is_spread(self) -> None:
        assert len({delay(BROKEN) for _ in range(10)}) > 1

    def test_it_is_capped(self) -> None:
        assert (delay_after(BROKEN, 40, 99, idempotent=True) or 99) <= 10


class TestRetryAfter:
    def test_seconds_are_obeyed(self) -> None:
        assert after("7") == 7

    def test_a_date_is_obeyed(self) -> None:
        assert 0 < after(formatdate(time.time() + 29, usegmt=True)) <= 29

    def test_it_is_obeyed_up_to_30_seconds(self) -> None:
        assert after("86400") == 30

    def test_a_date_far_away_is_obeyed_up_to_30_seconds(self) -> None:
        assert after("Fri, 31 Dec 9999 23:59:59 GMT") == 30

    def test_a_date_that_has_passed_leaves_the_backoff(self) -> None:
        assert 0.1 <= after("Wed, 21 Oct 2015 07:28:00 GMT") <= 0.2

    def test_it_does_not_shorten_the_backoff(self) -> None:
        assert 0.1 <= after("0") <= 0.2

    @pytest.mark.parametrize(
        "garbage",
        ["soon", "-5", "1e3", "∞", "٣", "9" * 5000, "Wed, 21 Oct 99999 07:28:00 GMT", "Wed, 99 Foo 2015", " "],
        ids=lambda text: text[:12],
    )
    def test_garbage_leaves_a_sane_delay(self, garbage: str) -> None:
        assert 0.1 <= after(garbage) <= 30
