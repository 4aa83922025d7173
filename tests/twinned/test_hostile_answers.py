"""Answers that drip, flood or expand: every call ends, in a bounded time and a bounded memory."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ctxmgr import Client, ProtocolError, RequestTimeout, TransportError
from ctxmgr.filewire import MAX_REFUSAL
from ctxmgr.patience import MAX_ANSWER
from tests.support.answers import ok
from tests.support.endless import EndlessServer
from tests.support.scripted import Raw, ScriptedServer

KEY = "akm-0123456789"
SOON = 0.3
OFTEN = 0.02  # each single wait is far shorter than the time-out
START = b"HTTP/1.1 200 OK\r\n"
SIZED = START + b"Content-Length: 1000000\r\n\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
TO_THE_END = START + b"Connection: close\r\n\r\n"

DRIPPED = {
    "a status line": (b"HTTP/1.1 200 O", b"K"),
    "a header": (START + b"X-A: ", b"b"),
    "headers before the headers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body with a length": (SIZED, b" "),
    "a body in chunks": (CHUNKED, b"1\r\n \r\n"),
    "the length of a chunk": (CHUNKED, b"0"),
    "a body without a length": (TO_THE_END, b" "),
}


def url_granted(url: str) -> dict[str, object]:
    return ok({"Url": f"{url}/files/a", "ExpireTime": 0})


def drips(name: str) -> EndlessServer:
    head, piece = DRIPPED[name]
    return EndlessServer(head, piece, every=OFTEN)


@pytest.mark.parametrize("name", DRIPPED)
class TestDripped:
    def test_a_call_ends_though_the_server_goes_on(self, name: str) -> None:
        with drips(name) as server:
            with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=SOON) as client:
                with pytest.raises(RequestTimeout):
                    client.contexts.list()

    def test_a_download_ends_though_the_server_goes_on(self, name: str, server: ScriptedServer, tmp_path: Path) -> None:
        with drips(name) as dripping:
            server.script("GetContextFileDownloadUrl", url_granted(dripping.url))
            with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=SOON) as client:
                with pytest.raises(RequestTimeout):
                    client.files.download("SdkCtx-1", "/a", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []

    def test_an_upload_ends_though_the_server_goes_on(self, name: str, server: ScriptedServer) -> None:
        with drips(name) as dripping:
            server.script("GetContextFileUploadUrl", url_granted(dripping.url))
            with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=SOON) as client:
                if name.startswith(("a status", "a header", "headers")):
                    with pytest.raises(RequestTimeout):
                        client.files.upload("SdkCtx-1", "/a", b"text")
                else:
                    # What is in the body of a success says nothing.
                    result = client.files.upload("SdkCtx-1", "/a", b"text")
                    assert result.success


class TestFlooded:
    @pytest.mark.parametrize("status", [200, 302, 500])
    def test_an_answer_without_an_end_is_given_up(self, status: int) -> None:
        head = b"HTTP/1.1 %d OK\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n" % status
        with EndlessServer(head, b" " * (1 << 16)) as server:
            with Client(api_key=KEY, endpoint=server.url, attempts=1) as client:
                with pytest.raises(ProtocolError, match="larger than 64 MiB"):
                    client.contexts.list()

    @pytest.mark.parametrize("line", [b"X-A: b\r\n", b"X-A: " + b"b" * (1 << 16)], ids=["many", "long"])
    def test_headers_without_an_end_are_given_up(self, line: bytes) -> None:
        with EndlessServer(START, line) as server:
            with Client(api_key=KEY, endpoint=server.url, attempts=1) as client:
                with pytest.raises(TransportError):
                    client.contexts.list()

    @pytest.mark.parametrize("chunk", [b"0" * (1 << 16), b"1;" + b"x" * (1 << 16)], ids=["length", "extension"])
    def test_the_length_of_a_chunk_without_an_end_is_given_up(self, chunk: bytes) -> None:
        with EndlessServer(CHUNKED, chunk) as server:
            with Client(api_key=KEY, endpoint=server.url, attempts=1, timeout=SOON) as client:
                with pytest.raises(TransportError):
                    client.contexts.list()

    def test_of_a_refused_transfer_no_more_is_read_than_people_would(
        self, server: ScriptedServer, tmp_path: Path
    ) -> None:
        head = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<Code>AccessDenied</Code>"
        with EndlessServer(head, b" " * MAX_REFUSAL) as flooding:
            server.script("GetContextFileDownloadUrl", url_granted(flooding.url))
            with Client(api_key=KEY, endpoint=server.url, attempts=1) as client:
                result = client.files.download("SdkCtx-1", "/a", tmp_path / "a")
        assert result.error_message.startswith("[AccessDenied]")


def bare_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def twice(content: bytes) -> bytes:
    return gzip.compress(gzip.compress(content))


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "nested": ("gzip, gzip", twice),
}


@pytest.mark.parametrize("kind", PACKED)
class TestPacked:
    def test_an_answer_is_unpacked(self, server: ScriptedServer, client: Client, kind: str) -> None:
        encoding, pack = PACKED[kind]
        document = json.dumps(ok([{"Id": "SdkCtx-1", "Name": "packed"}])).encode()
        server.script("ListContexts", Raw(pack(document), headers={"Content-Encoding": encoding}))
        page = client.contexts.list()
        assert [context.name for context in page.contexts] == ["packed"]

    def test_a_bomb_is_given_up(self, server: ScriptedServer, client: Client, kind: str) -> None:
        encoding, pack = PACKED[kind]
        bomb = pack(b" " * (MAX_ANSWER + 1))
        server.script("ListContexts", Raw(bomb, headers={"Content-Encoding": encoding}))
        with pytest.raises(ProtocolError, match="unpacks to more than 64 MiB"):
            client.contexts.list()

    def test_one_that_was_cut_short_is_no_answer(self, server: ScriptedServer, client: Client, kind: str) -> None:
        encoding, pack = PACKED[kind]
        server.script("ListContexts", Raw(pack(b"{}" * 1000)[:-9], headers={"Content-Encoding": encoding}))
        with pytest.raises(ProtocolError, match="can't be read"):
            client.contexts.list()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip, gzip"])
def test_an_encoding_that_was_not_asked_for_is_refused(server: ScriptedServer, client: Client, encoding: str) -> None:
    server.script("ListContexts", Raw(b"what?", headers={"Content-Encoding": encoding}))
    with pytest.raises(ProtocolError, match="not asked for"):
        client.contexts.list()


def test_a_file_is_taken_as_it_is_stored_whatever_its_encoding(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    stored = gzip.compress(b"text")
    head = START + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(stored)
    with EndlessServer(head + stored, b"") as store:
        server.script("GetContextFileDownloadUrl", url_granted(store.url))
        client.files.download("SdkCtx-1", "/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == stored
