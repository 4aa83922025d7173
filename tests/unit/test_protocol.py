"""The wire, written and read without sending: what a request looks like, and what is made of each answer."""

from __future__ import annotations

import gzip
import json
from urllib.parse import parse_qs

import pytest

from ctxmgr import ConnectionFailed, ContextStatusData, NotFoundError, ProtocolError
from ctxmgr.filedigests import content_digest
from ctxmgr.protocol import (
    Answer,
    Reply,
    Request,
    answer_from_document,
    context_status,
    encode,
    error_of,
    read_answer,
    task_ids,
)
from tests.support.answers import REQUEST_ID, entry, listed, ok, refused

KEY = "akm-0123456789"
REQUEST = Request("GetContextInfo", {"SessionId": "s-1", "Path": "/data dir/ü"})


def read(document: object, status: int = 200, **headers: str) -> Answer:
    return read_answer(Reply(status, headers, json.dumps(document).encode()))


def data(value: object) -> Answer:
    return answer_from_document(ok(value))


def statuses(*items: object) -> Answer:
    """An answer with these items in its ContextStatus."""
    return data({"ContextStatus": json.dumps(items)})


def item(*entries: object) -> dict[str, str]:
    return {"type": "data", "data": json.dumps(entries)}


class TestEncode:
    def test_the_action_is_in_the_query(self) -> None:
        assert parse_qs(encode(REQUEST, KEY).query)["Action"] == ["GetContextInfo"]

    def test_the_action_is_in_a_header(self) -> None:
        assert encode(REQUEST, KEY).headers["x-acs-action"] == "GetContextInfo"

    def test_every_request_says_its_version_format_and_time(self) -> None:
        query = parse_qs(encode(REQUEST, KEY).query)
        assert (query["Version"], query["Format"]) == (["2025-05-06"], ["json"])
        assert query["Timestamp"][0].endswith("Z")

    def test_no_two_requests_have_the_same_nonce(self) -> None:
        nonces = {parse_qs(encode(REQUEST, KEY).query)["SignatureNonce"][0] for _ in range(10)}
        assert len(nonces) == 10

    def test_parameters_are_in_the_form(self) -> None:
        form = parse_qs(encode(REQUEST, KEY).body.decode())
        assert (form["SessionId"], form["Path"]) == (["s-1"], ["/data dir/ü"])

    def test_the_body_is_declared_a_form(self) -> None:
        assert encode(REQUEST, KEY).headers["content-type"] == "application/x-www-form-urlencoded"

    def test_the_credential_is_in_the_form(self) -> None:
        assert parse_qs(encode(REQUEST, KEY).body.decode())["Authorization"] == [f"Bearer {KEY}"]

    def test_the_credential_in_the_form_is_not_in_the_query(self) -> None:
        assert KEY not in encode(REQUEST, KEY).query

    def test_the_credential_in_the_query_is_not_in_the_form(self) -> None:
        encoded = encode(Request("SyncContext", {}), KEY, for_cloud=True)
        assert parse_qs(encoded.query)["Authorization"] == [f"Bearer {KEY}"]
        assert KEY.encode() not in encoded.body

    @pytest.mark.parametrize("for_cloud", [False, True])
    def test_the_credential_is_not_shown(self, for_cloud: bool) -> None:
        assert KEY not in repr(encode(Request("SyncContext", {}), KEY, for_cloud=for_cloud))

    def test_a_digest_tells_whether_the_form_was_damaged(self) -> None:
        encoded = encode(REQUEST, KEY)
        assert encoded.headers["content-digest"] == content_digest(encoded.body)

    def test_the_cloud_gets_no_header_that_it_does_not_know(self) -> None:
        assert "content-digest" not in encode(REQUEST, KEY, for_cloud=True).headers

    def test_a_file_name_that_is_not_unicode_keeps_its_bytes(self) -> None:
        request = Request("SyncContext", {"Path": b"/caf\xe9".decode("utf-8", "surrogateescape")})
        assert b"Path=%2Fcaf%E9" in encode(request, KEY).body

    def test_the_request_itself_is_left_alone(self) -> None:
        parameters = {"SessionId": "s-1"}
        encode(Request("GetContextInfo", parameters), KEY)
        assert parameters == {"SessionId": "s-1"}


class TestEnvelope:
    def test_a_success_is_read(self) -> None:
        answer = read(ok({"a": 1}))
        assert (answer.success, answer.request_id, answer.data) == (True, REQUEST_ID, {"a": 1})

    def test_a_success_has_no_error_message(self) -> None:
        assert read(ok()).error_message == ""

    def test_a_failure_with_http_200_is_a_failure(self) -> None:
        answer = read(refused("InvalidMcpSession.NotFound", "no such session"))
        assert (answer.success, answer.error_message) == (False, "[InvalidMcpSession.NotFound] no such session")

    def test_a_failure_with_another_http_status_is_read_alike(self) -> None:
        assert read(refused("Forbidden.Key", "not yours"), 403).error_message == "[Forbidden.Key] not yours"

    @pytest.mark.parametrize("status", [400, 404, 500, 503])
    def test_success_is_not_believed_beside_an_http_error(self, status: int) -> None:
        assert not read(ok(), status).success

    def test_success_beside_an_http_error_is_told_by_its_status(self) -> None:
        assert read(ok(), 502).error_message == "[Http.502] the service gave no reason"

    def test_null_members_are_as_absent_ones(self) -> None:
        answer = read({"RequestId": None, "Success": True, "Code": None, "Message": None, "Data": None})
        assert (answer.request_id, answer.code, answer.message, answer.data) == ("", "ok", "", None)

    def test_a_failure_that_says_nothing_is_told_by_its_status(self) -> None:
        assert read({"Success": False}, 418).error_message == "[Http.418] the service gave no reason"

    def test_unknown_members_are_kept(self) -> None:
        assert read(ok(NextToken="abc")).document["NextToken"] == "abc"

    def test_an_answer_that_was_damaged_is_not_believed(self) -> None:
        sent = json.dumps(ok({"files": 3})).encode()
        headers = {"Content-Digest": content_digest(sent)}
        assert read_answer(Reply(200, headers, sent)).success
        with pytest.raises(ConnectionFailed, match="the answer was damaged on its way"):
            read_answer(Reply(200, headers, sent.replace(b"3", b"7")))

    def test_an_answer_that_was_packed_on_its_way_is_compared_as_it_was_before(self) -> None:
        sent = json.dumps(ok()).encode()
        headers = {"Content-Digest": content_digest(sent), "Content-Encoding": "gzip"}
        assert read_answer(Reply(200, headers, gzip.compress(sent))).success

    def test_the_retry_after_header_is_kept(self) -> None:
        reply = Reply(429, {"Retry-After": "7"}, json.dumps(refused("Throttling")).encode())
        assert read_answer(reply).retry_after == "7"

    @pytest.mark.parametrize(
        ("document", "found"),
        [([], "a list"), ("ok", "a string"), (7, "a number"), (None, "missing"), (True, "a boolean")],
    )
    def test_a_document_that_is_no_object_is_refused(self, document: object, found: str) -> None:
        with pytest.raises(ProtocolError, match=rf"^the answer \(HTTP 200\) is {found}, not an envelope$"):
            read(document)

    @pytest.mark.parametrize(
        ("success", "found"), [("true", "a string"), (1, "a number"), (None, "missing"), ({}, "an object")]
    )
    def test_success_has_to_be_a_boolean(self, success: object, found: str) -> None:
        with pytest.raises(ProtocolError, match=f"Success is {found}, not a boolean"):
            read({"Success": success})

    @pytest.mark.parametrize("key", ["RequestId", "Code", "Message"])
    def test_texts_have_to_be_strings(self, key: str) -> None:
        with pytest.raises(ProtocolError, match=f"^{key} is a number, not a string$"):
            read({**ok(), key: 7})

    @pytest.mark.parametrize("document", [[], {"Success": 1}, {"Success": False, "Code": 7}])
    def test_what_is_wrong_with_an_envelope_keeps_the_http_status(self, document: object) -> None:
        with pytest.raises(ProtocolError) as caught:
            read(document, 503)
        assert caught.value.http_status == 503


class TestNotAnEnvelope:
    def error(self, body: bytes, status: int = 200, secret: str = "", **headers: str) -> ProtocolError:
        with pytest.raises(ProtocolError) as caught:
            read_answer(Reply(status, headers, body), secret=secret)
        return caught.value

    def test_html_is_named_and_quoted(self) -> None:
        error = self.error(b"<html>\n <h1>Bad Gateway</h1>", 502, **{"Content-Type": "text/html"})
        assert str(error) == (
            "the server answered HTTP 502 with something that is not a JSON document (text/html), "
            "beginning '<html> <h1>Bad Gateway</h1>'; is the endpoint right?"
        )

    def test_it_keeps_the_http_status(self) -> None:
        assert self.error(b"<html>", 502).http_status == 502

    def test_it_keeps_when_to_come_back(self) -> None:
        assert self.error(b"<html>", 503, **{"Retry-After": "7"}).retry_after == "7"

    def test_nothing_at_all_is_said_so(self) -> None:
        assert str(self.error(b"", 204)) == "the server answered HTTP 204 with nothing in it"

    def test_half_a_document_is_quoted(self) -> None:
        assert """beginning '{"Success": tr'""" in str(self.error(b'{"Success": tr'))

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        assert "not a JSON document" in str(self.error(b"\xff\xfe\x00{"))

    def test_a_document_nested_beyond_reason_is_refused(self) -> None:
        assert "not a JSON document" in str(self.error(b"[" * 200_000))

    def test_a_long_answer_is_quoted_in_part(self) -> None:
        assert len(str(self.error(b"x" * 10_000))) < 250

    def test_the_credential_is_taken_out_of_what_is_quoted(self) -> None:
        error = self.error(f"<html>Authorization=Bearer {KEY}</html>".encode(), secret=KEY)
        assert KEY not in str(error)

    def test_a_credential_that_the_quotation_would_cut_in_half_is_taken_out(self) -> None:
        body = b"x" * 150 + f"Bearer {KEY}".encode()
        assert KEY[:3] not in str(self.error(body, secret=KEY))

    def test_the_credential_as_a_url_spells_it_is_taken_out(self) -> None:
        body = b"<html>No such page: /?Authorization=Bearer+akm%2F1%2B2</html>"
        assert "akm" not in str(self.error(body, secret="akm/1+2"))

    def test_a_credential_cut_by_blanks_collapsing_is_taken_out(self) -> None:
        body = b" " * 148 + f"Bearer {KEY}".encode()
        assert KEY[:3] not in str(self.error(body, secret=KEY))

    def test_nothing_of_the_answer_follows_as_a_cause(self) -> None:
        assert self.error(f"<html>{KEY}".encode(), secret=KEY).__cause__ is None


class TestErrorOf:
    def test_it_is_typed_by_its_code(self) -> None:
        error = error_of(answer_from_document(refused("InvalidMcpSession.NotFound", "no such session")))
        assert (type(error), str(error)) == (NotFoundError, "[InvalidMcpSession.NotFound] no such session")

    def test_it_carries_the_request_id(self) -> None:
        assert error_of(answer_from_document(refused("Any"))).request_id == REQUEST_ID


class TestTaskIds:
    @pytest.mark.parametrize("value", [None, {}, {"TaskIds": None}, [], "done"])
    def test_a_server_may_not_tell(self, value: object) -> None:
        assert task_ids(data(value)) is None

    def test_a_server_may_tell_that_there_are_none(self) -> None:
        assert task_ids(data({"TaskIds": []})) == ()

    def test_they_are_read_in_order(self) -> None:
        assert task_ids(data({"TaskIds": ["t-2", "t-1"]})) == ("t-2", "t-1")

    @pytest.mark.parametrize("ids", ["t-1", {"t-1": 1}, [1], [None], [""], ["t-1", ""]])
    def test_anything_but_a_list_of_names_is_refused(self, ids: object) -> None:
        with pytest.raises(ProtocolError, match=r"^Data\.TaskIds is not a list of non-empty strings$"):
            task_ids(data({"TaskIds": ids}))


class TestContextStatus:
    @pytest.mark.parametrize("value", [None, {}, {"ContextStatus": None}, {"ContextStatus": ""}])
    def test_absent_means_no_task(self, value: object) -> None:
        assert context_status(data(value)) == []

    @pytest.mark.parametrize("encoded", ["[]", json.dumps([item()]), '[{"type": "data", "data": ""}]'])
    def test_empty_means_no_task(self, encoded: str) -> None:
        assert context_status(data({"ContextStatus": encoded})) == []

    def test_agentbays_fields_are_read(self) -> None:
        (found,) = context_status(answer_from_document(listed(entry("Failed", error="disk full"))))
        assert found == ContextStatusData(
            context_id="SdkCtx-1",
            path="/data",
            error_message="disk full",
            status="Failed",
            start_time=200,
            finish_time=205,
            task_type="upload",
        )

    def test_the_services_own_fields_are_read(self) -> None:
        own = {
            "taskId": "t-1",
            "revision": 7,
            "files": 1,
            "deleted": 2,
            "bytes": 3,
            "unchanged": 4,
            "filesTotal": 5,
            "filesDone": 6,
            "bytesTotal": 8,
            "bytesDone": 9,
            "skipped": [["/data/socket", "a socket"]],
            "nothingToSync": True,
        }
        (found,) = context_status(statuses(item(own)))
        assert found == ContextStatusData(
            task_id="t-1",
            revision=7,
            files=1,
            deleted=2,
            bytes=3,
            unchanged=4,
            files_total=5,
            files_done=6,
            bytes_total=8,
            bytes_done=9,
            skipped=(("/data/socket", "a socket"),),
            nothing_to_sync=True,
        )

    def test_the_entries_of_all_items_are_read_in_order(self) -> None:
        answer = statuses(item(entry(path="/a")), item(entry(path="/b"), entry(path="/c")))
        assert [each.path for each in context_status(answer)] == ["/a", "/b", "/c"]

    def test_items_of_another_type_are_passed_over(self) -> None:
        assert context_status(statuses({"type": "note", "data": "<not json>"}, item(entry()))) != []

    def test_unknown_fields_are_passed_over(self) -> None:
        assert len(context_status(statuses(item(entry(colour="blue"))))) == 1

    def test_null_fields_are_as_absent_ones(self) -> None:
        nulls = dict.fromkeys(("contextId", "status", "startTime", "nothingToSync", "skipped"))
        assert context_status(statuses(item(nulls))) == [ContextStatusData()]

    @pytest.mark.parametrize(("written", "read"), [(1700000000, 1700000000), ("1700000000", 1700000000), ("", 0)])
    def test_times_may_be_numbers_or_digits(self, written: object, read: int) -> None:
        (found,) = context_status(statuses(item({"startTime": written})))
        assert found.start_time == read

    def test_a_path_that_is_not_unicode_is_kept(self) -> None:
        (found,) = context_status(statuses(item({"path": "/caf\udce9"})))
        assert found.path == "/caf\udce9"

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (data([]), "Data is a list, not an object"),
            (data({"ContextStatus": []}), "Data.ContextStatus is a list, not a JSON string"),
            (data({"ContextStatus": {}}), "Data.ContextStatus is an object, not a JSON string"),
            (data({"ContextStatus": '{"a": 1}'}), "Data.ContextStatus decodes to an object, not a list"),
            (statuses("data"), "Data.ContextStatus[0] is a string, not an object"),
            (
                statuses(item(), {"type": "data", "data": [1]}),
                "Data.ContextStatus[1].data is a list, not a JSON string",
            ),
            (statuses({"type": "data", "data": "{}"}), "Data.ContextStatus[0].data decodes to an object, not a list"),
            (
                statuses(item({}, {"startTime": [1]})),
                "Data.ContextStatus[0].data[1].startTime: expected int, found a list",
            ),
            (
                statuses(item({"startTime": True})),
                "Data.ContextStatus[0].data[0].startTime: expected int, found a boolean",
            ),
            (
                statuses(item({"status": 7})),
                "Data.ContextStatus[0].data[0].status: expected str, found a number",
            ),
            (
                statuses(item({"nothingToSync": "yes"})),
                "Data.ContextStatus[0].data[0].nothingToSync: expected bool, found a string",
            ),
            (
                statuses(item({"skipped": ["/a"]})),
                "Data.ContextStatus[0].data[0].skipped: expected a list of pairs",
            ),
        ],
    )
    def test_what_cannot_be_read_is_told_with_its_path(self, answer: Answer, text: str) -> None:
        with pytest.raises(ProtocolError) as caught:
            context_status(answer)
        assert str(caught.value) == text

    @pytest.mark.parametrize("broken", ["[", "no", "[" * 200_000], ids=["half", "words", "nested beyond reason"])
    def test_what_is_no_json_is_told_with_its_path(self, broken: str) -> None:
        with pytest.raises(ProtocolError, match=r"^Data\.ContextStatus\[0\]\.data is not JSON: "):
            context_status(statuses({"type": "data", "data": broken}))

    @pytest.mark.parametrize("broken", ["Success", ["Success"], 7])
    def test_an_entry_that_is_no_object_is_told_with_its_path(self, broken: object) -> None:
        with pytest.raises(ProtocolError, match=r"^Data\.ContextStatus\[0\]\.data\[1\]: expected an object, found a "):
            context_status(statuses(item({}, broken)))

    def test_a_time_that_is_no_number_is_told_with_its_path(self) -> None:
        with pytest.raises(ProtocolError, match=r"^Data\.ContextStatus\[0\]\.data\[0\]\.finishTime: .*soon"):
            context_status(statuses(item({"finishTime": "soon"})))

    def test_every_field_that_cannot_be_read_is_told(self) -> None:
        with pytest.raises(ProtocolError, match=r"data\[0\]\.path: .*data\[0\]\.status: "):
            context_status(statuses(item({"path": 1, "status": 2})))
