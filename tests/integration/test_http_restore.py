"""Many files of a revision in one stream, by a signed URL over a real socket."""

from __future__ import annotations

import json
import os
import struct

import requests

from .asking import Asker

PATIENCE = 30
FRAME = struct.Struct(">IQ")


def put(asker: Asker, context: str, path: str, content: bytes) -> None:
    url = asker.data("GetContextFileUploadUrl", ContextId=context, FilePath=path)["Url"]
    assert requests.put(url, data=content, timeout=PATIENCE).status_code == 200


def asked(asker: Asker, context: str, body: object, **parameters: object) -> requests.Response:
    url = asker.data("GetContextContentsUrl", ContextId=context, **parameters)["Url"]
    return requests.post(url, data=json.dumps(body), timeout=PATIENCE)


def unframed(body: bytes) -> dict[int, bytes]:
    found = {}
    while body:
        index, size = FRAME.unpack(body[: FRAME.size])
        found[index], body = body[FRAME.size : FRAME.size + size], body[FRAME.size + size :]
    return found


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["Code"]


def test_each_file_comes_behind_its_index_and_size(asker: Asker) -> None:
    context, large = asker.context(), os.urandom(9 << 20)
    contents = [b"one", b"", large, b"three"]
    for number, content in enumerate(contents):
        put(asker, context, f"/{number}", content)
    answer = asked(asker, context, [f"/{number}" for number in range(4)])
    assert answer.status_code == 200
    assert unframed(answer.content) == dict(enumerate(contents))


def test_they_are_of_the_revision_that_the_url_is_for(asker: Asker) -> None:
    context = asker.context()
    put(asker, context, "/a", b"old")
    put(asker, context, "/a", b"new")
    answer = asked(asker, context, ["/a"], Revision=1)
    assert unframed(answer.content) == {0: b"old"}


def test_a_path_of_no_file_is_refused_before_anything_comes(asker: Asker) -> None:
    context = asker.context()
    put(asker, context, "/d/a", b"text")
    assert refused(asked(asker, context, ["/d/a", "/absent"])) == (404, "InvalidFile.NotFound")
    assert refused(asked(asker, context, ["/d"])) == (404, "InvalidFile.NotFound")


def test_a_body_that_lists_no_paths_is_refused(asker: Asker) -> None:
    context = asker.context()
    bodies: list[object] = [{}, "a", ["relative"], [7], ["/../a"], ["/a"] * 10_001]
    for body in bodies:
        assert refused(asked(asker, context, body)) == (400, "InvalidParameter.Malformed")


def test_the_url_is_for_nothing_else(asker: Asker) -> None:
    context = asker.context()
    put(asker, context, "/a", b"text")
    many = asker.data("GetContextContentsUrl", ContextId=context)["Url"]
    single = asker.data("GetContextFileDownloadUrl", ContextId=context, FilePath="/a")["Url"]
    assert refused(requests.get(many, timeout=PATIENCE)) == (403, "ForbiddenUrl.Method")
    assert refused(requests.put(many, data=b"x", timeout=PATIENCE)) == (403, "ForbiddenUrl.Method")
    assert refused(requests.post(single, data=b"[]", timeout=PATIENCE)) == (403, "ForbiddenUrl.Method")


def test_a_url_ends_with_its_context(asker: Asker) -> None:
    context = asker.context()
    put(asker, context, "/a", b"text")
    url = asker.data("GetContextContentsUrl", ContextId=context)["Url"]
    asker.data("DeleteContext", Id=context)
    assert refused(requests.post(url, data=b'["/a"]', timeout=PATIENCE)) == (404, "InvalidContext.NotFound")
