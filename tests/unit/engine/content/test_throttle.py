"""What moves between a workspace and the store stays below a rate."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ctxmgr.engine.content import throttle
from ctxmgr.engine.content.throttle import TokenBucket
from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, binding, tree


class Clock:
    """A clock that goes on only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.longest = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.longest = max(self.longest, seconds)


def bucket(clock: Clock, rate: int) -> TokenBucket:
    return TokenBucket(rate, lambda: None, clock, clock.sleep)


def test_what_is_taken_takes_its_time_but_for_the_first_second() -> None:
    clock = Clock()
    given = bucket(clock, 1000)
    for _ in range(50):
        given.take(100)
    assert clock.now - 100 == pytest.approx(4)
    given.take(20_000)
    assert clock.now - 100 == pytest.approx(24)


def test_a_pause_saves_no_more_than_a_second() -> None:
    clock = Clock()
    given = bucket(clock, 1000)
    clock.now += 3600
    given.take(5000)
    assert clock.now - 3700 == pytest.approx(4)


def test_a_long_wait_can_be_stopped() -> None:
    class Stopped(Exception):
        pass

    clock = Clock()

    def check() -> None:
        if clock.now > 103:
            raise Stopped

    with pytest.raises(Stopped):
        TokenBucket(1, check, clock, clock.sleep).take(1 << 30)
    assert clock.now < 104
    assert clock.longest < 0.3


@pytest.mark.parametrize("mode", ["upload", "download"])
def test_a_sync_moves_its_bytes_at_its_rate_and_no_other_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    clock = Clock()

    class Bucket(TokenBucket):
        def __init__(self, rate: int, check: object) -> None:
            super().__init__(rate, lambda: None, clock, clock.sleep)

    monkeypatch.setattr(throttle, "TokenBucket", Bucket)
    service = ContextService.open(tmp_path / "data")
    door = Door(service)
    context = door.context()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x").write_text(random.Random(1).randbytes(150_000).hex())
    one = door.session(binding(context), Root=str(tmp_path / "one"))
    choice = {"LimitRate": "1000"} if mode == "upload" else {}
    assert door.sync(one, **choice)[0]["status"] == "Success"
    assert (clock.now > 150) is (mode == "upload")
    (tmp_path / "two").mkdir()
    two = door.session(binding(context, "/", downloadPolicy={"autoDownload": False}), Root=str(tmp_path / "two"))
    before = clock.now
    choice = {"LimitRate": "1000"} if mode == "download" else {}
    assert door.sync(two, "download", **choice)[0]["status"] == "Success"
    assert (clock.now > before + 50) is (mode == "download")
    assert tree(tmp_path / "two") == tree(tmp_path / "one")
    service.close()
