"""Questions to nodes that are elsewhere, and their answers, where every process finds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from .clock import now_ms
from .schema import questions

__all__ = ["add", "answer", "answered", "asked", "remove", "remove_before"]

_ASKED = select(
    questions.c.node_id,
    questions.c.asked_ms,
    questions.c.question,
    questions.c.answer.is_not(None).label("is_answered"),
).order_by(questions.c.asked_ms, questions.c.id)


def add(connection: Connection, question_id: str, node_id: str, question: bytes) -> None:
    """Ask a node."""
    row = {"id": question_id, "node_id": node_id, "question": question, "asked_ms": now_ms()}
    connection.execute(insert(questions).values(row))


def asked(connection: Connection) -> Sequence[Row[Any]]:
    """Return all questions in the order in which they were asked, with whether there are answers to them."""
    return connection.execute(_ASKED).all()


def answer(connection: Connection, question_id: str, node_id: str, told: bytes) -> bool:
    """Record an answer; return whether it is the first, and of the node that was asked."""
    pending = (questions.c.id == question_id) & (questions.c.node_id == node_id) & questions.c.answer.is_(None)
    return connection.execute(update(questions).where(pending).values(answer=told)).rowcount == 1


def answered(connection: Connection, question_id: str) -> bytes | None:
    """Return the answer to a question; None while there is none."""
    return connection.execute(select(questions.c.answer).where(questions.c.id == question_id)).scalar_one_or_none()


def remove(connection: Connection, question_id: str) -> None:
    """Forget a question; one that is not there is fine."""
    connection.execute(delete(questions).where(questions.c.id == question_id))


def remove_before(connection: Connection, oldest_ms: int) -> None:
    """Forget the questions that were asked before a time, in milliseconds since the epoch."""
    connection.execute(delete(questions).where(questions.c.asked_ms < oldest_ms))
