"""When a sync is done, against simulated servers that know what became of every task: no claim that is not true.

A simulated server lists tasks in any order of appearing, vanishing, coming back, ending and failing, among polls that
fail. It keeps one promise, which every rule rests on: what it starts shows within ``settle_polls`` polls.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr import ConnectionFailed, ContextStatusData, NotFoundError
from ctxmgr.completion import BindingKey, Budget, Found, Target, TaskWait, Verdict, judge
from ctxmgr.snapshot import SnapshotWait

SETTLE = 3
POLLS = 60
TRANSIENT = ConnectionFailed("the connection broke")
PERMANENT = NotFoundError("InvalidMcpSession.NotFound", "no such session")
ABSENT = None
Frame = ContextStatusData | None


@attrs.frozen
class Simulated:
    """One task as its server lists it.

    Attributes:
        frames: what each poll shows of it, the last for ever; ``None`` while it is not listed.
        outcome: how it really ends.
    """

    frames: tuple[Frame, ...]
    outcome: str

    def at(self, number: int) -> Frame:
        return self.frames[min(number, len(self.frames) - 1)]

    @property
    def vanishes(self) -> bool:
        """Whether it is listed and then no longer, without its end being told."""
        return self.frames[-1] is ABSENT and not any(frame is not None and frame.is_terminal for frame in self.frames)


@attrs.frozen
class Server:
    """A server without task ids.

    Attributes:
        before: the frames of what was there before the trigger, by binding.
        ours: the task that the trigger starts, by binding; missing where there is nothing to do.
    """

    bindings: tuple[BindingKey, ...]
    tells_bindings: bool
    before: dict[BindingKey, Simulated]
    ours: dict[BindingKey, Simulated]
    noise: tuple[ContextStatusData, ...]
    polls: tuple[Found | None, ...]

    def snapshot(self) -> list[ContextStatusData]:
        """What it lists before the trigger."""
        return [entry for task in self.before.values() if (entry := task.at(0)) is not None]

    def listing(self, number: int) -> list[ContextStatusData]:
        """What its successful poll of that number shows."""
        tasks = [*self.before.values(), *self.ours.values()]
        return [*self.noise, *(entry for task in tasks if (entry := task.at(number)) is not None)]


def entry(status: str, binding: BindingKey, start: int, task_type: str = "upload") -> ContextStatusData:
    ended = status in ("Success", "Failed")
    return ContextStatusData(
        context_id=binding[0],
        path=binding[1],
        status=status,
        start_time=start,
        finish_time=start + 5 if ended else 0,
        task_type=task_type,
    )


def lifetime(rng: random.Random, binding: BindingKey, start: int, outcome: str, *, queued: bool) -> list[Frame]:
    """What polls show of a task from its beginning on: it may flicker, and vanish before or after its end is told."""
    waiting = entry("Waiting", binding, 0)
    running = entry(rng.choice(["Running", "success", "Pending"]), binding, start)
    frames: list[Frame] = [waiting] * (rng.randint(0, 2) if queued else 0)
    for _ in range(rng.randint(0, 3)):
        frames += [running] * rng.randint(1, 3)
        if rng.random() < 0.2:
            frames += [ABSENT] * rng.randint(1, SETTLE - 1)
    if frames and rng.random() < 0.25:
        return [*frames, ABSENT]
    frames.append(entry(outcome, binding, start))
    return [*frames, ABSENT] if rng.random() < 0.2 else frames


def simulated_server(rng: random.Random) -> Server:
    bindings = tuple((rng.choice(["SdkCtx-1", "SdkCtx-2"]), path) for path in ("/a", "/b", "/c")[: rng.randint(1, 3)])
    before: dict[BindingKey, Simulated] = {}
    ours: dict[BindingKey, Simulated] = {}
    for binding in bindings:
        outcome = rng.choice(["Success", "Success", "Failed"])
        earlier: list[Frame] = []
        if rng.random() < 0.6:
            earlier = lifetime(rng, binding, 100, outcome, queued=False)
            if rng.random() < 0.5:
                earlier = [entry(outcome, binding, 100)]
            if earlier[0] is not ABSENT:
                before[binding] = Simulated(tuple(earlier), outcome)
        if rng.random() < 0.75:
            result = rng.choice(["Success", "Success", "Success", "Failed"])
            unseen: list[Frame] = [ABSENT] * (1 + rng.choice([0, rng.randint(0, SETTLE - 1), len(earlier)]))
            if len(unseen) > SETTLE and binding not in before:
                unseen = unseen[:SETTLE]
            life = lifetime(rng, binding, 200, result, queued=True)
            ours[binding] = Simulated((*unseen, *life), result)
    noise = [
        entry("Success", ("SdkCtx-1", "/a"), 300, "download"),
        entry("Running", ("SdkCtx-2", "/b"), 300, "download"),
    ]
    polls: list[Found | None] = [TRANSIENT if rng.random() < 0.15 else None for _ in range(POLLS)]
    if rng.random() < 0.05:
        polls[rng.randrange(POLLS)] = PERMANENT
    chosen = tuple(each for each in noise if rng.random() < 0.3)
    return Server(bindings, rng.random() < 0.5, before, ours, chosen, tuple(polls))


def polled(server: Server) -> Iterator[Found]:
    number = 0
    for failure in server.polls:
        if failure is not None:
            yield failure
        else:
            number += 1
            yield server.listing(number)


def check(server: Server) -> str:
    """Let a sync wait on a server, and hold its verdict against what the server knows. Return what it came to."""
    known = server.bindings if server.tells_bindings else None
    wait = SnapshotWait(Target("upload"), server.snapshot(), Budget(POLLS, 1), settle_polls=SETTLE, bindings=known)
    shown: list[ContextStatusData] = []
    verdict: Verdict | None = None
    for found in polled(server):
        if isinstance(found, list):
            shown += found
        verdict = judge(wait, found, 0.0)
        if verdict is not None:
            break
    assert verdict is not None, f"an endless wait on {server}"
    if not verdict.success:
        assert not is_plain(server), f"{verdict} on a server that told everything: {server}"
        return "failure"
    for binding in server.bindings:
        assert_true(verdict, server, binding, shown)
    return "nothing to sync" if verdict.nothing_to_sync else "success"


def assert_true(verdict: Verdict, server: Server, binding: BindingKey, shown: Sequence[ContextStatusData]) -> None:
    ours, earlier = server.ours.get(binding), server.before.get(binding)
    if ours is not None:
        assert not verdict.nothing_to_sync, f"nothing to sync, but {binding} was synced: {server}"
        assert ours.outcome == "Success", f"a false success of {binding}: {server}"
        assert entry("Success", binding, 200) in shown, f"a success of {binding} without evidence: {server}"
    elif earlier is not None:
        assert earlier.outcome == "Success", f"the failure at {binding} was passed over: {server}"
        assert not earlier.vanishes, f"what vanished at {binding} was taken for done: {server}"


def is_plain(server: Server) -> bool:
    """Whether a sync must succeed: everything began well, ended well, and was told for ever."""
    if PERMANENT in server.polls:
        return False
    tasks = [*server.ours.values(), *server.before.values()]
    return all(task.outcome == "Success" and task.frames[-1] is not ABSENT for task in tasks)


@pytest.mark.slow
def test_twenty_thousand_servers_and_no_untrue_claim() -> None:
    rng = random.Random(20261124)
    outcomes = [check(simulated_server(rng)) for _ in range(20_000)]
    rare = {kind for kind in ("success", "nothing to sync", "failure") if outcomes.count(kind) < 500}
    assert not rare, f"the servers hardly ever led to {rare}"


@given(st.randoms(use_true_random=False))
def test_no_untrue_claim_on_a_server_that_can_be_made_smaller(rng: random.Random) -> None:
    check(simulated_server(rng))


IDS = ("t-1", "t-2")
NAMED = st.lists(
    st.builds(
        lambda task_id, status: attrs.evolve(entry(status, ("SdkCtx-1", "/a"), 200), task_id=task_id),
        st.sampled_from([*IDS, "t-9"]),
        st.sampled_from(["Success", "Failed", "Running", "Waiting", ""]),
    ),
    max_size=3,
)


@given(st.lists(NAMED | st.just(TRANSIENT), max_size=12))
def test_named_tasks_are_believed_at_their_first_failure(polls: list[Found]) -> None:
    wait = TaskWait(Target("upload"), IDS, Budget(len(polls) or 1, 0), 0.0)
    told: dict[str, set[str]] = {task_id: set() for task_id in IDS}
    for found in polls:
        if isinstance(found, list):
            for each in found:
                told.get(each.task_id, set()).add(each.status)
        verdict = judge(wait, found, 0.0)
        if verdict is not None:
            assert verdict.success == all("Success" in said and "Failed" not in said for said in told.values())
            return
    assert len(polls) == 0, "an endless wait"
