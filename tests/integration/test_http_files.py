"""Files by URL over a real socket: plain PUT, GET and HEAD, in pieces, whole or not at all."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

import pytest
import requests

from ctxmgr.testing import Service

from .asking import Asker, connect, envelope_of, exchange, until

PATIENCE = 30


def url(asker: Asker, context: str, path: str, *, put: bool = False) -> str:
    action = "GetContextFileUploadUrl" if put else "GetContextFileDownloadUrl"
    return str(asker.data(action, ContextId=context, FilePath=path)["Url"])


def files(asker: Asker, context: str) -> list[str]:
    found = asker.data("DescribeContextFiles", ContextId=context, ParentFolderPath="/", PageSize="100")
    return [file["FilePath"] for file in found]


def test_a_file_that_was_put_is_got_again(asker: Asker) -> None:
    context, content = asker.context(), os.urandom(3 << 20)
    put = requests.put(url(asker, context, "/a/b.bin", put=True), data=content, timeout=PATIENCE)
    got = requests.get(url(asker, context, "/a/b.bin"), timeout=PATIENCE)
    assert (put.status_code, put.content, got.status_code) == (200, b"", 200)
    assert got.content == content
    assert put.headers["ETag"] == got.headers["ETag"]


def test_an_empty_file_travels_too(asker: Asker) -> None:
    context = asker.context()
    assert requests.put(url(asker, context, "/empty", put=True), timeout=PATIENCE).status_code == 200
    got = requests.get(url(asker, context, "/empty"), timeout=PATIENCE)
    assert (got.status_code, got.content) == (200, b"")


def test_a_file_of_unknown_length_is_taken_in_chunks(asker: Asker) -> None:
    context = asker.context()
    pieces = (bytes([number]) * 70_000 for number in range(20))
    assert requests.put(url(asker, context, "/chunked", put=True), data=pieces, timeout=PATIENCE).status_code == 200
    got = requests.get(url(asker, context, "/chunked"), timeout=PATIENCE)
    assert got.content == b"".join(bytes([number]) * 70_000 for number in range(20))


def test_a_part_is_got_by_its_range(asker: Asker) -> None:
    context, content = asker.context(), os.urandom(2 << 20)
    requests.put(url(asker, context, "/f", put=True), data=content, timeout=PATIENCE)
    got = requests.get(url(asker, context, "/f"), headers={"Range": "bytes=1048570-1048590"}, timeout=PATIENCE)
    assert (got.status_code, got.content) == (206, content[1048570:1048591])
    assert got.headers["Content-Range"] == f"bytes 1048570-1048590/{len(content)}"


def test_a_head_tells_the_size_and_sends_nothing(asker: Asker) -> None:
    context = asker.context()
    requests.put(url(asker, context, "/f", put=True), data=b"12345", timeout=PATIENCE)
    got = requests.head(url(asker, context, "/f"), timeout=PATIENCE)
    assert (got.status_code, got.headers["Content-Length"], got.content) == (200, "5", b"")


def test_what_has_not_changed_is_not_sent_again(asker: Asker) -> None:
    context = asker.context()
    etag = requests.put(url(asker, context, "/f", put=True), data=b"12345", timeout=PATIENCE).headers["ETag"]
    got = requests.get(url(asker, context, "/f"), headers={"If-None-Match": etag}, timeout=PATIENCE)
    assert (got.status_code, got.content) == (304, b"")


def test_the_url_names_the_host_as_the_client_does(ctxmgr_service: Service, asker: Asker) -> None:
    context = asker.context()
    asker.http.headers["Host"] = "contexts.example.org:8443"
    assert url(asker, context, "/f", put=True).startswith("http://contexts.example.org:8443/files/")


@pytest.mark.parametrize("host", ["evil/../x", "a b", "user@host", ""])
def test_a_host_that_is_none_is_not_repeated(ctxmgr_service: Service, asker: Asker, host: str) -> None:
    context = asker.context()
    asker.http.headers["Host"] = host
    assert url(asker, context, "/f", put=True).startswith(ctxmgr_service.endpoint + "/files/")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_token_that_was_changed_is_refused(ctxmgr_service: Service, asker: Asker, method: str) -> None:
    signed = url(asker, asker.context(), "/f", put=True)
    answer = requests.request(method, signed[:-2], data=b"x" if method == "PUT" else None, timeout=PATIENCE)
    assert answer.status_code == 403
    if method != "HEAD":
        assert answer.json()["Code"] == "ForbiddenUrl.Invalid"


def test_an_upload_that_is_refused_is_told_so_though_much_of_it_comes(asker: Asker) -> None:
    signed = url(asker, asker.context(), "/f", put=True)
    answer = requests.put(signed[:-2], data=b"x" * (4 << 20), timeout=PATIENCE)
    assert (answer.status_code, answer.json()["Code"]) == (403, "ForbiddenUrl.Invalid")


def test_an_upload_that_breaks_off_leaves_no_file(ctxmgr_service: Service, asker: Asker) -> None:
    context = asker.context()
    path = urlsplit(url(asker, context, "/half", put=True)).path
    with connect(ctxmgr_service.endpoint) as connection:
        connection.sendall(f"PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    assert files(asker, context) == []


def test_who_asks_first_is_told_to_continue(ctxmgr_service: Service, asker: Asker) -> None:
    context = asker.context()
    path = urlsplit(url(asker, context, "/f", put=True)).path
    with connect(ctxmgr_service.endpoint) as connection:
        head = (
            f"PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"four")
        assert b" 200 OK\r\n" in connection.recv(65536)
    assert files(asker, context) == ["/f"]


def test_who_asks_first_is_refused_before_anything_is_sent(ctxmgr_service: Service) -> None:
    answer = exchange(
        ctxmgr_service.endpoint,
        b"PUT /files/x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
    )
    status, envelope = envelope_of(answer)
    assert (status, envelope["Code"]) == (403, "ForbiddenUrl.Invalid")


def test_a_client_that_stops_reading_is_given_up(
    ctxmgr_service: Service, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.http.outflow.SECONDS_FOR_A_PIECE", 0.2)
    context, content = asker.context(), os.urandom(24 << 20)
    requests.put(url(asker, context, "/big", put=True), data=content, timeout=PATIENCE)
    path = urlsplit(url(asker, context, "/big")).path
    with connect(ctxmgr_service.endpoint) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        until(lambda: 'code="ok"' in aborted(ctxmgr_service))


def aborted(service: Service) -> str:
    text = requests.get(service.endpoint + "/metrics", timeout=PATIENCE).text
    return "\n".join(line for line in text.splitlines() if line.startswith('ctxmgr_requests_total{action="GetFile"'))
