"""The HTTP door: what it takes for a request, whom it lets in, and that every answer is the envelope."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxmgr.filedigests import content_digest
from ctxmgr.service.http import limits
from ctxmgr.testing import Service, serve

from .asking import Asker, connect, envelope_of, exchange, until


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with serve() as service:
        yield service


def post(service: Service, path: str = "/", **more: Any) -> requests.Response:
    return requests.post(service.endpoint + path, timeout=30, **more)


def bearer(service: Service) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.api_key}"}


class TestWhereThingsStand:
    def test_action_in_the_query_and_parameters_in_the_body(self, shared: Service) -> None:
        assert post(shared, "/?Action=ListContexts", data=bearer(shared)).json()["Success"]

    def test_action_in_a_header(self, shared: Service) -> None:
        assert post(shared, headers={"x-acs-action": "ListContexts"}, data=bearer(shared)).json()["Success"]

    def test_everything_in_the_query(self, shared: Service) -> None:
        assert post(shared, params={"Action": "ListContexts", **bearer(shared)}).json()["Success"]

    def test_everything_in_the_body(self, shared: Service) -> None:
        assert post(shared, data={"Action": "ListContexts", **bearer(shared)}).json()["Success"]

    def test_credential_in_the_header_of_http(self, shared: Service) -> None:
        assert post(shared, "/?Action=ListContexts", headers=bearer(shared)).json()["Success"]

    def test_the_body_counts_where_the_query_says_otherwise(self, shared: Service) -> None:
        answer = post(shared, "/?Action=ListContexts&MaxResults=5", data={"MaxResults": "7", **bearer(shared)})
        assert answer.json()["MaxResults"] == 7

    def test_a_name_in_any_script_comes_back(self, shared: Service) -> None:
        answer = post(
            shared, "/?Action=GetContext", data={"Name": "проект 工程 🗂", "AllowCreate": "True", **bearer(shared)}
        )
        assert answer.json()["Data"]["Name"] == "проект 工程 🗂"


class TestWhoIsLetIn:
    @pytest.mark.parametrize("form", [{}, {"Authorization": ""}, {"Authorization": "Basic eDp5"}])
    def test_nobody_without_a_key(self, shared: Service, form: dict[str, str]) -> None:
        answer = post(shared, "/?Action=ListContexts", data=form)
        assert (answer.status_code, answer.json()["Code"], answer.json()["HttpStatusCode"]) == (
            200,
            "Forbidden.NoKey",
            403,
        )

    def test_nobody_with_an_unknown_key(self, shared: Service) -> None:
        answer = post(shared, "/?Action=ListContexts", data={"Authorization": "Bearer ctxmgr-0-0"})
        assert answer.json()["Code"] == "Forbidden.Key"

    def test_a_bad_key_is_not_told_what_the_service_can_do(self, shared: Service) -> None:
        answer = post(shared, "/?Action=NoSuchAction", data={"Authorization": "Bearer x"})
        assert answer.json()["Code"] == "Forbidden.Key"

    def test_one_account_does_not_see_the_others_contexts(self, ctxmgr_service: Service, asker: Asker) -> None:
        context = asker.context()
        with Asker(ctxmgr_service.endpoint, ctxmgr_service.key("other")) as other:
            assert other.data("ListContexts") == []
            assert other.ask("GetContext", ContextId=context)["Code"] == "InvalidContext.NotFound"

    def test_a_link_in_the_place_of_a_sessions_root_leads_nowhere(
        self, ctxmgr_service: Service, asker: Asker, tmp_path: Path
    ) -> None:
        root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
        root.mkdir()
        elsewhere.mkdir()
        (elsewhere / "secret").write_text("not to be synced")
        session = asker.session(Root=str(root))
        root.rmdir()
        root.symlink_to(elsewhere)
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        entry = asker.wait(session, task)
        assert entry["status"] == "Failed"
        assert "a symbolic link has taken the place of the session's root" in entry["errorMessage"]


class TestAnswers:
    def test_a_refusal_comes_with_200_and_tells_its_status_inside(self, shared: Service) -> None:
        answer = post(shared, "/?Action=GetSession", data={"SessionId": "s-none", **bearer(shared)})
        assert answer.status_code == 200
        assert (answer.json()["Code"], answer.json()["HttpStatusCode"]) == ("InvalidMcpSession.NotFound", 404)

    def test_no_action_is_said(self, shared: Service) -> None:
        assert post(shared, data=bearer(shared)).json()["Code"] == "InvalidParameter.Missing"

    def test_an_unknown_path_is_404(self, shared: Service) -> None:
        answer = post(shared, "/api/v1")
        assert (answer.status_code, answer.json()["Code"]) == (404, "InvalidPath.NotFound")

    def test_another_method_is_405_and_told_which_one(self, shared: Service) -> None:
        answer = requests.get(shared.endpoint + "/?Action=ListContexts", timeout=30)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert answer.json()["Code"] == "InvalidMethod.NotAllowed"

    def test_a_body_that_is_no_form_is_refused(self, shared: Service) -> None:
        answer = post(shared, "/?Action=ListContexts", json=bearer(shared))
        assert answer.json()["Code"] == "InvalidParameter.Malformed"

    def test_answers_to_two_requests_at_once_come_in_their_order(self, shared: Service) -> None:
        one = b"POST /?Action=One HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
        two = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        answer = exchange(shared.endpoint, one + two)
        assert 0 < answer.find(b"Forbidden.NoKey") < answer.find(b"InvalidPath.NotFound")

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(body=st.binary(max_size=400), action=st.sampled_from(["GetContext", "CreateMcpSession", "SyncContext", ""]))
    def test_any_bytes_as_a_form_get_an_envelope(self, shared: Service, body: bytes, action: str) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded", **bearer(shared)}
        answer = post(shared, f"/?Action={action}", data=body, headers=headers)
        assert answer.status_code == 200
        assert isinstance(answer.json()["Success"], bool)
        assert answer.json()["Code"] != "InternalError"

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(line=st.binary(min_size=1, max_size=200))
    def test_any_bytes_as_a_request_get_an_envelope_or_nothing(self, shared: Service, line: bytes) -> None:
        answer = exchange(shared.endpoint, line + b"\r\nconnection: close\r\n\r\n\r\nx\r\n\r\n")
        if answer:
            status, _ = envelope_of(answer)
            assert 400 <= status < 500


class TestBounds:
    @pytest.mark.parametrize("path", ["/?Action=GetContext", "/node/hello", "/files/nothing"])
    def test_a_body_that_was_damaged_is_refused(self, shared: Service, path: str) -> None:
        headers = {"Content-Digest": content_digest(b"Name=one&AllowCreate=true")}
        answer = post(shared, path, data=b"Name=ona&AllowCreate=true", headers=headers)
        assert (answer.status_code, answer.json()["Code"]) == (400, "InvalidRequest.Damaged")

    def test_an_answer_tells_its_digest(self, shared: Service) -> None:
        answer = post(shared, "/?Action=ListContexts", headers=bearer(shared))
        assert answer.headers["Content-Digest"] == content_digest(answer.content)

    def test_a_body_too_large_is_refused(self, shared: Service) -> None:
        answer = post(shared, "/?Action=ListContexts", data={"Name": "x" * limits.MAX_FORM, **bearer(shared)})
        assert (answer.status_code, answer.json()["Code"]) == (413, "InvalidRequest.TooLarge")

    def test_a_body_too_large_is_refused_also_where_its_length_is_not_told(self, shared: Service) -> None:
        pieces = (b"x" * 65536 for _ in range(limits.MAX_FORM // 65536 + 1))
        assert post(shared, "/?Action=ListContexts", data=pieces).status_code == 413

    def test_a_body_just_below_the_bound_is_read(self, shared: Service) -> None:
        form = {"X": "x" * (limits.MAX_FORM - 1000), **bearer(shared)}
        assert post(shared, "/?Action=ListContexts", data=form).json()["Success"]

    def test_too_many_parameters_are_refused(self, shared: Service) -> None:
        form = {f"p{number}": "" for number in range(limits.MAX_PARAMETERS + 1)}
        answer = post(shared, "/?Action=ListContexts", data={**form, **bearer(shared)})
        assert answer.json()["Code"] == "InvalidParameter.Malformed"

    @pytest.mark.parametrize(
        "sent",
        [
            b"GET /" + b"x" * limits.MAX_HEAD + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: " + b"x" * limits.MAX_HEAD + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: " + b"x" * 1_000_000,
            b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (limits.MAX_HEADERS + 1) + b"\r\n",
        ],
        ids=["long line", "long header", "header without an end", "many headers"],
    )
    def test_too_large_a_head_is_refused(self, shared: Service, sent: bytes) -> None:
        answer = exchange(shared.endpoint, sent)
        # A client that is still sending may lose the answer with the connection.
        if answer or len(sent) < 200_000:
            status, envelope = envelope_of(answer)
            assert (status, envelope["Code"]) == (431, "InvalidRequest.TooLarge")

    def test_headers_that_do_not_come_end_the_connection(
        self, shared: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.http.connection.SECONDS_FOR_A_HEAD", 0.05)
        status, envelope = envelope_of(exchange(shared.endpoint, b"POST / HTTP/1.1\r\n"))
        assert (status, envelope["Code"]) == (408, "InvalidRequest.Timeout")

    def test_a_connection_on_which_nothing_comes_is_closed(
        self, shared: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ctxmgr.service.http.connection.SECONDS_FOR_A_HEAD", 0.05)
        assert b"408" in exchange(shared.endpoint, b"")

    def test_empty_lines_do_not_keep_a_connection_open(self, shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        with connect(shared.endpoint) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)
            monkeypatch.setattr("ctxmgr.service.http.connection.SECONDS_FOR_A_HEAD", 0.05)
            connection.sendall(b"\r\n")
            received = b""
            while piece := connection.recv(65536):
                received += piece
        assert received.endswith(b"}")

    def test_a_body_that_does_not_come_is_given_up(self, shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ctxmgr.service.http.bodies.SECONDS_FOR_A_FORM", 0.05)
        answer = exchange(shared.endpoint, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        status, envelope = envelope_of(answer)
        assert (status, envelope["Code"]) == (408, "InvalidRequest.Timeout")


def metrics(service: Service) -> str:
    return requests.get(service.endpoint + "/metrics", timeout=30).text


class TestOperation:
    def test_health_is_told_without_a_key(self, shared: Service) -> None:
        answer = requests.get(shared.endpoint + "/healthz", timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")

    def test_a_service_that_can_not_answer_is_not_healthy(self, ctxmgr_service: Service, asker: Asker) -> None:
        ctxmgr_service.service.close()
        answer = requests.get(ctxmgr_service.endpoint + "/healthz", timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        answer = requests.post(f"{ctxmgr_service.endpoint}/?Action=ListContexts", data=asker.form(), timeout=30)
        assert answer.status_code in (500, 503)
        assert answer.json()["Success"] is False

    def test_metrics_count_requests_tasks_and_what_was_moved(
        self, ctxmgr_service: Service, asker: Asker, tmp_path: Any
    ) -> None:
        (tmp_path / "file").write_bytes(b"12345")
        session = asker.session(Root=str(tmp_path))
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        asker.wait(session, task)
        asker.ask("NoSuchAction")
        until(lambda: 'ctxmgr_tasks_ended_total{mode="upload",status="Success"} 1.0' in metrics(ctxmgr_service))
        text = metrics(ctxmgr_service)
        assert 'ctxmgr_requests_total{action="SyncContext",code="ok"} 1.0' in text
        assert 'ctxmgr_requests_total{action="other",code="InvalidAction.NotFound"} 1.0' in text
        assert 'ctxmgr_bytes_moved_total{mode="upload"} 5.0' in text
        assert 'ctxmgr_files_moved_total{mode="upload"} 1.0' in text
        assert 'ctxmgr_tasks{status="Waiting"} 0.0' in text
        assert "NoSuchAction" not in text

    def test_the_access_log_has_who_and_what_and_no_secret(
        self, ctxmgr_service: Service, asker: Asker, caplog: pytest.LogCaptureFixture
    ) -> None:
        context = asker.context()
        with caplog.at_level(logging.INFO, logger="ctxmgr.access"):
            # As AgentBay's SDK does it for SyncContext: the credential stands in the query.
            post(ctxmgr_service, "/", params={"Action": "GetContext", "ContextId": context, **bearer(ctxmgr_service)})
            url = asker.data("GetContextFileUploadUrl", ContextId=context, FilePath="/secret-name")["Url"]
            requests.put(url, data=b"x", timeout=30)
            until(lambda: "PutFile" in caplog.text)
        # The line of the context's creation may come after its answer.
        lines = [json.loads(record.getMessage()) for record in caplog.records][-3:]
        assert [line["action"] for line in lines] == ["GetContext", "GetContextFileUploadUrl", "PutFile"]
        assert (lines[0]["account"], lines[0]["code"], lines[0]["status"]) == ("local", "ok", 200)
        assert lines[0]["request_id"]
        assert lines[2]["received"] == 1
        for secret in (ctxmgr_service.api_key, url.rpartition("/")[2], "secret-name", context):
            assert secret not in caplog.text

    def test_a_client_that_goes_away_in_its_body_leaves_nothing_behind(
        self, shared: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, logger="ctxmgr.access"):
            with connect(shared.endpoint) as connection:
                connection.sendall(b"POST /?Action=Left HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
            until(lambda: any(json.loads(record.getMessage())["action"] == "Left" for record in caplog.records))
        assert json.loads(caplog.records[-1].getMessage())["code"] == "Gone"
