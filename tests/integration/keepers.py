"""Those who keep directories in shared contexts and write down what they were told; and whether that was true."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from ctxmgr import Client, Context, ContextSyncResult, CtxmgrError, Session
from tests.support.linearizability import Operation, violations

__all__ = ["Asker", "Keeper", "Record", "untrue"]

ATTEMPTS = 50
OWN_NAMES = 4
SHARED_NAMES = 3
SHARED = "shared-"
LARGEST = 60_000


@attrs.frozen
class Claim:
    """What was said of a context at a revision.

    Attributes:
        who: was told so.
        revision: of the context.
        covered: what the names of the files begin with of which it was said.
        files: those that it has.
    """

    who: str
    revision: int
    covered: tuple[str, ...]
    files: dict[str, bytes]


@attrs.frozen
class Told:
    """A sync that succeeded, or a look at the head.

    Attributes:
        tasks: the ids of its tasks.
        revision: the head that it was told.
    """

    who: str
    start: float
    end: float
    tasks: tuple[str, ...]
    revision: int


class Record:
    """What all were told, by context. Used by many threads at once.

    Attributes:
        claims, told: by a context's id.
        unanswered: by a context's id, when the syncs began that may have happened or not.
        written: by a context's id and a shared file's name, all that was ever written there.
        outcomes: how often something came out so.
        last_error: what the last sync that failed was told.
        successes, failures: released for each sync that ended so, for who counts them.
    """

    def __init__(self) -> None:
        self.claims: dict[str, list[Claim]] = defaultdict(list)
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.unanswered: dict[str, list[float]] = defaultdict(list)
        self.written: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        self.outcomes: Counter[str] = Counter()
        self.last_error = ""
        self.successes = threading.Semaphore(0)
        self.failures = threading.Semaphore(0)
        self._guard = threading.Lock()

    def sync(self, who: str, context: Context, session: Session, mode: str) -> ContextSyncResult | None:
        """Sync; return how a success ended, and None for what may have happened or not."""
        start = time.monotonic()
        try:
            result = session.context.sync(mode=mode, allow_mass_delete=True)  # type: ignore[arg-type]
        except CtxmgrError as error:
            self._fail(context, start, f"[{type(error).__name__}] {error}")
            return None
        if not result.success:
            self._fail(context, start, result.error_message)
            return None
        with self._guard:
            told = Told(who, start, time.monotonic(), result.task_ids, result.revision)
            self.told[context.id].append(told)
            self.outcomes[mode] += 1
        self.successes.release()
        return result

    def look(self, who: str, context: Context, client: Client) -> None:
        """Look at the head."""
        start = time.monotonic()
        try:
            found = client.contexts.revisions(context, max_results=1).raise_for_error().revisions
        except CtxmgrError:
            return
        with self._guard:
            number = found[0].number if found else 0
            self.told[context.id].append(Told(who, start, time.monotonic(), (), number))
            self.outcomes["look"] += 1

    def operations(self, context: Context, makers: Mapping[int, str]) -> Sequence[Operation]:
        """Return who was told what of a context's head.

        Who asks for a sync that already waits to begin is given the same task: it happened between the last question
        and the first answer.

        Args:
            makers: by the number of each revision, the task that made it.
        """
        made: dict[str, list[int]] = defaultdict(list)
        for number, task in makers.items():
            made[task].append(number)
        answered: dict[tuple[str, ...], Operation] = {}
        for told in self.told[context.id]:
            numbers = [number for task in told.tasks for number in made[task]]
            base = min(numbers) - 1 if numbers else told.revision
            operation = Operation(told.who, told.start, told.end, base, told.revision)
            name = told.tasks or (str(len(answered)),)
            if (same := answered.get(name)) is not None:
                start, end = max(same.start, told.start), min(same.end, told.end)
                operation = attrs.evolve(operation, who=f"{same.who}, {told.who}", start=start, end=end)
            answered[name] = operation
        return list(answered.values())

    def _fail(self, context: Context, start: float, error: str) -> None:
        with self._guard:
            self.unanswered[context.id].append(start)
            self.outcomes[error.partition(" ")[0]] += 1
            self.last_error = error
        self.failures.release()


class Keeper:
    """Keeps a directory, as the node of its session. Files with its name in theirs are written by nobody else."""

    def __init__(
        self,
        name: str,
        client: Client,
        context: Context,
        others: Iterable[str],
        directory: Path,
        record: Record,
        seed: int,
    ) -> None:
        self.name = name
        self.context = context
        self.session = _session(client, context, directory)
        self._directory = directory
        self._others = tuple(f"{other}-" for other in others)
        self._own = (f"{name}-",)
        self._record = record
        self._random = random.Random(seed)
        self._number = 0

    def step(self) -> None:
        """Change some files and upload them, or download what others changed."""
        if self._random.random() < 0.3:
            self._download()
        else:
            self._change()
            self.upload()

    def upload(self) -> bool:
        """Upload; return whether that was said to be done."""
        held = self._held(self._own)
        result = self._record.sync(self.name, self.context, self.session, "upload")
        if result is not None:
            self._record.claims[self.context.id].append(Claim(self.name, result.revision, self._own, held))
        return result is not None

    def _download(self) -> None:
        result = self._record.sync(self.name, self.context, self.session, "download")
        if result is not None:
            held = self._held(self._others)
            self._record.claims[self.context.id].append(Claim(self.name, result.revision, self._others, held))

    def _change(self) -> None:
        for _ in range(self._random.randint(1, 3)):
            self._number += 1
            content = f"{self.name}, change {self._number}\n".encode() + self._random.randbytes(
                self._random.randrange(LARGEST)
            )
            if self._random.random() < 0.25:
                name = f"{SHARED}{self._random.randrange(SHARED_NAMES)}"
                self._record.written[self.context.id, name].append(content)
            else:
                name = f"{self.name}-{self._random.randrange(OWN_NAMES)}"
            if self._random.random() < 0.15:
                (self._directory / name).unlink(missing_ok=True)
            else:
                (self._directory / name).write_bytes(content)

    def _held(self, covered: tuple[str, ...]) -> dict[str, bytes]:
        return files_of(self._directory, covered)


class Asker:
    """Asks any process about any context, and for syncs of directories that others keep."""

    def __init__(self, name: str, client: Client, keepers: Sequence[Keeper], record: Record, seed: int) -> None:
        self._name = name
        self._client = client
        self._keepers = keepers
        self._record = record
        self._random = random.Random(seed)

    def step(self) -> None:
        """Ask something."""
        keeper = self._random.choice(self._keepers)
        if self._random.random() < 0.3:
            session = self._client.session(keeper.session.session_id)
            self._record.sync(self._name, keeper.context, session, "upload")
        else:
            self._record.look(self._name, keeper.context, self._client)


def _session(client: Client, context: Context, directory: Path) -> Session:
    for _ in range(ATTEMPTS):
        with suppress(CtxmgrError):
            return client.sessions.create(directory, {"/": context}).raise_for_error().session
    raise AssertionError(f"{ATTEMPTS} times in vain")


def files_of(directory: Path, covered: tuple[str, ...]) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.name.startswith(covered)}


def untrue(record: Record, context: Context, client: Client, folder: Path) -> Sequence[str]:
    """Return what was said of a context and is not so: each claim is compared with what the context held then."""
    makers = {revision.number: revision.task_id for revision in client.contexts.iter_revisions(context)}
    head = max(makers, default=0)
    found = list(violations(record.operations(context, makers), record.unanswered[context.id], head))
    if sorted(makers) != list(range(1, head + 1)):
        found.append(f"revisions are missing: there are {sorted(makers)}")
    by_revision: dict[int, list[Claim]] = defaultdict(list)
    for claim in record.claims[context.id]:
        by_revision[claim.revision].append(claim)
    for number, claims in sorted(by_revision.items()):
        if number not in makers:
            found += [f"{claim.who} was told of revision {number}, which is not there" for claim in claims if number]
            continue
        there = folder / str(number)
        client.contexts.restore(context, there, revision=number).raise_for_error()
        for claim in claims:
            if (held := files_of(there, claim.covered)) != claim.files:
                differing = {name for name in held | claim.files if held.get(name) != claim.files.get(name)}
                found.append(f"{claim.who} was told that {differing} are in revision {number}, and they are not")
        for name, content in files_of(there, (SHARED,)).items():
            if content not in record.written[context.id, name]:
                found.append(f"{name} of revision {number} is what nobody has written")
    return found
