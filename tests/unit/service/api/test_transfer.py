"""Files put and fetched by signed URL: what a door is told to answer."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.errors import ServiceError
from ctxmgr.filedigests import repr_digest
from ctxmgr.service import ContextService
from ctxmgr.service.api import transfer
from ctxmgr.service.api.conditions import byte_range
from ctxmgr.service.api.filecontent import PIECE
from ctxmgr.service.catalog.schema import files
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, Refused, binding, fill, tree

BASE = "https://files.example:8700"


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


def url(door: Door, kind: str, context: str, path: str, **parameters: str) -> str:
    asked = {"ContextId": context, "FilePath": path, **parameters}
    answer = door.service.handle(f"GetContextFile{kind}Url", asked, account=door.account, base_url=BASE)
    if not answer["Success"]:
        raise Refused(answer)
    return str(answer["Data"]["Url"])


def token(door: Door, kind: str, context: str, path: str, **parameters: str) -> str:
    return url(door, kind, context, path, **parameters).removeprefix(f"{BASE}/files/")


def put(door: Door, context: str, path: str, content: bytes, **headers: str) -> transfer.Stored:
    with door.service.open_upload(token(door, "Upload", context, path), headers=http(headers)) as upload:
        for start in range(0, len(content), 700_001):
            upload.write(content[start : start + 700_001])
        return upload.finish()


def get(door: Door, context: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    found = door.service.open_download(token(door, "Download", context, path), method=method, headers=http(headers))
    return found.status, dict(found.headers), b"".join(found.content)


def http(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def refusal(door: Door, context: str, path: str, content: bytes, **headers: str) -> str:
    with pytest.raises(ServiceError) as refused:
        put(door, context, path, content, **headers)
    return refused.value.code


CONTENTS = {"empty": b"", "small": b"hello", "one chunk": b"x" * (1 << 20), "many chunks": os.urandom(5_000_003)}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_is_put_is_what_is_got(door: Door, content: bytes) -> None:
    context = door.context()
    stored = put(door, context, "/d/e.bin", content)
    assert (stored.size, stored.digest, stored.revision) == (len(content), blake3(content).digest(), 1)
    status, headers, body = get(door, context, "/d/e.bin")
    assert (status, body == content, headers["content-length"]) == (200, True, str(len(content)))
    assert headers["etag"] == stored.headers["etag"] == f'"{blake3(content).hexdigest()}"'
    assert get(door, context, "/d/e.bin", "HEAD") == (200, headers, b"")


def test_a_file_put_by_url_is_a_revision_that_is_listed_and_downloaded(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context, "/work"))
    put(door, context, "/work/sub/new.txt", b"by url")
    assert door.files(context) == ["/work", "/work/sub", "/work/sub/new.txt"]
    assert [item["Note"] for item in door.data("ListRevisions", ContextId=context)] == ["file"]
    door.sync(session, "download", ContextId=context, Path="/work")
    work = door.root(session) / "work"
    assert tree(work) == {"sub/new.txt": "by url"}
    assert (work / "sub/new.txt").stat().st_mode & 0o7777 == 0o644
    assert door.sync(session)[0]["nothingToSync"]


def test_a_file_that_a_session_uploaded_is_fetched_by_url(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context))
    fill(door.root(session), {"a": "from a session"})
    door.sync(session)
    assert get(door, context, "/a")[2] == b"from a session"


def test_replacing_a_file_keeps_its_permission_bits_and_history(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context))
    root = door.root(session)
    fill(root, {"run": "old"})
    (root / "run").chmod(0o750)
    door.sync(session)
    put(door, context, "/run", b"new")
    assert door.data("DescribeContextFile", ContextId=context, FilePath="/run")["Mode"] == "0750"
    old = door.service.open_download(token(door, "Download", context, "/run", Revision="1"))
    assert b"".join(old.content) == b"old"
    assert get(door, context, "/run")[2] == b"new"


def test_the_same_content_again_makes_no_revision(door: Door) -> None:
    context = door.context()
    assert [put(door, context, "/a", b"same").revision for _ in range(2)] == [1, 1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 5_100_000), length=st.integers(1, 3_000_000))
def test_a_range_is_exactly_those_bytes(shared: tuple[Door, str], start: int, length: int) -> None:
    door, context = shared
    content = CONTENTS["many chunks"]
    asked = f"bytes={start}-{start + length - 1}"
    if start >= len(content):
        with pytest.raises(ServiceError, match="begins behind"):
            get(door, context, "/big", range=asked)
        return
    status, headers, body = get(door, context, "/big", range=asked)
    assert (status, body == content[start : start + length]) == (206, True)
    assert headers["content-range"] == f"bytes {start}-{start + len(body) - 1}/{len(content)}"
    assert headers["content-length"] == str(len(body))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, str]]:
    service = ContextService.open(tmp_path_factory.mktemp("shared") / "data")
    door = Door(service)
    context = door.context()
    put(door, context, "/big", CONTENTS["many chunks"])
    yield door, context
    service.close()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=٣-4", None),
        ("", None),
    ],
)
def test_ranges_are_read_as_rfc_9110_has_them(text: str, wanted: tuple[int, int] | None) -> None:
    assert byte_range({"range": text}, '"e"', 10) == wanted


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        byte_range({"range": text}, '"e"', 10)
    assert refused.value.code == "InvalidRange.NotSatisfiable"


def test_a_range_of_what_has_changed_since_is_the_whole(door: Door) -> None:
    context = door.context()
    put(door, context, "/a", b"0123456789")
    etag = get(door, context, "/a")[1]["etag"]
    assert get(door, context, "/a", range="bytes=1-2", if_range=etag)[::2] == (206, b"12")
    assert get(door, context, "/a", range="bytes=1-2", if_range='"other"')[::2] == (200, b"0123456789")


def test_who_has_it_already_is_told_so(door: Door) -> None:
    context = door.context()
    put(door, context, "/a", b"a")
    etag = get(door, context, "/a")[1]["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        assert get(door, context, "/a", if_none_match=known)[::2] == (304, b"")
    assert get(door, context, "/a", if_none_match='"x"')[0] == 200


def test_a_put_can_demand_what_is_there(door: Door) -> None:
    context = door.context()
    put(door, context, "/a", b"first", if_none_match="*")
    assert refusal(door, context, "/a", b"second", if_none_match="*") == "InvalidFile.PreconditionFailed"
    assert refusal(door, context, "/b", b"second", if_match="*") == "InvalidFile.PreconditionFailed"
    etag = get(door, context, "/a")[1]["etag"]
    put(door, context, "/a", b"second", if_match=etag)
    assert refusal(door, context, "/a", b"third", if_match=etag) == "InvalidFile.PreconditionFailed"
    assert get(door, context, "/a")[2] == b"second"


def test_announced_checksums_and_sizes_are_compared(door: Door) -> None:
    context = door.context()
    md5 = base64.b64encode(hashlib.md5(b"content").digest()).decode()
    put(door, context, "/a", b"content", content_md5=md5, x_ctxmgr_blake3=blake3(b"content").hexdigest())
    assert refusal(door, context, "/a", b"c0ntent", content_md5=md5) == "InvalidContent.Checksum"
    assert refusal(door, context, "/a", b"x", x_ctxmgr_blake3=blake3(b"y").hexdigest()) == "InvalidContent.Checksum"
    assert refusal(door, context, "/a", b"x", content_md5="no checksum") == "InvalidParameter.Malformed"
    assert refusal(door, context, "/a", b"x", content_length="2") == "InvalidContent.Incomplete"
    assert refusal(door, context, "/a", b"x", content_length="-1") == "InvalidParameter.Malformed"
    assert get(door, context, "/a")[2] == b"content"


def test_a_sha_256_that_an_upload_announces_is_compared_and_told(door: Door) -> None:
    context = door.context()
    announced = repr_digest(sha256(b"content").digest())
    assert put(door, context, "/a", b"content", repr_digest=announced).headers["repr-digest"] == announced
    assert refusal(door, context, "/a", b"c0ntent", repr_digest=announced) == "InvalidContent.Checksum"
    assert refusal(door, context, "/a", b"x", repr_digest="sha-256=:AAAA:") == "InvalidParameter.Malformed"
    assert "repr-digest" not in put(door, context, "/a", b"content", repr_digest="sha-512=:AAAA:").headers


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_download_tells_a_sha_256_where_it_is_wanted(door: Door, content: bytes) -> None:
    context = door.context()
    put(door, context, "/a", content)
    told = get(door, context, "/a", want_repr_digest="sha-256=1")[1]["repr-digest"]
    assert told == repr_digest(sha256(content).digest())
    assert "repr-digest" not in get(door, context, "/a")[1]


@pytest.mark.parametrize("size", [10, 3 * PIECE], ids=["one piece", "several pieces"])
def test_a_file_whose_chunks_are_those_of_another_is_not_handed_out_whole(door: Door, size: int) -> None:
    context = door.context()
    for path in ("/a", "/b"):
        put(door, context, path, os.urandom(size))
    with door.service._runtime.catalog.write() as connection:
        other = connection.execute(select(files.c.chunks).where(files.c.path == b"/b")).scalar_one()
        connection.execute(update(files).where(files.c.path == b"/a").values(chunks=other))
    with pytest.raises(ContentError, match="the content of '/a' is damaged"):
        get(door, context, "/a")


def test_a_download_is_read_a_piece_at_a_time(door: Door) -> None:
    context, content = door.context(), os.urandom(3 * PIECE)
    put(door, context, "/a", content)
    found = door.service.open_download(token(door, "Download", context, "/a"))
    pieces = [bytes(piece) for piece in found.content]
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE


def test_a_file_that_is_too_large_is_refused_when_that_is_known(door: Door) -> None:
    context = door.context()
    engine = door.service._runtime
    grant = token(door, "Upload", context, "/a")
    with pytest.raises(ServiceError) as announced:
        transfer.open_upload(engine, grant, headers={"content-length": "11"}, max_size=10)
    with transfer.open_upload(engine, grant, max_size=10) as upload:
        upload.write(b"0123456789")
        with pytest.raises(ServiceError) as sent:
            upload.write(b"0")
    assert {announced.value.code, sent.value.code} == {"InvalidContent.TooLarge"}


def test_an_upload_that_is_not_finished_leaves_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    before = sorted(tmp_path.rglob("*"))
    with door.service.open_upload(token(door, "Upload", context, "/a")) as upload:
        upload.write(b"half")
        assert sorted(tmp_path.rglob("*")) == before
    assert door.files(context) == []


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "",
        "/",
        "/a/",
        "/../a",
        "/a/../../b",
        "/a\0b",
        "/" + "x" * 256,
        "/x" * 2100,
        "/.ctxmgr-tmp-0123456789abcdef",
    ],
)
def test_paths_that_no_directory_could_hold_are_refused(door: Door, path: str) -> None:
    with pytest.raises(Refused) as refused:
        url(door, "Upload", door.context(), path)
    assert refused.value.code in ("InvalidParameter.Malformed", "InvalidParameter.Missing")


def test_a_file_does_not_take_the_place_of_a_folder_nor_lie_below_a_file(door: Door) -> None:
    context = door.context()
    put(door, context, "/d/f", b"f")
    assert refusal(door, context, "/d", b"x") == "InvalidFile.Conflict"
    assert refusal(door, context, "/d/f/g", b"x") == "InvalidFile.Conflict"
    assert door.files(context) == ["/d", "/d/f"]


def test_names_are_bytes(door: Door) -> None:
    context = door.context()
    path = os.fsdecode(b"/\xff\nname")
    put(door, context, path, b"odd")
    assert get(door, context, path)[2] == b"odd"
    assert get(door, context, path)[1]["content-disposition"] == "attachment; filename*=UTF-8''%FF%0Aname"
    assert door.files(context) == [path]


def test_one_files_url_is_of_no_use_for_another_nor_one_accounts_for_another(door: Door) -> None:
    context = door.context()
    put(door, context, "/a", b"a")
    other = Door(door.service, "someone else")
    for kind in ("Upload", "Download"):
        with pytest.raises(Refused) as refused:
            url(other, kind, context, "/a")
        assert refused.value.code == "InvalidContext.NotFound"
    one, two = (token(door, "Upload", context, path) for path in ("/a", "/b"))
    mixed = one.partition(".")[0] + "." + two.partition(".")[2]
    with pytest.raises(ServiceError) as forged:
        door.service.open_upload(mixed)
    assert forged.value.code == "ForbiddenUrl.Invalid"


def test_a_url_dies_with_its_context(door: Door) -> None:
    context = door.context()
    put(door, context, "/a", b"a")
    down, up = token(door, "Download", context, "/a"), token(door, "Upload", context, "/a")
    upload = door.service.open_upload(up)
    upload.write(b"late")
    door.data("DeleteContext", Id=context)
    for attempt in (lambda: door.service.open_download(down), lambda: door.service.open_upload(up), upload.finish):
        with pytest.raises(ServiceError) as refused:
            attempt()
        assert refused.value.code == "InvalidContext.NotFound"
    upload.close()


def test_what_has_no_content_has_no_download_url(door: Door) -> None:
    context = door.context()
    session = door.session(binding(context))
    root = door.root(session)
    fill(root, {"d/f": "f"})
    (root / "link").symlink_to("d/f")
    door.sync(session)
    for path, code in (("/d", "NoContent"), ("/link", "NoContent"), ("/absent", "NotFound")):
        with pytest.raises(Refused) as refused:
            url(door, "Download", context, path)
        assert refused.value.code == f"InvalidFile.{code}"


def test_a_service_without_a_door_says_that_it_has_no_urls(door: Door) -> None:
    context = door.context()
    with pytest.raises(Refused, match="ctxmgr serve") as refused:
        door.data("GetContextFileUploadUrl", ContextId=context, FilePath="/a")
    assert refused.value.code == "UnsupportedAction.NoServer"


def test_a_url_names_the_door_and_is_valid_for_an_hour(door: Door) -> None:
    import time

    asked = {"ContextId": door.context(), "FilePath": "/a"}
    began = int(time.time())
    data = door.service.handle("GetContextFileUploadUrl", asked, base_url=BASE)["Data"]
    assert data["Url"].startswith(f"{BASE}/files/")
    assert began + 3600 <= data["ExpireTime"] <= time.time() + 3600
