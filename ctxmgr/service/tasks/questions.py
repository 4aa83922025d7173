"""Questions that someone asks of a node, such as what a sync would do, at whichever processes the two are.

What is pending is remembered, and looked up when a process says so and now and then: a node that asks for work costs no
look at it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.nodewire import PlannedPart, PlanPart, Question
from ctxmgr.service.catalog import questions
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.identifiers import new_id

from .watch import Listeners

__all__ = ["Questions"]

NEWS: Final = "questions"
"""What processes listen to, to know that there is another question, or one less."""
ABANDONED_MS: Final = 600_000
"""After which nobody waits for an answer any more: who asked was killed, or its client has gone."""


class Questions:
    """All questions that wait for their answers. Can be used from any thread."""

    def __init__(self, catalog: Catalog, listeners: Listeners) -> None:
        self._catalog = catalog
        self._listeners = listeners
        self._looking = threading.Lock()
        self._pending: dict[str, list[Question]] = {}
        listeners.add(NEWS, self._look_if_possible)

    def ask(
        self, node_id: str, session_id: str, mode: str, discard: bool, parts: Sequence[PlanPart], options: str = ""
    ) -> str:
        """Ask a node, and return the question's id: who listens to it is notified of the answer."""
        question = Question(new_id("q-"), session_id, mode, discard, list(parts), options)
        with self._catalog.write() as connection:
            questions.add(connection, question.id, node_id, nodewire.encode(question))
        self._listeners.notify(NEWS)
        return question.id

    def of(self, node_id: str) -> list[Question]:
        """Return what a node has yet to answer."""
        return self._pending.get(node_id, [])

    def answer(self, message: nodewire.QuestionAnswer) -> None:
        """Take an answer; one to a question that nobody asks any more, or that another node was asked, is dropped."""
        with self._catalog.write() as connection:
            new = questions.answer(connection, message.question, message.node, nodewire.encode(message))
        if new:
            self._listeners.notify(NEWS)
            self._listeners.notify(message.question)

    def is_answered(self, question_id: str) -> bool:
        """Whether there is an answer to a question."""
        with self._catalog.read() as connection:
            return questions.answered(connection, question_id) is not None

    def result(self, question_id: str) -> Sequence[PlannedPart]:
        """Return the answer to a question, which is over with this.

        Raises:
            ServiceError: the node's, or ``Node.Silent``: it has not answered.
        """
        with self._catalog.write() as connection:
            told = questions.answered(connection, question_id)
            questions.remove(connection, question_id)
        if told is None:
            self._listeners.notify(NEWS)
            raise ServiceError(
                "Node.Silent", "the process that has the directory of this session did not answer in time: try again"
            )
        answer = nodewire.decode(told, nodewire.QuestionAnswer)
        if answer.code:
            raise ServiceError(answer.code, answer.message)
        parts: Sequence[PlannedPart] = nodewire.unpack(answer.data, nodewire.PlannedParts)
        return parts

    def look(self) -> None:
        """Find what is pending, notify the nodes that have to answer, and forget what nobody waits for any more."""
        with self._looking:
            with self._catalog.read() as connection:
                rows = questions.asked(connection)
            pending: dict[str, list[Question]] = {}
            for row in rows:
                if not row.is_answered:
                    pending.setdefault(row.node_id, []).append(nodewire.decode(row.question, Question))
            self._pending = pending
        for node_id in pending:
            self._listeners.notify_here(node_id)
        oldest = now_ms() - ABANDONED_MS
        if any(row.asked_ms < oldest for row in rows):
            with self._catalog.write() as connection:
                questions.remove_before(connection, oldest)

    def _look_if_possible(self) -> None:
        with suppress(CatalogError):
            self.look()
