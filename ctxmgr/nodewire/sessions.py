"""Messages about nodes, their sessions and what there is to do."""

from __future__ import annotations

from typing import Annotated

import msgspec

from .limits import MAX_PARTS
from .message import Message

__all__ = [
    "Attach",
    "Attached",
    "Hello",
    "Leave",
    "PlanPart",
    "PlannedChange",
    "PlannedPart",
    "PlannedParts",
    "Question",
    "QuestionAnswer",
    "Take",
    "Taken",
    "TaskMessage",
    "Welcome",
]


class Hello(Message):
    """Ask what the service is able to do. A service without nodes answers with something else than ``Welcome``."""


class Welcome(Message):
    """What holds between this service and its nodes.

    Attributes:
        lease_ms: a node that was not heard of for so long is gone.
        wait_ms: how long a ``take`` should ask to wait at most.
        piece_bytes, read_bytes: `PIECE_BYTES` and `READ_BYTES` of the service.
        direct: whether packs can be sent straight to the object store and read from there: ``put_url``, ``get_urls``.
    """

    version: int
    lease_ms: int
    wait_ms: int
    piece_bytes: int
    read_bytes: int
    direct: bool = False


class Attach(Message):
    """Become the node of a session that exists. ``Node.Conflict`` while another node has it.

    Attributes:
        node: ``node-`` and 32 hexadecimal digits, chosen by the process for its lifetime.
        root: the directory's path there, for people; what is not UTF-8 in it is escaped with backslashes.
        host, pid: of the process, for people.
    """

    node: str
    session: str
    root: str
    host: str
    pid: int


class Attached(Message):
    """The node has the session; ``tasks`` are the unfinished downloads that its bindings do by themselves.

    These are queued when the session comes to a node that did not have it; the same node again is told the same.
    """

    tasks: list[str]


class Take(Message):
    """Ask for work, and show that the node is there; the node sends the next as soon as it has the answer.

    Attributes:
        wait_ms: how long the answer may be held back while there is nothing to tell.
        running: the tasks that the node was given and whose end it has not recorded yet, queued or running there.
            A task that the service knows as running there and that is missing here, twice in a row, is failed as
            given up.
        sessions: those that it takes for its own.
    """

    node: str
    host: str
    pid: int
    wait_ms: int = 0
    running: list[str] = msgspec.field(default_factory=list)
    sessions: list[str] = msgspec.field(default_factory=list)


class TaskMessage(Message):
    """What a task is to do: the engine's ``Task``, without the node. ``conflicts`` and ``options`` are JSON,
    as in the task's row."""

    id: str
    session: str
    context: str
    mount: str
    path: str
    mode: str
    delete: bool
    discard: bool = False
    conflicts: str = "[]"
    conflicts_total: int = 0
    options: str = ""


class PlanPart(Message):
    """One binding whose sync is to be planned, or a path below its mount path; ``policy`` is the binding's text."""

    context: str
    mount: str
    path: str
    policy: str


class Question(Message):
    """Someone asks what a sync would do: answered by ``answer``, best within a few seconds."""

    id: str
    session: str
    mode: str
    discard: bool
    parts: list[PlanPart]
    options: str = ""


class Taken(Message):
    """What there is to do.

    Attributes:
        tasks: waiting tasks of the node that ``running`` did not name.
        stop: those of ``running`` that have ended, or are another node's: they must stop, and report nothing more.
        questions: those that nobody answered yet; told again until they are answered.
        gone: those of ``sessions`` that are not the node's any more, by id, and why.
        lease_ms: as in ``Welcome``.
    """

    lease_ms: int
    tasks: list[TaskMessage] = msgspec.field(default_factory=list)
    stop: list[str] = msgspec.field(default_factory=list)
    questions: list[Question] = msgspec.field(default_factory=list)
    gone: dict[str, str] = msgspec.field(default_factory=dict)


class Leave(Message):
    """End being a node: running tasks fail as interrupted, waiting ones wait a lease for another node."""

    node: str


class PlannedChange(Message):
    """One path of a plan; ``action`` is put, drop, write, remove or conflict; ``kind`` is empty for what goes."""

    path: bytes
    action: str
    size: int = 0
    kind: str = ""


class PlannedPart(Message):
    """What the sync of one `PlanPart` would do; ``skipped``, ``conflicts`` and ``excluded`` are JSON."""

    changes: list[PlannedChange]
    unchanged: int = 0
    kept_local: int = 0
    skipped: str = "[]"
    conflicts: str = "[]"
    excluded: str = "[]"
    refusal: str = ""


PlannedParts = Annotated[list[PlannedPart], msgspec.Meta(max_length=MAX_PARTS)]
"""What an answer to a question packs."""


class QuestionAnswer(Message):
    """Answer a question: packed ``[PlannedPart, ...]`` in the order of its parts, or the code and message of an error.

    A plan too large for a body is told as an error: ``InvalidPlan.TooLarge``.
    """

    node: str
    question: str
    code: str = ""
    message: str = ""
    data: bytes = b""
