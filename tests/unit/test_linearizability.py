"""The checker of recorded histories: it accepts what one head can have told, and finds what none can."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.support.linearizability import Operation, violations


def made(base: int, revision: int, start: float, end: float) -> Operation:
    return Operation("writer", start, end, base, revision)


def seen(revision: int, start: float, end: float) -> Operation:
    return Operation("reader", start, end, revision, revision)


class TestAccepted:
    def test_nothing_at_all(self) -> None:
        assert violations([], [], 0) == []

    def test_one_after_the_other(self) -> None:
        assert violations([made(0, 1, 0, 1), seen(1, 2, 3), made(1, 3, 4, 5), seen(3, 6, 7)], [], 3) == []

    def test_at_the_same_time_in_either_order(self) -> None:
        assert violations([made(1, 2, 0, 9), made(0, 1, 0, 9), seen(0, 0, 9), seen(2, 0, 9)], [], 2) == []

    def test_what_got_no_answer_and_happened_or_did_not(self) -> None:
        assert violations([made(0, 1, 0, 1), made(3, 4, 2, 3)], [0, 0], 4) == []

    def test_what_got_no_answer_and_happened_last(self) -> None:
        assert violations([made(0, 1, 0, 1)], [7], 2) == []

    def test_whatever_one_head_told(self) -> None:
        chance = random.Random(1)
        for _ in range(200):
            told: list[Operation] = []
            unanswered: list[float] = []
            head = 0
            for moment in range(chance.randrange(20)):
                start, end = moment - chance.uniform(0, 5), moment + chance.uniform(0, 5)
                base, head = head, head + chance.choice([0, 1, 2])
                if head == base or chance.random() < 0.8:
                    told.append(made(base, head, start, end))
                else:
                    unanswered.append(start)
            chance.shuffle(told)
            assert violations(told, unanswered, head) == []


class TestFound:
    def test_two_that_made_the_same_revision(self) -> None:
        (found,) = violations([made(0, 1, 0, 9), made(0, 1, 0, 9)], [], 1)
        assert "goes out from 0, and another had made 1" in found

    def test_one_that_overlooked_another(self) -> None:
        assert violations([made(0, 2, 0, 9), made(1, 3, 0, 9)], [], 3)

    def test_a_look_that_was_behind(self) -> None:
        (found,) = violations([made(0, 1, 0, 1), made(1, 2, 2, 3), seen(1, 4, 5)], [], 2)
        assert "was answered before it can have happened" in found

    def test_a_look_into_the_future(self) -> None:
        (found,) = violations([seen(1, 0, 1), made(0, 1, 2, 3)], [], 1)
        assert "was answered before it can have happened" in found

    def test_an_order_that_time_forbids(self) -> None:
        assert violations([made(1, 2, 0, 1), made(0, 1, 2, 3)], [], 2)

    def test_looks_that_contradict_each_other(self) -> None:
        assert violations([made(0, 1, 0, 9), seen(1, 1, 2), seen(0, 3, 4)], [], 1)

    def test_a_revision_that_was_lost(self) -> None:
        (found,) = violations([made(0, 1, 0, 1), made(1, 2, 2, 3)], [], 1)
        assert found == "somebody was told of revision 2, and the head is 1"

    @pytest.mark.parametrize("head", [2, 3])
    def test_revisions_that_nobody_made(self, head: int) -> None:
        (found,) = violations([made(0, 1, 0, 1), made(2, 3, 2, 3)][: head - 1], [], head)
        assert "nobody made the revisions 2 to 2" in found

    def test_what_got_no_answer_and_was_asked_too_late(self) -> None:
        assert violations([made(1, 2, 0, 1)], [2], 2)

    def test_any_swap_of_two_that_did_not_overlap(self) -> None:
        history = [made(number, number + 1, 2 * number, 2 * number + 1) for number in range(6)]
        assert violations(history, [], 6) == []
        for one, other in itertools.combinations(history, 2):
            swapped = [each for each in history if each not in (one, other)]
            swapped += [made(other.base, other.base + 1, one.start, one.end)]
            swapped += [made(one.base, one.base + 1, other.start, other.end)]
            assert violations(swapped, [], 6)
