"""Questions that someone asks of a node through this process, such as what a sync would do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ctxmgr.errors import ServiceError
from ctxmgr.nodewire import PlannedPart, PlanPart, Question
from ctxmgr.service.catalog.identifiers import new_id

from .watch import Listeners

__all__ = ["Asked", "Questions"]


class Asked:
    """One question, and what came of it.

    Attributes:
        node_id: the node that is asked.
        question: what it is asked.
    """

    def __init__(self, node_id: str, question: Question) -> None:
        self.node_id = node_id
        self.question = question
        self._answer: Sequence[PlannedPart] | ServiceError | None = None

    @property
    def is_answered(self) -> bool:
        """Whether there is something to tell."""
        return self._answer is not None

    def settle(self, answer: Sequence[PlannedPart] | ServiceError) -> None:
        """Take the answer; the first one counts."""
        self._answer = self._answer if self.is_answered else answer

    def result(self) -> Sequence[PlannedPart]:
        """Return the answer.

        Raises:
            ServiceError: the node's, or ``Node.Silent``: it has not answered.
        """
        if self._answer is None:
            raise ServiceError(
                "Node.Silent", "the process that has the directory of this session did not answer in time: try again"
            )
        if isinstance(self._answer, ServiceError):
            raise self._answer
        return self._answer


class Questions:
    """All questions that wait for their answers."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._guard = threading.Lock()
        self._open: dict[str, Asked] = {}

    def prepare(
        self, node_id: str, session_id: str, mode: str, discard: bool, parts: Sequence[PlanPart], options: str = ""
    ) -> Asked:
        """Return a question that is yet to be asked."""
        return Asked(node_id, Question(new_id("q-"), session_id, mode, discard, list(parts), options))

    def ask(self, asked: Asked, notify: Callable[[], None]) -> Callable[[], None]:
        """Ask a question; ``notify`` is called at its answer, and what is given back takes the question back."""
        ignore = self._listeners.add(asked.question.id, notify)
        with self._guard:
            self._open[asked.question.id] = asked
        self._listeners.notify(asked.node_id)

        def take_back() -> None:
            ignore()
            with self._guard:
                self._open.pop(asked.question.id, None)

        return take_back

    def of(self, node_id: str) -> list[Question]:
        """Return what a node has yet to answer."""
        with self._guard:
            return [
                asked.question for asked in self._open.values() if asked.node_id == node_id and not asked.is_answered
            ]

    def answer(self, node_id: str, question_id: str, answer: Sequence[PlannedPart] | ServiceError) -> None:
        """Take an answer; one to a question that nobody asks any more, or that another node was asked, is dropped."""
        with self._guard:
            asked = self._open.get(question_id)
        if asked is not None and asked.node_id == node_id:
            asked.settle(answer)
            self._listeners.notify(question_id)
