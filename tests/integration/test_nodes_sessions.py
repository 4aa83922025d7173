"""Sessions whose directories are elsewhere, over real sockets: begun, taken over, asked about, deleted, ended."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ctxmgr import nodewire
from ctxmgr.engine.manifest.entries import DIRECTORY, Entry
from ctxmgr.service.catalog import questions
from ctxmgr.testing import Service, serve

from .anywhere import ctxmgr_service
from .asking import Asker, Waiting, entries, until
from .nodeasking import SpeakingNode, TakingInBackground, changing, file_of, refused, refusing

__all__ = ["ctxmgr_service"]

A = file_of(b"content")


@pytest.fixture
def other(asker: Asker) -> SpeakingNode:
    return SpeakingNode(asker)


def lapse(service: Service, node: SpeakingNode) -> None:
    """Have the lease of a node be over."""
    leases = service.service._runtime.leases
    leases.look()
    leases._heard[node.id] = replace(leases._heard[node.id], when=-1_000.0)


class TestCreate:
    def test_the_session_tells_its_node_and_the_directory_there(self, node: SpeakingNode, asker: Asker) -> None:
        place = {"Node": node.id, "NodeHost": "sandbox", "NodePid": 42, "Root": "/not/here"}
        made = asker.data("CreateMcpSession", **place)
        assert (made["Node"], made["Root"]) == (node.id, "/not/here")
        told = asker.data("GetSession", SessionId=made["SessionId"])
        assert (told["Node"], told["Root"]) == (node.id, "/not/here")

    def test_nothing_is_made_or_looked_at_here(
        self, ctxmgr_service: Service, node: SpeakingNode, tmp_path: Path
    ) -> None:
        node.session(path="/data", Root=str(tmp_path / "elsewhere"))
        assert not (tmp_path / "elsewhere").exists()
        assert list(ctxmgr_service.folder.joinpath("sessions").iterdir()) == []

    def test_downloads_that_a_binding_does_by_itself_wait_for_the_node(self, node: SpeakingNode, asker: Asker) -> None:
        binding = {"ContextId": asker.context(), "Path": "/data"}
        made = asker.data("CreateMcpSession", PersistenceDataList=[binding], Node=node.id, Root="/home/me")
        (task,) = node.take().tasks
        assert ([task.id], task.mode) == (made["TaskIds"], "download")

    def test_another_service_of_the_same_root_is_no_matter_here(self, asker: Asker) -> None:
        one, two = SpeakingNode(asker), SpeakingNode(asker)
        assert one.session() != two.session()

    @pytest.mark.parametrize(
        "wrong",
        [{"Node": "here"}, {"NodeHost": "a\x07b"}, {"NodePid": -1}, {"Root": ""}, {"Linger": 0}, {"Linger": "long"}],
        ids=str,
    )
    def test_a_node_that_is_none_is_refused(self, node: SpeakingNode, asker: Asker, wrong: dict[str, object]) -> None:
        place = {"Node": node.id, "NodeHost": "sandbox", "NodePid": 42, "Root": "/home/me"}
        assert asker.ask("CreateMcpSession", **{**place, **wrong})["Code"] == "InvalidParameter.Malformed"

    def test_what_is_said_of_no_node_is_refused(self, asker: Asker) -> None:
        for alone in ({"NodeHost": "sandbox"}, {"NodePid": 42}, {"Linger": 5}):
            assert asker.ask("CreateMcpSession", **alone)["Code"] == "InvalidParameter.Malformed"

    def test_paths_that_lie_in_each_other_are_refused_as_here(self, node: SpeakingNode, asker: Asker) -> None:
        bindings = [
            {"ContextId": asker.context("one"), "Path": "/data"},
            {"ContextId": asker.context("two"), "Path": "/data/more"},
        ]
        answer = asker.ask("CreateMcpSession", PersistenceDataList=bindings, Node=node.id, Root="/home/me")
        assert answer["Code"] == "InvalidBinding.Overlap"

    def test_more_can_be_bound_later(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        binding = [{"ContextId": asker.context("more"), "Path": "/more"}]
        assert asker.ask("BindContexts", SessionId=session, PersistenceDataList=binding)["Code"] != "ok"
        session = node.session(path="/data")
        (task,) = asker.data("BindContexts", SessionId=session, PersistenceDataList=binding)["TaskIds"]
        assert [each.id for each in node.take().tasks] == [task]


class TestAttach:
    def test_a_session_that_the_service_made_is_done_at_the_node_from_then_on(
        self, node: SpeakingNode, asker: Asker
    ) -> None:
        session = asker.session("/data")
        tasks = node.attach(session)
        assert [(task.id, task.mode) for task in node.take().tasks] == [(tasks[0], "download")]
        told = asker.data("GetSession", SessionId=session)
        assert (told["Node"], told["Root"]) == (node.id, "/home/me")
        task = node.begun(session)
        assert node.take().stop == []
        node.store(b"content")
        node.commit(task, changing({b"a": A}, mount="/data"))
        assert asker.wait(session, task)["status"] == "Success"

    def test_it_can_be_sent_twice(self, node: SpeakingNode, asker: Asker) -> None:
        session = asker.session("/data")
        tasks = node.attach(session)
        node.do(nodewire.Start(node.id, tasks[0]))
        assert node.attach(session) == tasks
        assert node.take(running=tasks).tasks == []

    def test_while_another_node_is_there_it_is_refused(
        self, node: SpeakingNode, other: SpeakingNode, session: str
    ) -> None:
        refusal = refused(other, nodewire.Attach(other.id, session, "/elsewhere", "laptop", 7))
        assert (refusal.status, refusal.code) == (409, "Node.Conflict")
        assert "process 42 on sandbox" in str(refusal)
        assert re.search(r"free in (30|[12]?\d) s", str(refusal))

    def test_of_one_that_has_left_no_other_account_takes_the_place(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        (waiting,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        node.do(nodewire.Leave(node.id))
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.key("thief")) as other:
            thief = SpeakingNode(other, node.id)
            assert refused(thief, nodewire.Take(node.id, "elsewhere", 7)).code == "Forbidden.Node"
        assert [task.id for task in node.take().tasks] == [waiting]

    def test_one_that_has_left_is_followed_at_once(
        self, node: SpeakingNode, other: SpeakingNode, asker: Asker, session: str
    ) -> None:
        running = node.begun(session)
        (waiting,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        node.do(nodewire.Leave(node.id))
        node.do(nodewire.Leave(node.id))
        (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskIds=[running]))
        assert entry["errorMessage"] == "interrupted: the process that had the directory left"
        other.attach(session)
        assert [task.id for task in other.take().tasks] == [waiting]

    def test_one_whose_lease_is_over_is_followed_and_reports_nothing_any_more(
        self, ctxmgr_service: Service, node: SpeakingNode, other: SpeakingNode, asker: Asker, session: str
    ) -> None:
        task = node.begun(session)
        node.store(b"content")
        lapse(ctxmgr_service, node)
        other.attach(session)
        (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskIds=[task]))
        assert "(sandbox, pid 42) has not been heard of for 30 s" in entry["errorMessage"]
        back = node.take(running=[task], sessions=[session])
        assert (back.stop, list(back.gone)) == ([task], [session])
        with refusing("Task.Interrupted"):
            node.commit(task, changing({b"a": A}))
        assert node.changes(asker.context())[0].head == 0

    def test_one_whose_lease_is_over_comes_back_if_nobody_followed(
        self, ctxmgr_service: Service, node: SpeakingNode, session: str
    ) -> None:
        task = node.begun(session)
        lapse(ctxmgr_service, node)
        ctxmgr_service.service._runtime.leases.look()
        back = node.take(running=[task], sessions=[session])
        assert (back.stop, back.gone) == ([task], {})
        assert node.begun(session)

    def test_a_directory_of_the_services_own_disk_is_not_given_away(
        self, node: SpeakingNode, asker: Asker, tmp_path: Path
    ) -> None:
        session = asker.session(Root=str(tmp_path))
        refusal = refused(node, nodewire.Attach(node.id, session, "/home/me", "sandbox", 42))
        assert refusal.code == "Forbidden.Root"
        assert str(tmp_path) in str(refusal)

    def test_a_session_that_is_not_there_or_being_deleted_is_refused(
        self, node: SpeakingNode, other: SpeakingNode, asker: Asker, session: str
    ) -> None:
        attach = nodewire.Attach(other.id, "s-of-nobody", "/", "laptop", 7)
        assert refused(other, attach).code == "InvalidMcpSession.NotFound"
        asker.data("DeleteSessionAsync", SessionId=session)
        node.do(nodewire.Leave(node.id))
        attach = nodewire.Attach(other.id, session, "/", "laptop", 7)
        assert refused(other, attach).code == "InvalidMcpSession.Deleting"


class TestDelete:
    def test_a_session_ends_when_its_node_has_uploaded(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        asker.data("DeleteSessionAsync", SessionId=session)
        (task,) = node.take().tasks
        node.do(nodewire.Start(node.id, task.id))
        assert asker.data("GetSessionDetail", SessionId=session)["Status"] == "DELETING"
        node.store(b"content")
        node.commit(task.id, changing({b"a": A}))
        assert asker.data("GetSessionDetail", SessionId=session)["Status"] == "FINISH"

    def test_a_session_stays_when_the_upload_failed(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        asker.data("DeleteSessionAsync", SessionId=session)
        (task,) = node.take().tasks
        node.do(nodewire.Fail(node.id, task.id, "the disk is broken"))
        told = asker.data("GetSessionDetail", SessionId=session)
        assert (told["Status"], "the disk is broken" in told["EndReason"]) == ("RUNNING", True)


class TestPlan:
    PLANNED = nodewire.PlannedPart(
        [nodewire.PlannedChange(b"\xff", "put", 7, "file"), nodewire.PlannedChange(b"b", "drop")],
        unchanged=3,
        kept_local=1,
        skipped='[["pipe", "is a pipe"]]',
        conflicts='[{"path": "c", "winner": "local"}]',
    )

    def asked(self, asker: Asker, node: SpeakingNode, session: str) -> tuple[Waiting, nodewire.Question]:
        taking = TakingInBackground(asker, node)
        waiting = Waiting(asker, "PlanSync", SessionId=session, Mode="upload")
        (question,) = taking.answer().questions
        return waiting, question

    def test_the_node_is_asked_and_its_answer_is_told(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        waiting, question = self.asked(asker, node, session)
        (part,) = question.parts
        assert (question.session, question.mode, part.context, part.mount) == (session, "upload", asker.context(), "/")
        answer = nodewire.QuestionAnswer(node.id, question.id, data=nodewire.pack([self.PLANNED]))
        node.do(answer)
        node.do(answer)
        plan = waiting.answer()["Data"]
        assert [(change["path"], change["action"], change["size"]) for change in plan["Changes"]] == [
            ("\udcff", "put", 7),
            ("b", "drop", 0),
        ]
        assert (plan["Unchanged"], plan["KeptLocal"], plan["Skipped"]) == (3, 1, [["pipe", "is a pipe"]])
        assert [conflict["path"] for conflict in plan["Conflicts"]] == ["c"]
        assert node.take().questions == []
        with ctxmgr_service.service._runtime.catalog.read() as connection:
            assert questions.asked(connection) == []

    def test_what_went_wrong_at_the_node_is_told(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        waiting, question = self.asked(asker, node, session)
        node.do(nodewire.QuestionAnswer(node.id, question.id, "InvalidBinding.Directory", "the directory is gone"))
        envelope = waiting.answer()
        assert (envelope["Code"], envelope["Message"]) == ("InvalidBinding.Directory", "the directory is gone")

    def test_an_answer_of_another_node_or_to_another_question_does_not_count(
        self, node: SpeakingNode, other: SpeakingNode, asker: Asker, session: str
    ) -> None:
        waiting, question = self.asked(asker, node, session)
        other.take()
        other.do(nodewire.QuestionAnswer(other.id, question.id, "Stolen", "x"))
        node.do(nodewire.QuestionAnswer(node.id, "q-unknown", "Wrong", "x"))
        node.do(nodewire.QuestionAnswer(node.id, question.id, data=nodewire.pack([self.PLANNED])))
        assert waiting.answer()["Success"]

    def test_an_answer_that_is_none_is_refused(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        waiting, question = self.asked(asker, node, session)
        many = nodewire.pack([self.PLANNED] * (nodewire.MAX_PARTS + 1))
        large = nodewire.pack([b"x" * nodewire.MAX_PLAN])
        for data in (b"garbage", many, large):
            garbled = nodewire.QuestionAnswer(node.id, question.id, data=data)
            assert refused(node, garbled).code == "InvalidMessage.Malformed"
        node.do(nodewire.QuestionAnswer(node.id, question.id, data=nodewire.pack([self.PLANNED] * 2)))
        assert waiting.answer()["Code"] == "Node.Malformed"

    def test_a_node_that_says_nothing_is_not_waited_for_for_ever(
        self, node: SpeakingNode, asker: Asker, session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.api.plans.SECONDS_FOR_A_NODE", 0.05)
        assert asker.ask("PlanSync", SessionId=session)["Code"] == "Node.Silent"

    def test_without_a_node_there_is_nobody_to_ask(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        node.do(nodewire.Leave(node.id))
        answer = asker.ask("PlanSync", SessionId=session)
        assert (answer["Code"], "ctxmgr attach" in answer["Message"]) == ("Node.NotFound", True)


class TestRestart:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "data"

    def test_a_node_goes_on_with_its_task_when_the_service_was_started_again(self, folder: Path) -> None:
        with serve(folder) as service, Asker(service.endpoint, service.api_key) as asker:
            node = SpeakingNode(asker)
            session = node.session()
            task = node.begun(session)
            node.store(b"content")
            for key in service.service.keys.all():
                service.service.keys.revoke(key.id)
        with serve(folder) as service, Asker(service.endpoint, service.api_key) as asker:
            back = SpeakingNode(asker, node.id)
            assert back.take(running=[task], sessions=[session]) == nodewire.Taken(30_000)
            back.commit(task, changing({b"d": Entry(DIRECTORY, 0o755), b"d/a": A}))
            (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskIds=[task]))
            assert entry["status"] == "Success"

    def test_a_service_that_is_killed_at_once_knows_a_node_that_has_a_session(
        self, ctxmgr_service: Service, node: SpeakingNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leases = ctxmgr_service.service._runtime.leases
        monkeypatch.setattr(leases, "look", lambda: None)
        task = node.begun(node.session())
        # What another process, or the next, knows of it.
        leases._heard.clear()
        node.do(nodewire.Report(node.id, task))

    def test_a_short_lease_ends_a_node_that_says_nothing(self, folder: Path) -> None:
        with serve(folder, lease=0.5) as service, Asker(service.endpoint, service.api_key) as asker:
            node = SpeakingNode(asker)
            session = node.session(Linger=1)
            task = node.begun(session)
            assert "has not been heard of for 0.5 s" in asker.wait(session, task)["errorMessage"]
            until(lambda: asker.data("GetSessionDetail", SessionId=session)["Status"] == "FINISH")
            told = asker.data("GetSessionDetail", SessionId=session)
            assert told["EndReason"] == "the session ended: the process that had its directory has been gone for 1 s"
            assert json.loads(told["Labels"]) == {}
