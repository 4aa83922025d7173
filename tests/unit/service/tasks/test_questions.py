"""Questions to nodes, asked at one process and answered at another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import questions
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.tasks.questions import ABANDONED_MS, Questions
from ctxmgr.service.tasks.watch import Listeners

NODE = "node-0123456789abcdef"
PLANNED = nodewire.PlannedPart([])


class Process:
    """A process; what it tells the others reaches nobody."""

    def __init__(self, catalog: Catalog) -> None:
        self.notified: list[str] = []
        self.listeners = Listeners()
        self.listeners.add(NODE, lambda: self.notified.append(NODE))
        self.questions = Questions(catalog, self.listeners)

    def ask(self) -> str:
        return self.questions.ask(NODE, "s-1", "upload", False, [])

    def pending(self) -> list[str]:
        return [question.id for question in self.questions.of(NODE)]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(Catalog.open(tmp_path / "catalog.db")) as opened:
        yield opened


def test_a_question_reaches_its_node_at_another_process_and_the_answer_comes_back(catalog: Catalog) -> None:
    here, there = Process(catalog), Process(catalog)
    asked = here.ask()
    assert (here.pending(), here.notified) == ([asked], [NODE])
    there.questions.look()
    assert (there.pending(), there.notified) == ([asked], [NODE])
    assert not here.questions.is_answered(asked)
    there.questions.answer(nodewire.QuestionAnswer(NODE, asked, data=nodewire.pack([PLANNED])))
    assert there.pending() == []
    assert here.questions.is_answered(asked)
    assert here.questions.result(asked) == [PLANNED]
    with pytest.raises(ServiceError, match="did not answer"):
        here.questions.result(asked)


def test_nothing_stays_of_a_question_whose_asker_was_killed(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    killed, process = Process(catalog), Process(catalog)
    answered, _ = killed.ask(), killed.ask()
    process.questions.answer(nodewire.QuestionAnswer(NODE, answered, code="x", message="no"))
    process.questions.look()
    with catalog.read() as connection:
        assert len(questions.asked(connection)) == 2
    monkeypatch.setattr("ctxmgr.service.tasks.questions.now_ms", lambda: now_ms() + ABANDONED_MS + 1)
    process.questions.look()
    with catalog.read() as connection:
        assert questions.asked(connection) == []
