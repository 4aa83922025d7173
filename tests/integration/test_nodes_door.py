"""The door for nodes over real sockets: who is let in, what there is to do, and what became of it."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest
import requests

from ctxmgr import nodewire
from ctxmgr.filedigests import content_digest
from ctxmgr.service.api.nodes.sessions import watch_take
from ctxmgr.testing import Service

from .asking import PATIENCE, Asker, Waiting, connect, entries, until
from .nodeasking import SpeakingNode, TakingInBackground, file_of, refused, refusing

A = file_of(b"content")
MIB = 1 << 20


def resident() -> int:
    """Return the bytes of memory that this process holds, its service's among them."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class TestDoor:
    def test_a_service_with_nodes_says_what_holds(self, node: SpeakingNode) -> None:
        welcome = node.say(nodewire.Hello(), nodewire.Welcome)
        assert welcome == nodewire.Welcome(1, 30_000, 10_000, nodewire.PIECE_BYTES, nodewire.READ_BYTES)

    def test_who_has_no_key_is_not_let_in(self, ctxmgr_service: Service) -> None:
        response = requests.post(f"{ctxmgr_service.endpoint}/node/hello", data=b"\x80", timeout=PATIENCE)
        assert (response.status_code, response.json()["Code"]) == (403, "Forbidden.NoKey")
        with Asker(ctxmgr_service.endpoint, "ctx-wrong") as stranger:
            assert refused(SpeakingNode(stranger), nodewire.Hello()).code == "Forbidden.Key"

    def test_a_call_that_there_is_not_is_not_found(self, node: SpeakingNode) -> None:
        response = node.post("fly", b"\x80")
        assert (response.status_code, response.json()["Code"]) == (404, "InvalidPath.NotFound")

    def test_a_message_that_was_damaged_on_the_way_is_refused_and_answers_can_be_compared(
        self, node: SpeakingNode
    ) -> None:
        hello = nodewire.encode(nodewire.Hello())
        told = node.post("hello", hello, **{"Content-Digest": content_digest(hello)})
        assert (told.status_code, told.headers["Content-Digest"]) == (200, content_digest(told.content))
        refusal = node.post("hello", hello, **{"Content-Digest": content_digest(b"another")})
        assert (refusal.status_code, refusal.json()["Code"]) == (400, nodewire.DAMAGED)

    def test_only_post_is_for_this(self, ctxmgr_service: Service) -> None:
        response = requests.get(f"{ctxmgr_service.endpoint}/node/hello", timeout=PATIENCE)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")

    def test_garbage_is_refused_by_every_call(self, node: SpeakingNode) -> None:
        garbage = (b"", b"\xc1garbage", b"\x80" * 40, b"\x91\x01", b"\x81\xa4node\xc0", b"\x81\xa4node\xa2\xff\xfe")
        answers = [(call, body, node.post(call, body)) for call in nodewire.CALLS for body in garbage]
        assert {response.status_code for _, _, response in answers} <= {200, 400}
        told = [(call, body, response) for call, body, response in answers if response.status_code == 400]
        assert {response.json()["Code"] for _, _, response in told} == {"InvalidMessage.Malformed"}
        # A message without fields has none that could be wrong.
        assert {call for call, _, response in answers if response.status_code == 200} == {"hello"}

    @pytest.mark.parametrize("call", ["take", "changes", "pack"])
    def test_a_body_that_is_too_large_is_refused(self, node: SpeakingNode, call: str) -> None:
        response = node.post(call, bytes(nodewire.MAX_BODY + 1))
        assert (response.status_code, response.json()["Code"]) == (413, "InvalidRequest.TooLarge")
        assert "in pieces" in response.json()["Message"]

    def test_the_access_log_and_the_numbers_tell_of_nodes(
        self, ctxmgr_service: Service, node: SpeakingNode, session: str
    ) -> None:
        node.take()
        node.post("fly", b"")
        text = requests.get(f"{ctxmgr_service.endpoint}/metrics", timeout=PATIENCE).text
        assert 'ctxmgr_requests_total{action="node/take",code="ok"} 1.0' in text
        assert "ctxmgr_nodes 1.0" in text
        assert "fly" not in text

    def test_a_key_that_is_revoked_in_the_middle_ends_what_waits(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        waiting = TakingInBackground(asker, node)
        until(lambda: len(ctxmgr_service.service._runtime.listeners._by_session.get(node.id, ())) == 1)
        for key in ctxmgr_service.service.keys.all():
            ctxmgr_service.service.keys.revoke(key.id)
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.key()) as other:
            until(lambda: SpeakingNode(asker).post("hello", b"\x80").status_code == 403)
            other.data("SyncContext", SessionId=session)
        with refusing("Forbidden.Key"):
            waiting.answer()


class TestTake:
    def test_what_waits_for_the_node_is_told_until_the_node_has_it(
        self, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        (told,) = node.take().tasks
        assert (told.id, told.session, told.mount, told.mode) == (task, session, "/", "upload")
        assert [each.id for each in node.take().tasks] == [task]
        assert node.take(running=[task]) == nodewire.Taken(30_000)

    def test_a_parked_one_is_answered_at_once_when_there_is_something_to_do(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        waiting = TakingInBackground(asker, node)
        until(lambda: len(ctxmgr_service.service._runtime.listeners._by_session.get(node.id, ())) == 1)
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        assert [each.id for each in waiting.answer().tasks] == [task]

    def test_one_that_has_nothing_to_do_is_answered_when_its_time_is_up(self, node: SpeakingNode) -> None:
        assert node.take(wait_ms=50) == nodewire.Taken(30_000)

    def test_a_task_that_was_ended_is_to_be_stopped(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        assert node.take(running=[task]).stop == []
        node.do(nodewire.Fail(node.id, task, "no"))
        assert node.take(running=[task, "task-unknown"]).stop == [task, "task-unknown"]

    def test_what_the_node_knows_nothing_of_twice_in_a_row_is_not_left_running(
        self, ctxmgr_service: Service, node: SpeakingNode, session: str
    ) -> None:
        task = node.begun(session)
        node.take(running=[])
        node.take(running=[task])
        node.take(running=[])
        assert ctxmgr_service.service.outcome(task)["status"] == "Running"
        node.take(running=[])
        assert "gave the task up" in str(ctxmgr_service.service.outcome(task)["error"])

    def test_a_session_that_is_not_its_own_any_more_is_told_as_gone(
        self, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        assert node.take(sessions=[session]).gone == {}
        asker.data("DeleteSessionAsync", SessionId=session, Force=True)
        for task in node.take().tasks:
            node.do(nodewire.Fail(node.id, task.id, "no"))
        gone = node.take(sessions=[session, "s-of-nobody"]).gone
        assert "has ended: deleted" in gone[session]
        assert "there is no session" in gone["s-of-nobody"]

    def test_another_accounts_node_can_not_be_taken_for(
        self, ctxmgr_service: Service, node: SpeakingNode, session: str
    ) -> None:
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.key("thief")) as thief:
            with refusing("Forbidden.Node"):
                SpeakingNode(thief, node.id).take()
            own = ctxmgr_service.service._runtime.node.id
            with refusing("Forbidden.Node"):
                SpeakingNode(thief, own).take()

    @pytest.mark.parametrize("node_id", ["", "node-1", "s-0123456789abcdef", "node-" + "A" * 32, "node-" + "0" * 90])
    def test_an_id_that_is_none_is_refused(self, asker: Asker, node_id: str) -> None:
        assert refused(SpeakingNode(asker), nodewire.Take(node_id, "h", 1)).code == "InvalidParameter.Malformed"

    def test_a_take_is_answered_before_a_proxy_that_ends_requests_after_30_seconds_would(
        self, ctxmgr_service: Service, node: SpeakingNode
    ) -> None:
        runtime = ctxmgr_service.service._runtime
        runtime.leases.seconds = 3600.0
        assert node.say(nodewire.Hello(), nodewire.Welcome).wait_ms <= 20_000
        watch = watch_take(runtime, "local", nodewire.Take(node.id, "h", 1, 3_600_000))
        assert watch is not None
        assert watch.timeout <= 20.0

    def test_two_thousand_nodes_wait_without_a_thread_each(
        self, ctxmgr_service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.api.nodes.sessions.LONGEST_WAIT_SECONDS", 300.0)
        ctxmgr_service.service._runtime.leases.seconds = 900.0
        before, memory = threading.active_count(), resident()
        parked = "ctxmgr_parked_requests 2000.0"
        connections: list[socket.socket] = []
        try:
            for number in range(2_000):
                body = nodewire.encode(nodewire.Take(f"node-{number:032x}", "h", 1, 300_000))
                connection = connect(ctxmgr_service.endpoint)
                connections.append(connection)
                connection.sendall(
                    b"POST /node/take HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
                    % (ctxmgr_service.api_key.encode(), len(body), body)
                )
            numbers = f"{ctxmgr_service.endpoint}/metrics"
            until(lambda: parked in requests.get(numbers, timeout=PATIENCE).text)
            # One looks after all leases.
            assert threading.active_count() - before <= 1
            print(f"{(resident() - memory) / MIB:.0f} MiB for 2,000 nodes that wait")
            assert resident() - memory < 128 * MIB
            with Asker(ctxmgr_service.endpoint, ctxmgr_service.api_key) as asker:
                assert asker.ask("ListContexts")["Success"]
        finally:
            for connection in connections:
                connection.close()


class TestTask:
    def test_a_start_whose_answer_was_lost_is_sent_again(
        self, ctxmgr_service: Service, node: SpeakingNode, session: str
    ) -> None:
        task = node.begun(session)
        assert refused(node, nodewire.Start(node.id, task)).code == "Task.Interrupted"
        node.do(nodewire.Start(node.id, task, again=True))
        assert ctxmgr_service.service.outcome(task)["status"] == "Running"
        node.do(nodewire.Fail(node.id, task, "no"))
        assert refused(node, nodewire.Start(node.id, task, again=True)).code == "Task.Interrupted"

    def test_others_see_how_far_it_is(self, node: SpeakingNode, asker: Asker, session: str) -> None:
        task = node.begun(session)
        node.do(nodewire.Report(node.id, task, 4, 1, 100, 25))
        (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskIds=[task]))
        assert (entry["status"], entry["filesTotal"], entry["bytesDone"]) == ("Running", 4, 25)

    def test_numbers_that_are_none_are_refused(self, node: SpeakingNode, session: str) -> None:
        task = node.begun(session)
        assert refused(node, nodewire.Report(node.id, task, -1)).code == "InvalidParameter.Malformed"
        assert refused(node, nodewire.Report(node.id, task, 1 << 63)).code == "InvalidParameter.Malformed"

    def test_who_waits_learns_of_a_failure_at_once_and_it_stays(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        task = node.begun(session)
        waiting = Waiting(asker, "GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=60_000)
        until(lambda: len(ctxmgr_service.service._runtime.listeners._by_session.get(session, ())) == 1)
        node.do(nodewire.Fail(node.id, task, "the disk\nis broken"))
        node.do(nodewire.Fail(node.id, task, "something else"))
        (entry,) = entries(waiting.answer()["Data"])
        assert (entry["status"], entry["errorMessage"]) == ("Failed", "the disk is broken")

    def test_a_task_of_another_node_is_left_alone(
        self, ctxmgr_service: Service, node: SpeakingNode, asker: Asker, session: str
    ) -> None:
        task = node.begun(session)
        other = SpeakingNode(asker)
        other.take()
        assert refused(other, nodewire.Report(other.id, task)).code == "Task.Interrupted"
        assert refused(other, nodewire.PolicyOf(other.id, task)).code == "Task.Interrupted"
        assert refused(other, nodewire.Commit(other.id, task, 0)).code == "Task.Interrupted"
        other.do(nodewire.Fail(other.id, task, "mine"))
        assert ctxmgr_service.service.outcome(task)["status"] == "Running"

    def test_a_node_that_was_never_heard_of_has_no_tasks(self, asker: Asker) -> None:
        stranger = SpeakingNode(asker)
        assert refused(stranger, nodewire.Start(stranger.id, "task-1")).code == "Node.NotFound"

    def test_the_policy_is_that_of_the_binding(self, node: SpeakingNode) -> None:
        policy = '{"downloadPolicy":{"autoDownload":false},"mappingPolicy":{"path":"/elsewhere"}}'
        task = node.begun(node.session(path="/data", policy=policy))
        told = node.say(nodewire.PolicyOf(node.id, task), nodewire.PolicyText).policy
        assert json.loads(told) == json.loads(policy)
